//! Reading protocol infos: as text, or the raw 628 or 372 bytes.

use anyhow::{Context, Result, bail};
use sharesock::ProtocolInfo;
use std::io::{ErrorKind, Read};

/// Sizes of the raw forms.
const WIDE: usize = 628;
const NARROW: usize = 372;
/// The name of the protocol lies behind it; in the wide form each letter takes two bytes.
const HEAD: usize = 116;
const UNUSABLE: &str = "what came on standard input is not a usable protocol info";
/// No line that holds an info is longer.
const LONGEST_LINE: usize = 4096;

/// What was given on the command line, or what `input` says if that was `-`.
#[cfg(target_os = "linux")]
pub(super) fn get(argument: &str, input: impl Read) -> Result<ProtocolInfo> {
    get_with_form(argument, input).map(|(info, _)| info)
}

/// The same, and in which form it was given.
pub(super) fn get_with_form(argument: &str, input: impl Read) -> Result<(ProtocolInfo, &'static str)> {
    match argument {
        "-" => read(input),
        text => Ok((text.parse().context("this is not a usable protocol info")?, "text")),
    }
}

/// One info, and nothing behind it: what follows may be meant for somebody else.
fn read(mut input: impl Read) -> Result<(ProtocolInfo, &'static str)> {
    let mut bytes = Vec::new();
    fill(&mut input, &mut bytes, 1)?;
    match bytes.first() {
        None => bail!("standard input ended before a protocol info came: did its source fail?"),
        Some(b'\n' | b'\r') => bail!("an empty line came instead of a protocol info: did its source fail?"),
        // No raw form begins with the letter that the text form begins with.
        Some(b's') => {
            while bytes.last() != Some(&b'\n') && bytes.len() < LONGEST_LINE {
                let length = bytes.len();
                fill(&mut input, &mut bytes, length + 1)?;
                if bytes.len() == length {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            Ok((text.parse().context(UNUSABLE)?, "text"))
        }
        Some(_) => {
            fill(&mut input, &mut bytes, NARROW)?;
            if bytes.get(HEAD + 1) == Some(&0) {
                fill(&mut input, &mut bytes, WIDE)?;
            }
            let form = if bytes.len() == WIDE { "wide, 628 bytes" } else { "narrow, 372 bytes" };
            Ok((ProtocolInfo::from_bytes(&bytes).context(UNUSABLE)?, form))
        }
    }
}

/// Reads on until there are `length` bytes, or no more come.
fn fill(input: &mut impl Read, bytes: &mut Vec<u8>, length: usize) -> Result<()> {
    let mut found = bytes.len();
    bytes.resize(length, 0);
    while let Some(rest) = bytes.get_mut(found..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(more) => found += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("reading standard input"),
        }
    }
    bytes.truncate(found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sharesock::CatalogEntry;

    #[test]
    fn every_form_is_read_and_nothing_behind_it() {
        for info in CatalogEntry::all().iter().map(ProtocolInfo::from) {
            for form in [format!("{info}\n").into_bytes(), info.to_wide_bytes().into(), info.to_narrow_bytes().into()] {
                let whole = [&form[..], b"the rest"].concat();
                let mut input = &whole[..];
                assert_eq!(read(&mut input).unwrap().0, info);
                assert_eq!(input, b"the rest");
            }
            assert_eq!(read(info.to_string().as_bytes()).unwrap().0, info, "the end of input ends a line, too");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for wrong in [&b""[..], b"\n", b"sharesock1:00\n", b"s", b"error: no\n", &[0; 628], &[0x66; 300]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        let long = vec![b's'; 1 << 20];
        assert!(read(&long[..]).is_err());
    }
}
