//! What a release consists of: the program as an archive and as a Debian package, the C library, a bill of materials, and
//! the checksums of all of it.
//!
//! Two builds of the same sources are the same bytes, in whichever folder they were made: `twice` compares them.

mod bill;
mod build;
mod deb;
mod pack;
mod tree;
mod twice;

pub(crate) use twice::run_both as twice;

use crate::{install, root, target};
use anyhow::{Context, Result};
use pack::Pack;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for the files, which is made anew [default: target/packages].
    #[arg(long)]
    out: Option<PathBuf>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The files of a release, in this order.
const CHECKSUMS: &str = "SHA256SUMS";

pub(crate) fn run(options: &Options) -> Result<()> {
    let out = std::path::absolute(options.out.clone().unwrap_or_else(|| target().join("packages")))?;
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
    }
    fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    let pack = Pack::new(&out)?;
    let program = build::program()?;
    let library = build::library()?;

    let staging = out.join("staging");
    let arch = std::env::consts::ARCH;
    let name = format!("sharesock-{VERSION}-{arch}-linux-musl");
    tree::local(&program, &staging.join(&name))?;
    let mut files = vec![pack.tar_gz(&staging, &name)?];

    let (data, control) = (staging.join("data"), staging.join("control"));
    tree::system(&program, &data)?;
    deb::control(&data, &control)?;
    files.push(deb::pack(&pack, &data, &control)?);

    let name = format!("libsharesock-{VERSION}-{arch}-linux-gnu");
    // Wherever it is unpacked, pkg-config finds the rest beside its own file.
    install::lay_out(&staging.join(&name), "${pcfiledir}/../..", &library)?;
    tree::library(&staging.join(&name))?;
    files.push(pack.tar_gz(&staging, &name)?);

    files.push(bill::write(&out)?);
    fs::remove_dir_all(&staging)?;
    let sums = crate::output(Command::new("sha256sum").args(&files).current_dir(&out))?;
    fs::write(out.join(CHECKSUMS), &sums)?;
    print!("{sums}");
    println!("in {}", out.display());
    Ok(())
}

/// What stands in the sources under this name.
fn source(path: &str) -> PathBuf {
    root().join(path)
}
