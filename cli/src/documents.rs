//! Completions and manual pages, made from the command line's own definition.

use anyhow::{Context, Result};
use clap::CommandFactory;
use std::path::Path;
use std::process::ExitCode;

/// Prints completions.
pub(crate) fn completions<C: CommandFactory>(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut visible(&C::command()), "sharesock", &mut text);
    std::io::Write::write_all(&mut std::io::stdout(), &text).context("printing completions")?;
    Ok(ExitCode::SUCCESS)
}

/// Without the commands that the program starts itself: nobody is to be offered them.
fn visible(whole: &clap::Command) -> clap::Command {
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new("sharesock").version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}

/// Writes a page for the program and one for each command.
pub(crate) fn manual<C: CommandFactory>(folder: &Path) -> Result<ExitCode> {
    clap_mangen::generate_to(C::command(), folder).with_context(|| format!("writing into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
