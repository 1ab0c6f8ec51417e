//! Event times: those of one minute are most often read one after the other.

use crate::event::Timestamp;

/// `YYYY-MM-DDTHH:MM:`
const MINUTE_BYTES: usize = 17;
/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, as the contract writes it.
const CONTRACT_BYTES: usize = 24;

/// Reads times; remembers the last minute.
pub(super) struct Times {
    minute: [u8; MINUTE_BYTES],
    /// When it began, in milliseconds since 1970.
    began: i64,
}

impl Default for Times {
    fn default() -> Self {
        // No text begins so.
        Self { minute: [0; MINUTE_BYTES], began: 0 }
    }
}

impl Times {
    /// Any RFC 3339 instant.
    pub(super) fn read(&mut self, text: &str) -> Result<Timestamp, String> {
        let known = text.as_bytes().try_into().ok().and_then(|text| self.of_known_minute(text));
        if let Some(time) = known {
            return Ok(time);
        }
        let time: Timestamp = text.parse()?;
        if let (CONTRACT_BYTES, Some(minute)) = (text.len(), text.as_bytes().first_chunk()) {
            self.minute = *minute;
            self.began = time.as_millis() - time.as_millis().rem_euclid(60_000);
        }
        Ok(time)
    }

    /// The contract's own form, in the minute of the time before.
    fn of_known_minute(&self, text: &[u8; CONTRACT_BYTES]) -> Option<Timestamp> {
        let [.., s1, s2, dot, m1, m2, m3, zone] = *text;
        if text.first_chunk() != Some(&self.minute) || (dot, zone) != (b'.', b'Z') {
            return None;
        }
        let digits = [s1, s2, m1, m2, m3].map(|digit| digit.wrapping_sub(b'0'));
        // There is no leap second in the time since 1970, so 60 is left to the calendar.
        if digits.iter().any(|digit| *digit > 9) || digits[0] > 5 {
            return None;
        }
        let [s1, s2, m1, m2, m3] = digits.map(i64::from);
        let millis = (s1 * 10 + s2) * 1000 + m1 * 100 + m2 * 10 + m3;
        Some(Timestamp::from_millis(self.began + millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_is_read_the_same_in_a_known_minute_and_in_a_new_one(
            times in prop::collection::vec(
                "2024-11-29T10:0[01]:[0-6][0-9][.,][0-9]{3}[Zz]|2016-12-31T23:59:(59|60)[.]5[0-9]{2}Z|\
                 2024-11-29T10:00:00[.][0-9]{2,4}Z|2024-11-29T10:00:0[0-9:x][.]000(Z|[+]01:00)",
                1..6,
            ),
        ) {
            let mut remembering = Times::default();
            for time in times {
                prop_assert_eq!(remembering.read(&time), time.parse(), "{}", time);
            }
        }
    }
}
