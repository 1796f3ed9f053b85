//! What the shared library exports is what its map says: neither more nor less.

use crate::{archive, install, output, root, target};
use anyhow::{Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

pub(crate) fn run() -> Result<()> {
    let archive = archive("release")?;
    let shared = target().join("libsharesock-abi.so");
    install::link_shared(&archive, &shared)?;

    let map = fs::read_to_string(root().join("winsock/sharesock.map"))?;
    let listed = listed(&map)?;
    // With its version behind each: `WSASend@@SHARESOCK_0.1`.
    let exported =
        names(&output(Command::new("nm").args(["--dynamic", "--defined-only", "--extern-only"]).arg(&shared))?);
    let exported: BTreeSet<String> = exported.into_iter().filter(|name| !name.starts_with("SHARESOCK_")).collect();
    // What is meant to be exported: by its name.
    let meant = names(&output(Command::new("nm").args(["--defined-only", "--extern-only"]).arg(&archive))?);
    let is_ours = |name: &&String| name.starts_with("WSA") || name.starts_with("WSP") || name.starts_with("sharesock_");
    let meant: BTreeSet<String> = meant.iter().filter(is_ours).cloned().collect();
    let bare: BTreeSet<String> =
        listed.iter().map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect();

    let missing: Vec<_> = listed.difference(&exported).collect();
    let surplus: Vec<_> = exported.difference(&listed).collect();
    let unlisted: Vec<_> = meant.difference(&bare).collect();
    if !(missing.is_empty() && surplus.is_empty() && unlisted.is_empty()) {
        bail!(
            "the map lists and the library lacks {missing:?}; it exports beside {surplus:?}; not in the map {unlisted:?}"
        );
    }
    println!("{} functions, each with its version", listed.len());
    Ok(())
}

/// The names of a map, each with its version.
fn listed(map: &str) -> Result<BTreeSet<String>> {
    let mut version = None;
    let mut names = BTreeSet::new();
    for line in map.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match line.split_once('{') {
            Some((name, _)) => version = Some(name.trim().to_owned()),
            None if line.starts_with('}') => version = None,
            None if line.is_empty() || line.ends_with(':') || line == "*;" => {}
            None => {
                let Some(version) = &version else { bail!("{line:?} stands outside of a version") };
                ensure!(line.ends_with(';'), "{line:?} does not end with a semicolon");
                names.insert(format!("{}@@{version}", line.trim_end_matches(';')));
            }
        }
    }
    Ok(names)
}

/// The last column of what `nm` prints.
fn names(table: &str) -> BTreeSet<String> {
    table
        .lines()
        .filter(|line| !line.ends_with(':'))
        .filter_map(|line| line.split(' ').next_back())
        .map(str::to_owned)
        .collect()
}
