//! What the fuzzer holds of any input, of some thousands on every change: the seeds in
//! `fuzz/corpus`, and what comes of changing them.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "they are public in the crate that they are shared with")]
mod targets;

use std::panic::catch_unwind;
use std::path::Path;

use engine::event::mix;

/// Pieces that matter to one of the readers.
const SCRAPS: [&[u8]; 16] = [
    b"\xffRE\xfe",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"{",
    b"}",
    b"[",
    b"\"",
    b"\\u",
    b": ",
    b"\n  ",
    b"- ",
    b"&a ",
    b"*a",
    b"${A:-",
    b"1e999",
    b"\xc3\x28",
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = mix(self.0);
        (self.0 % bound.max(1) as u64) as usize
    }

    fn stretch(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(64) + 1)
    }
}

fn change(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let place = dice.below(input.len() + 1);
        let stretch = dice.stretch(input.len());
        match dice.below(6) {
            0 if place < input.len() => input[place] ^= 1 << dice.below(8),
            1 if place < input.len() => input[place] = dice.below(256) as u8,
            2 => drop(input.drain(stretch)),
            3 => {
                let again = input[stretch].to_vec();
                input.splice(place..place, again);
            }
            4 => {
                let scrap = SCRAPS[dice.below(SCRAPS.len())];
                input.splice(place..place, scrap.iter().copied());
            }
            _ => {
                let piece = &other[dice.stretch(other.len())];
                input.splice(place..place, piece.iter().copied());
            }
        }
    }
}

fn holds_for_many(target: &str, body: fn(&[u8]), inputs: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 3, "{} seeds", seeds.len());
    for seed in &seeds {
        body(seed);
    }
    let mut dice = Dice(1);
    for _ in 0..inputs {
        let mut input = seeds[dice.below(seeds.len())].clone();
        let other = &seeds[dice.below(seeds.len())];
        change(&mut input, other, &mut dice);
        let outcome = catch_unwind(|| body(&input));
        assert!(outcome.is_ok(), "{target} does not hold for \"{}\"", input.escape_ascii());
    }
}

#[test]
fn any_bytes_can_be_read_as_a_segment() {
    holds_for_many("segment_reader", targets::segment_reader, 5000);
}

#[test]
fn any_text_can_be_read_as_a_spec() {
    holds_for_many("spec_reader", targets::spec_reader, 1000);
}

#[test]
fn any_bytes_can_be_read_as_an_event_which_is_then_written_and_read_as_the_same() {
    holds_for_many("json_event", targets::json_event, 5000);
}
