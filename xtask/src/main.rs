//! What is done with the sources, beyond building and testing.

mod abi;
mod dist;
mod docs;
mod install;
mod manual;
mod promises;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is done with the sources, beyond building and testing.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Install the C library: headers, shared and static library, pkg-config file and manual page.
    #[command(after_help = "Example:\n  cargo xtask install --prefix ~/.local")]
    Install(install::Options),
    /// Compare what the shared library exports with `winsock/sharesock.map`.
    Abi,
    /// Pack a release: the program as an archive and a Debian package, the C library, a bill of materials, checksums.
    #[command(after_help = "Example:\n  cargo xtask dist --out /tmp/packages")]
    Dist(dist::Options),
    /// Pack a release twice, in different folders, and compare the bytes.
    DistTwice,
    /// Compare what the documents promise with `proof/promises.toml`, and that with the tests.
    Promises,
    /// Make the pages of `docs/reference` from the code.
    Reference(docs::Options),
    /// Make the site from `docs/`, in target/book; needs mdbook.
    Book,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Install(options) => install::run(&options),
        Task::Abi => abi::run(),
        Task::Dist(options) => dist::run(&options),
        Task::DistTwice => dist::twice(),
        Task::Promises => promises::run(),
        Task::Reference(options) => docs::reference(&options),
        Task::Book => docs::book(),
    }
}

/// The folder of the whole project: that from which cargo runs this, for two checkouts may share what was built.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Builds the archive of the C library; where it lies.
fn archive(profile: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--package", "sharesock-winsock", "--lib", "--profile", profile]);
    run(build.current_dir(root()))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target().join(folder).join("libsharesock_winsock.a"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
