//! See `engine_fuzz::json_event`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engine_fuzz::json_event(bytes));
