//! The messages between processes: frames, and loads of parcels.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sharesock::fuzzing::messages(bytes));
