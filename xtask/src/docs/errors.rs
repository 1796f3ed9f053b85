//! The library's errors, as `src/error.rs` defines them.

use super::MADE;
use crate::root;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// What most mistakes are in Winsock: `WSAEINVAL`.
const OTHERS: &str = "10022";

/// One kind of error.
#[derive(Debug, PartialEq)]
struct Kind {
    name: String,
    /// When it is returned.
    when: String,
    /// What it says.
    message: String,
}

pub(crate) fn page() -> Result<String> {
    let source = fs::read_to_string(root().join("src/error.rs")).context("reading src/error.rs")?;
    let kinds = kinds(&source);
    ensure!(kinds.len() > 30, "src/error.rs shows {} kinds of errors alone: it has another layout", kinds.len());
    let codes = codes(&source);
    let mut page = format!(
        "# Errors\n\n{MADE}\n\nThe library has one error type, `sharesock::Error`. Each kind says what was wrong and what to do. \
         `winsock_code()` is what\n`WSAGetLastError` returns for the same mistake, `os_code()` the system's own code where it refused a call.\n\n\
         | kind | when | message | Winsock |\n| --- | --- | --- | --- |\n"
    );
    for kind in kinds {
        let code = codes.get(&kind.name).map_or(OTHERS, String::as_str);
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{}` | {} | {} | {code} |", kind.name, cell(&kind.when), cell(&kind.message));
    }
    Ok(page)
}

/// The variants of `pub enum Error`.
fn kinds(source: &str) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let (mut when, mut message, mut in_message) = (Vec::new(), String::new(), false);
    let body = source.lines().skip_while(|line| *line != "pub enum Error {").skip(1).take_while(|line| *line != "}");
    for line in body {
        let inner = line.trim();
        if in_message {
            in_message = !inner.ends_with(")]");
            message.push_str(quoted(inner).unwrap_or_default());
        } else if let Some(text) = line.strip_prefix("    /// ") {
            when.push(text.to_owned());
        } else if let Some(rest) = line.strip_prefix("    #[error(") {
            in_message = !rest.ends_with(")]");
            message.push_str(quoted(rest).unwrap_or_default());
        } else if line.starts_with("    ") && line.as_bytes().get(4).is_some_and(u8::is_ascii_uppercase) {
            let name = inner.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned();
            kinds.push(Kind { name, when: std::mem::take(&mut when).join(" "), message: std::mem::take(&mut message) });
        }
    }
    kinds
}

/// What stands between the first and the last quotation mark.
fn quoted(line: &str) -> Option<&str> {
    let (first, last) = (line.find('"')?, line.rfind('"')?);
    line.get(first + 1..last)
}

/// The codes of the arms of `winsock_code`.
fn codes(source: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = Vec::new();
    let body = source
        .lines()
        .skip_while(|line| !line.contains("pub fn winsock_code(&self)"))
        .take_while(|line| *line != "    }");
    for line in body {
        waiting.extend(
            line.split("Error::")
                .skip(1)
                .map(|rest| rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()),
        );
        if let Some((_, code)) = line.split_once("=>") {
            let code = code.trim().trim_end_matches(',');
            let code =
                if code.chars().all(|digit| digit.is_ascii_digit()) { code } else { "that of the system's code" };
            found.extend(waiting.drain(..).map(|name| (name, code.to_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Kind, codes, kinds};

    const SOURCE: &str = r#"
pub enum Error {
    /// It is one
    /// of two lines.
    #[error("short: {0}")]
    Short(u32),
    /// Other.
    #[error(
        "long"
    )]
    Long {
        /// Not this.
        pid: u32,
    },
}
    pub fn winsock_code(&self) -> i32 {
        match self {
            Error::Short(_)
            | Error::Long { .. } => 10055,
            Error::System { os_code } => winsock_code(*os_code),
            _ => 10022,
        }
    }
"#;

    #[test]
    fn each_variant_has_its_lines_and_its_code() {
        let kind = |name: &str, when: &str, message: &str| Kind {
            name: name.to_owned(),
            when: when.to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(
            kinds(SOURCE),
            [kind("Short", "It is one of two lines.", "short: {0}"), kind("Long", "Other.", "long")]
        );
        let codes = codes(SOURCE);
        assert_eq!(
            [&codes["Short"], &codes["Long"], &codes["System"]],
            ["10055", "10055", "that of the system's code"]
        );
    }
}
