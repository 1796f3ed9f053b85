//! A protocol info from anywhere: what is accepted is what we would have written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(info) = sharesock::ProtocolInfo::from_bytes(bytes) {
        assert_eq!(info.to_wide_bytes()[..116], bytes[..116]);
        assert_eq!(sharesock::ProtocolInfo::from_bytes(&info.to_narrow_bytes()), Ok(info));
        assert_eq!(info.to_string().parse(), Ok(info));
        let _ = format!("{info:?}");
    }
});
