//! Which partition the service would put a key in, so that the engine can tell without asking.

/// The partition of `key` among `partitions`, as the official clients work it out that send to a
/// partition of their own choice.
///
/// Zero where there are no partitions.
pub fn partition_of(key: &str, partitions: usize) -> usize {
    usize::from(hash(key)).checked_rem(partitions).unwrap_or(0)
}

/// What `key` comes to, without its sign: the partition is this modulo the number of partitions.
///
/// Bob Jenkins' lookup3 (<https://burtleburtle.net/bob/c/lookup3.c>, `hashlittle2`) over the key's
/// UTF-8, its two halves folded to a signed 16 bit number. The clients for Rust
/// (`azure_messaging_eventhubs` 0.16, `partition_resolver.rs`), .NET (`PartitionResolver.cs`) and
/// JavaScript (`partitionKeyToIdMapper.ts`) take the remainder of that number and then drop the
/// sign, which is the same as dropping it first. The source of the first two says that the service
/// does so, too; the service itself was not asked. The client for Python (`_partition_resolver.py`)
/// takes a remainder that is never negative, and so disagrees with them on many keys whose number is
/// negative.
pub fn hash(key: &str) -> u16 {
    let (c, b) = lookup3(key.as_bytes());
    ((c ^ b) as u16).cast_signed().unsigned_abs()
}

/// Both 32 bit halves of lookup3, seeded with zeros; no bytes come to zero, as in the clients.
fn lookup3(bytes: &[u8]) -> (u32, u32) {
    if bytes.is_empty() {
        return (0, 0);
    }
    let start = 0xDEAD_BEEF_u32.wrapping_add(bytes.len() as u32);
    let mut state = [start; 3];
    // The last block, full or not, is mixed in another way.
    let (blocks, last) = bytes.split_at((bytes.len() - 1) / 12 * 12);
    for block in blocks.chunks_exact(12) {
        add(&mut state, block);
        mix(&mut state);
    }
    add(&mut state, last);
    finish(&mut state);
    (state[2], state[1])
}

/// Adds up to twelve bytes, as three little-endian numbers; bytes that are missing are zeros.
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        let word = &mut state[index / 4];
        *word = word.wrapping_add(u32::from(*byte) << (index % 4 * 8));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: &mut u32, z: u32, bits: u32| {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(bits);
        *y = y.wrapping_add(z);
    };
    step(a, c, *b, 4);
    step(b, a, *c, 6);
    step(c, b, *a, 8);
    step(a, c, *b, 16);
    step(b, a, *c, 19);
    step(c, b, *a, 4);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: u32, bits: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(bits));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::{hash, lookup3, partition_of};

    /// Keys with the signed numbers that `azure-eventhub` 5.15.1 for Python makes of them.
    const OF_THE_OFFICIAL_CLIENT: &[(&str, i32)] = &[
        ("", 0),
        ("a", -16220),
        ("ab", 2093),
        ("abc", -14161),
        ("abcd", 23398),
        ("abcde", 27137),
        ("7", -15263),
        ("131", 30562),
        ("hello world", 24431),
        ("store_0001", 23058),
        ("0123456789ab", -17054),
        ("0123456789abc", -4167),
        ("TR_1700000000_00001", 22840),
        ("contoso-key-with-more-than-twenty-four-bytes", -31974),
    ];

    #[test]
    fn keys_hash_as_in_the_official_client() {
        for (key, signed) in OF_THE_OFFICIAL_CLIENT {
            assert_eq!(i32::from(hash(key)), signed.abs(), "{key}");
        }
    }

    #[test]
    fn the_halves_are_those_of_lookup3() {
        // What the self test of lookup3.c prints for `hashlittle2` with zeros as seeds.
        assert_eq!(lookup3(b"Four score and seven years ago"), (0x1777_0551, 0xCE72_26E6));
    }

    #[test]
    fn the_sign_is_dropped_as_in_dot_net() {
        // -14161 % 4 is -1 where remainders have the sign of what is divided.
        assert_eq!(partition_of("abc", 4), 1);
        assert_eq!(partition_of("abcd", 4), 2);
        assert_eq!(partition_of("0123456789ab", 32), 30);
    }

    #[test]
    fn a_hub_of_no_or_one_partition_has_one_place() {
        assert_eq!(partition_of("abc", 0), 0);
        assert_eq!(partition_of("abc", 1), 0);
    }

    #[test]
    fn many_keys_spread_evenly() {
        let mut counts = [0_u32; 32];
        for key in 0..32_000 {
            counts[partition_of(&format!("STORE_{key:05}"), counts.len())] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
