//! Builds a release once more in another folder, and compares.

use super::CHECKSUMS;
use crate::{output, root, run, target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Packs what is here, and a copy of the sources elsewhere; both must have the same checksums.
pub(crate) fn run_both() -> Result<()> {
    let here = target().join("packages");
    super::run(&super::Options { out: Some(here.clone()) })?;

    // Another path, and one of another length.
    let copy = target().join("twice/a copy of the sources");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let files = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root()))?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        copy_file(file, &copy)?;
    }
    let there = copy.join("packages");
    let time = super::pack::Pack::new(&here)?.time;
    let mut again = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    again.args(["run", "--quiet", "--locked", "--package", "xtask", "--", "dist", "--out"]).arg(&there);
    again.env("SOURCE_DATE_EPOCH", time.to_string()).env("CARGO_TARGET_DIR", copy.join("built"));
    // Cargo tells what it runs where its own manifest is.
    again.env_remove("CARGO_MANIFEST_DIR");
    if std::env::var_os("SHARESOCK_WINDOWS_TOOLCHAIN").is_none() {
        again.env("SHARESOCK_WINDOWS_TOOLCHAIN", root().join("target/windows-toolchain"));
    }
    run(again.current_dir(&copy))?;

    let [first, second] = [&here, &there].map(|folder| fs::read_to_string(folder.join(CHECKSUMS)));
    let (first, second) = (first?, second?);
    let differing: Vec<_> = first.lines().zip(second.lines()).filter(|(first, second)| first != second).collect();
    ensure!(
        first == second,
        "two builds differ: {differing:#?}\nThe files are in {} and {}; `diffoscope` shows where",
        here.display(),
        there.display()
    );
    fs::remove_dir_all(&copy)?;
    println!("built twice in different folders: {} files, the same bytes", first.lines().count());
    Ok(())
}

fn copy_file(file: &str, to: &Path) -> Result<()> {
    let (from, to) = (root().join(file), to.join(file));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    match from.symlink_metadata().with_context(|| format!("reading {}", from.display()))?.is_symlink() {
        true => std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?,
        false => fs::copy(&from, &to).map(drop)?,
    }
    Ok(())
}
