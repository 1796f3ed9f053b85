//! `{fd}` and `{fd:NAME}` in the arguments of a command: the numbers of its listeners.

use crate::activation::FIRST;
use anyhow::{Result, bail};
use std::ffi::OsString;

/// `{fd}` is the number of the first listener, `{fd:NAME}` of that one.
pub(super) fn with_numbers(command: &[OsString], listeners: &[&str]) -> Vec<OsString> {
    let put = |argument: &OsString| {
        let Some(text) = argument.to_str().filter(|text| text.contains("{fd")) else { return argument.clone() };
        let mut text = text.to_owned();
        for (number, name) in (FIRST..).zip(listeners) {
            text = text.replace(&format!("{{fd:{name}}}"), &number.to_string());
        }
        match listeners.is_empty() {
            true => text.into(),
            false => text.replace("{fd}", &FIRST.to_string()).into(),
        }
    };
    command.iter().map(put).collect()
}

/// Whether each placeholder of the command names a listener.
pub(super) fn check_placeholders(command: &[OsString], names: &[&str]) -> Result<()> {
    for argument in command.iter().filter_map(|argument| argument.to_str()) {
        for part in argument.split("{fd").skip(1) {
            let named = part.strip_prefix(':').and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
            match named {
                Some(name) if !names.contains(&name) => {
                    bail!("{{fd:{name}}} names no listener: give --listen {name}=…")
                }
                None if part.starts_with('}') && names.is_empty() => bail!("{{fd}} needs a listener: give --listen"),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_numbers() {
        let listeners = ["web", "admin"];
        let command: Vec<OsString> =
            ["a", "--fd={fd}", "{fd:admin}", "{fd:other}", "x{fd:web}y"].map(Into::into).to_vec();
        assert_eq!(with_numbers(&command, &listeners), ["a", "--fd=3", "4", "{fd:other}", "x3y"]);
        assert!(check_placeholders(&command, &["web", "admin"]).is_err());
        assert!(check_placeholders(&command, &["web", "admin", "other"]).is_ok());
        assert!(check_placeholders(&command[..2], &[]).is_err());
        assert!(check_placeholders(&["{fdx".into()], &[]).is_ok());
    }
}
