//! The text forms of an info and of a process.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(info) = text.parse::<sharesock::ProtocolInfo>() {
        assert_eq!(info.to_string().parse(), Ok(info));
    }
    if let Ok(process) = text.parse::<sharesock::Process>() {
        assert_eq!(process.to_string().parse(), Ok(process));
    }
});
