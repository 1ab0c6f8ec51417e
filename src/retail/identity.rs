//! The ids of a customer's devices: made from the customer's number alone, so that every source
//! gives one customer the same, and two customers different ones.

use compact_str::CompactString;

use crate::event::Text;

const DIGITS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// 36 cubed: half a code.
const HALF: u64 = 46_656;
const CODES: u64 = HALF * HALF;
/// Shares no factor with 36, so that multiplying by it maps codes one to one.
const FACTOR: u64 = 1_345_266_299;

/// The id that beacons hear: `BLE` and six of `[A-Z0-9]`.
pub fn ble_id(customer: u32) -> Text {
    coded("BLE", customer, 0x2545_f491)
}

/// The id that ad servers know: `AD` and six of `[A-Z0-9]`.
pub fn ad_id(customer: u32) -> Text {
    coded("AD", customer, 0x1b87_3593)
}

fn coded(prefix: &str, customer: u32, salt: u64) -> Text {
    let mut text = CompactString::with_capacity(prefix.len() + 6);
    text.push_str(prefix);
    let mut code = scatter(u64::from(customer), salt);
    for _ in 0..6 {
        text.push(char::from(DIGITS[(code % 36) as usize]));
        code /= 36;
    }
    Text::Plain(text)
}

/// A permutation of the codes: each step can be undone.
fn scatter(number: u64, salt: u64) -> u64 {
    let spread = |code: u64| (code * FACTOR + salt) % CODES;
    let swap = |code: u64| code / HALF + code % HALF * HALF;
    spread(swap(spread(swap(spread(number % CODES)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_customers_share_a_device() {
        let codes: HashSet<u64> = (1..=500_000).map(|customer| scatter(customer, 7)).collect();
        assert_eq!(codes.len(), 500_000);
    }

    #[test]
    fn an_id_is_a_prefix_and_six_letters_or_digits() {
        for customer in [1, 2, u32::MAX] {
            for (id, prefix) in [(ble_id(customer), "BLE"), (ad_id(customer), "AD")] {
                let id = id.to_string();
                let code = id.strip_prefix(prefix).unwrap();
                assert!(code.len() == 6 && code.bytes().all(|byte| DIGITS.contains(&byte)), "{id}");
            }
        }
        assert_ne!(ble_id(1).to_string()[3..], ad_id(1).to_string()[2..]);
    }
}
