//! See `engine_fuzz::spec_reader`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engine_fuzz::spec_reader(bytes));
