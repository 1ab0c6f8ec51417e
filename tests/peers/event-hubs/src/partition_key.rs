//! Which partition a key belongs to: Jenkins' lookup3, as the service and the public SDKs have it.

/// The partition of a key. The remainder is that of C and Rust, as in the clients for .NET, Java and
/// Rust; the Python client takes its own, which differs where the hash is negative.
pub(crate) fn partition_of(key: &str, partitions: usize) -> usize {
    (i32::from(hash(key)) % partitions as i32).unsigned_abs() as usize
}

fn hash(key: &str) -> i16 {
    let (c, b) = lookup3(key.as_bytes());
    (c ^ b) as u16 as i16
}

/// `hashlittle2` of lookup3.c with both seeds zero: the two results in the order (c, b).
fn lookup3(data: &[u8]) -> (u32, u32) {
    let start = 0xdead_beef_u32.wrapping_add(data.len() as u32);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = data;
    while rest.len() > 12 {
        [a, b, c] = plus(rest, a, b, c);
        (a, b, c) = mix(a, b, c);
        rest = &rest[12..];
    }
    if rest.is_empty() {
        return (c, b);
    }
    let mut last = [0; 12];
    last[..rest.len()].copy_from_slice(rest);
    [a, b, c] = plus(&last, a, b, c);
    scramble(a, b, c)
}

/// Adds the next three words.
fn plus(block: &[u8], a: u32, b: u32, c: u32) -> [u32; 3] {
    let word =
        |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    [a.wrapping_add(word(0)), b.wrapping_add(word(4)), c.wrapping_add(word(8))]
}

/// `mix` of lookup3.c.
fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    for [first, second, third] in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(first);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(second);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(third);
        b = b.wrapping_add(a);
    }
    (a, b, c)
}

/// `final` of lookup3.c.
fn scramble(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32) {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    (c, b)
}

#[cfg(test)]
mod tests {
    use super::{hash, partition_of};

    /// Keys with their hashes as `generate_hash_code` of the Python client (azure-eventhub 5.15.1) has
    /// them.
    const OF_PYTHON: [(&str, i16); 7] = [
        ("", 0),
        ("a", -16220),
        ("device-7", 28322),
        ("store-042", 21248),
        ("abcdefghijkl", -2373),
        ("abcdefghijklm", -31855),
        ("twenty-five characters ..", 7494),
    ];

    /// The same from the tests of the .NET client (PartitionResolverTests.cs).
    const OF_DOTNET: [(&str, i16); 5] = [
        ("7", -15263),
        ("7149583486996073602", 12977),
        ("sOdeEAsyQoEuEFPGerWO", -6503),
        ("!c*_!I@1^c", 15372),
        ("p4*!jioeO/z-!-;w:dh", -3104),
    ];

    #[test]
    fn hashes_are_those_of_the_public_clients() {
        for (key, expected) in OF_PYTHON.into_iter().chain(OF_DOTNET) {
            assert_eq!(hash(key), expected, "{key}");
        }
        assert_eq!(hash(&"7".repeat(100)), 15802);
    }

    #[test]
    fn negative_hash_loses_its_sign_after_the_remainder() {
        assert_eq!(partition_of("a", 32), 16220 % 32);
        assert_eq!(partition_of("device-7", 4), 2);
    }
}
