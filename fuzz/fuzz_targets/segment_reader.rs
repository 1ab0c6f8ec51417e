//! See `engine_fuzz::segment_reader`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engine_fuzz::segment_reader(bytes));
