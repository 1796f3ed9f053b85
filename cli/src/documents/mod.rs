//! Completions and manual pages, made from the command line's own definition.

mod completions;
mod manual;

use anyhow::{Context, Result};
use clap::CommandFactory;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Prints completions.
pub(crate) fn completions<C: CommandFactory>(shell: clap_complete::Shell) -> Result<ExitCode> {
    let text = completions::script(shell, &mut visible(&C::command()));
    std::io::stdout().write_all(text.as_bytes()).context("printing completions")?;
    Ok(ExitCode::SUCCESS)
}

/// Without the commands that the program starts itself: nobody is to be offered them.
fn visible(whole: &clap::Command) -> clap::Command {
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new("sharesock").version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}

/// Writes a page for the program and one for each command.
pub(crate) fn manual<C: CommandFactory>(folder: &Path) -> Result<ExitCode> {
    let mut whole = C::command().disable_help_subcommand(true);
    whole.build();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    for command in std::iter::once(&whole).chain(shown) {
        manual::write(command, folder).with_context(|| format!("writing into {}", folder.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
