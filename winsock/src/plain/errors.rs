//! Names and texts of what calls return when they fail.
#![allow(unsafe_code)]

use super::errnos;
use super::failure::{OWN, last_text};
use crate::memory::Out;
use sharesock::ErrorKind;
use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

fn kind(code: i32) -> Option<ErrorKind> {
    u16::try_from(OWN.checked_sub(code)?).ok().and_then(ErrorKind::from_number)
}

/// The names of our kinds, each with its null.
fn own_names() -> &'static [(ErrorKind, std::ffi::CString)] {
    static NAMES: OnceLock<Vec<(ErrorKind, std::ffi::CString)>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let name = |kind: &ErrorKind| Some((*kind, std::ffi::CString::new(kind.name()).ok()?));
        ErrorKind::ALL.iter().filter_map(name).collect()
    })
}

fn name(code: i32) -> Option<&'static CStr> {
    match kind(code) {
        Some(kind) => own_names().iter().find(|(known, _)| *known == kind).map(|(_, name)| name.as_c_str()),
        None => errnos::name(code.checked_neg()?),
    }
}

fn text(code: i32) -> String {
    match (last_text(code), kind(code), code.checked_neg()) {
        (Some(text), _, _) => text,
        (None, Some(kind), _) => kind.text().to_owned(),
        (None, None, Some(errno @ 1..4096)) => std::io::Error::from_raw_os_error(errno).to_string(),
        _ => format!("{code} is no result of a call that failed"),
    }
}

/// `sharesock_error_name`: such as `ESRCH` or `ALREADY_REDEEMED`; null for what is no failure.
#[unsafe(no_mangle)]
pub extern "C" fn sharesock_error_name(code: i32) -> *const c_char {
    name(code).map_or(std::ptr::null(), CStr::as_ptr)
}

/// `sharesock_error_text`: what went wrong and what to do; returns its length, of which as much is written as has room.
///
/// # Safety
/// `place` has room for `size` bytes, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sharesock_error_text(code: i32, place: Out<u8>, size: usize) -> usize {
    let text = text(code);
    if let (false, Some(room)) = (place.is_null(), size.checked_sub(1)) {
        // A letter is not cut in two.
        let fitting = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let bytes = [text.as_bytes().get(..fitting).unwrap_or_default(), b"\0"].concat();
        let _ = place.put_many(&bytes);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_name_and_a_text() {
        for kind in ErrorKind::ALL {
            let code = OWN - i32::from(kind.number());
            assert_eq!(name(code).unwrap().to_str().unwrap(), kind.name());
            assert_eq!(text(code), kind.text());
        }
        assert_eq!(name(-libc::EMFILE).unwrap().to_str().unwrap(), "EMFILE");
        assert_eq!((name(0), name(7), name(i32::MIN), name(-999)), (None, None, None, None));
        assert!(text(i32::MIN).contains("no result"));
    }

    #[test]
    fn the_header_has_the_numbers_of_all_kinds() {
        let header = include_str!("../../plain/sharesock.h");
        for kind in ErrorKind::ALL.iter().filter(|kind| **kind != ErrorKind::System) {
            let line = format!("#define SHARESOCK_E_{} ({})", kind.name(), OWN - i32::from(kind.number()));
            let defines = |found: &str| found.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&line);
            assert!(header.lines().any(defines), "{line}");
        }
    }
}
