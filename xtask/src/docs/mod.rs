//! Documents that are made from the code, and the site that they are part of.

mod book;
mod commands;
mod errors;
mod metrics;

pub(crate) use book::run as book;

use crate::{root, run as run_command, target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What to do with the pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a page is not as the code makes it.
    #[arg(long)]
    check: bool,
}

/// The line below the title of each page.
const MADE: &str = "<!-- Made by `cargo xtask reference`: change the code, and run that. -->";

/// Makes the pages of `docs/reference`.
pub(crate) fn reference(options: &Options) -> Result<()> {
    let program = program()?;
    let pages = [
        ("commands.md", commands::page(&program)?),
        ("errors.md", errors::page()?),
        ("metrics.md", metrics::page(&program)?),
    ];
    let folder = root().join("docs/reference");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut stale = Vec::new();
    for (name, text) in pages {
        let place = folder.join(name);
        if !options.check {
            fs::write(&place, text).with_context(|| format!("writing {}", place.display()))?;
        } else if fs::read_to_string(&place).ok().as_deref() != Some(&text) {
            stale.push(name);
        }
    }
    ensure!(stale.is_empty(), "not as the code makes them: {stale:?} in docs/reference; run `cargo xtask reference`");
    Ok(())
}

/// The program, built.
fn program() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    run_command(build.args(["build", "--quiet", "--locked", "--package", "sharesock-cli"]).current_dir(root()))?;
    Ok(target().join("debug/sharesock"))
}
