//! `0/4`: which part of the work is done here, where several engines share it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

/// A part of the work: the `index`th of `count`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one; below the count.
    pub index: u32,
    /// How many there are; 1 where the work is not shared.
    pub count: u32,
}

impl Shard {
    /// All of the work.
    pub const WHOLE: Self = Self { index: 0, count: 1 };
    /// Into how many parts work can be shared: what trace ids can tell apart.
    pub const COUNT_MAX: u32 = 1023;

    /// Whether there are others.
    pub fn is_part(self) -> bool {
        self.count > 1
    }

    /// This shard's part of the `round`th of a number of equal things: what cannot be shared out
    /// evenly goes round, and begins with the first shards.
    pub fn part_of(self, all: u32, round: u64) -> u32 {
        let (count, rest) = (u64::from(self.count), all % self.count);
        let turn = (u64::from(self.index) + count - round % count) % count;
        all / self.count + u32::from(turn < u64::from(rest))
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(index, count)| (index.parse(), count.parse()));
        let Some((Ok(index), Ok(count))) = parts else {
            return Err(format!("`{text}` is not a shard such as `0/4`"));
        };
        if count == 0 || count > Self::COUNT_MAX {
            return Err(format!("`{text}`: there can be 1 to {} shards", Self::COUNT_MAX));
        }
        if index >= count {
            let last = count - 1;
            return Err(format!("`{text}`: {count} shards are numbered from 0 to {last}"));
        }
        Ok(Self { index, count })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl serde::Serialize for Shard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Shard {
    fn schema_name() -> Cow<'static, str> {
        "Shard".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "shard",
            "type": "string",
            "pattern": "^[0-9]{1,9}/[0-9]{1,9}$",
            "examples": ["0/4"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_as_it_is_written() {
        for text in ["0/1", "0/4", "3/4", "1022/1023"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_shard_is_refused_with_the_reason() {
        for (text, reason) in [
            ("4/4", "numbered from 0 to 3"),
            ("1/0", "1 to 1023 shards"),
            ("0/1024", "1 to 1023 shards"),
            ("a/b", "such as `0/4`"),
            ("1", "such as `0/4`"),
            ("-1/4", "such as `0/4`"),
            ("0/4/8", "such as `0/4`"),
            ("/", "such as `0/4`"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole_in_each_round_and_are_equal_over_all() {
        for (all, count) in [(100, 3), (1, 4), (7, 7), (10, 1), (5, 8)] {
            let mut sums = vec![0; count as usize];
            for round in 0..u64::from(count) {
                let shards = (0..count).map(|index| Shard { index, count });
                let parts: Vec<u32> = shards.map(|shard| shard.part_of(all, round)).collect();
                assert_eq!(parts.iter().sum::<u32>(), all);
                sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            }
            assert!(sums.iter().all(|sum| *sum == all), "{sums:?}");
        }
        assert_eq!(Shard { index: 0, count: 4 }.part_of(5, 0), 2, "the first begin");
    }
}
