//! Numbers as decimal digits, eight at a time.

use super::out_buffer::{Piece, Window};

/// One more than the largest number of four digits.
const FOUR_DIGITS: u64 = 10_000;
/// One more than the largest number of eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;
/// The digit 0 in each byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The upper digits of the last numbers of a kind: ids that are written one after the other mostly
/// share them, or those of a few ids before, where several cells or stages give ids in turn.
pub(super) struct UpperDigits {
    /// Each number stands at the place of its remainder.
    known: Box<[(u64, Piece<16>); Self::PLACES]>,
}

impl UpperDigits {
    const PLACES: usize = 16;

    /// Those of no number yet.
    pub(super) fn new() -> Self {
        // The number 0 is nowhere but in its place.
        const ZERO: Piece<16> = Piece::new("0").unwrap();
        Self { known: Box::new([(0, ZERO); Self::PLACES]) }
    }

    #[inline]
    fn of(&mut self, number: u64) -> &Piece<16> {
        let known = &mut self.known[number as usize % Self::PLACES];
        if known.0 != number {
            Self::set(known, number);
        }
        &known.1
    }

    #[cold]
    fn set(known: &mut (u64, Piece<16>), number: u64) {
        let text = Piece::new(itoa::Buffer::new().format(number)).expect("12 digits at most");
        *known = (number, text);
    }
}

impl Window<'_> {
    /// Writes the second of an id.
    #[inline]
    pub(super) fn second(&mut self, second: u32, upper: &mut UpperDigits) {
        let second = u64::from(second);
        if second < FOUR_DIGITS {
            return self.first_digits::<1>(second);
        }
        self.piece(upper.of(second / FOUR_DIGITS));
        let digits = digits_of_fours(second % FOUR_DIGITS) as u32 | ZEROS as u32;
        self.chunk(digits.to_le_bytes(), 4);
    }

    /// Writes the sequence of an id, with at least five digits.
    #[inline]
    pub(super) fn sequence(&mut self, sequence: u64, upper: &mut UpperDigits) {
        if sequence < EIGHT_DIGITS {
            return self.first_digits::<5>(sequence);
        }
        self.piece(upper.of(sequence / EIGHT_DIGITS));
        self.eight_digits(sequence % EIGHT_DIGITS);
    }

    /// Writes a number with up to eight digits and two decimals, as money has, and returns whether
    /// it is one. Of decimals with up to fifteen digits no two are the same float, so this is the
    /// shortest for it.
    #[inline]
    pub(super) fn money(&mut self, number: f64) -> bool {
        let amount = number.abs();
        let cents = (amount * 100.0 + 0.5) as i64;
        if cents >= 100 * EIGHT_DIGITS as i64
            || (cents as f64 / 100.0).to_bits() != amount.to_bits()
        {
            return false;
        }
        if number.is_sign_negative() {
            self.byte(b'-');
        }
        let cents = cents.unsigned_abs();
        self.first_digits::<1>(cents / 100);
        let [tenths, hundredths] = [cents / 10 % 10, cents % 10].map(|digit| b'0' + digit as u8);
        self.chunk([b'.', tenths, hundredths], if hundredths == b'0' { 2 } else { 3 });
        true
    }

    /// Writes a number of up to eight digits, and returns whether it is one.
    #[inline]
    pub(super) fn decimal(&mut self, number: u64) -> bool {
        let short = number < EIGHT_DIGITS;
        if short {
            self.first_digits::<1>(number);
        }
        short
    }

    /// Writes a number below 10^8, without zeros in front beyond `MIN` digits.
    #[inline]
    fn first_digits<const MIN: u32>(&mut self, number: u64) {
        let digits = digits_of(number);
        // The first digit is the lowest byte. A bit in the first that has to be there ends the
        // search for zeros before it.
        let zero_bits = (digits | 8 << (64 - 8 * MIN)).trailing_zeros() & !7;
        self.chunk(((digits | ZEROS) >> zero_bits).to_le_bytes(), 8 - zero_bits as usize / 8);
    }

    /// Writes a number below 10^8 with all eight digits.
    #[inline]
    fn eight_digits(&mut self, number: u64) {
        self.chunk((digits_of(number) | ZEROS).to_le_bytes(), 8);
    }
}

/// The eight digits of a number below 10^8, one in each byte, the first in the lowest.
#[inline]
fn digits_of(number: u64) -> u64 {
    digits_of_fours((number / FOUR_DIGITS) | ((number % FOUR_DIGITS) << 32))
}

/// The digits of two numbers below 10^4, one in each half of a word: split into two digits each,
/// then into one, all at once (Muła, "SSE: conversion integers to decimal representation").
#[inline]
fn digits_of_fours(fours: u64) -> u64 {
    // 10 486 / 2^20 is 1/100 for four digits, and 103 / 2^10 is 1/10 for two, rounded down.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}
