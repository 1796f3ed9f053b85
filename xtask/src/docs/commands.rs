//! The help of each command.

use super::MADE;
use crate::output;
use anyhow::{Result, ensure};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

pub(crate) fn page(program: &Path) -> Result<String> {
    let whole = help(program, None)?;
    let commands = commands(&whole);
    ensure!(commands.len() > 10, "the help lists {} commands alone", commands.len());
    let mut page = format!(
        "# Commands and options\n\n{MADE}\n\n`sharesock COMMAND --help` prints the same.\n\n```text\n{whole}```\n"
    );
    for command in commands {
        // Writing to a string does not fail.
        let _ = write!(page, "\n## {command}\n\n```text\n{}```\n", help(program, Some(&command))?);
    }
    Ok(page)
}

/// The names below `Commands:`; `help` is not a command of its own.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned))
        .filter(|name| !name.is_empty() && name != "help")
        .collect()
}

fn help(program: &Path, command: Option<&str>) -> Result<String> {
    let mut ask = Command::new(program);
    // Values that the environment gives are in the help, too.
    ask.env_clear().args(command).arg("--help");
    let text = output(&mut ask)?;
    Ok(text.lines().map(|line| format!("{}\n", line.trim_end())).collect())
}
