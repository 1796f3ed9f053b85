//! The site: `docs/`, by mdbook, with links out of that folder to the repository.

use crate::{root, run as run_command, target};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

const REPOSITORY: &str = env!("CARGO_PKG_HOMEPAGE");

pub(crate) fn run() -> Result<()> {
    let book = target().join("book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("removing {}", book.display()))?;
    }
    copy(&root().join("docs"), Path::new("docs"), &book.join("src"))?;
    fs::rename(book.join("src/book.toml"), book.join("book.toml"))?;
    run_command(Command::new("mdbook").arg("build").arg(&book))
        .context("making the site (cargo install mdbook --locked)")?;
    println!("{}", book.join("book/index.html").display());
    Ok(())
}

/// Copies a folder. `directory` is where its files lie in the repository.
fn copy(from: &Path, place: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &place.join(entry.file_name()), &to)?;
        } else if from.extension().is_some_and(|extension| extension == "md") {
            fs::write(&to, outward(&fs::read_to_string(&from)?, place))?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// The page with links that lead out of `docs/` made links to the repository.
fn outward(page: &str, place: &Path) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, link)) = rest.split_once("](") {
        let Some((link, after)) = link.split_once(')') else { break };
        text.push_str(before);
        text.push_str("](");
        match inside(place, link) {
            Some(path) if !path.starts_with("docs") => {
                text.push_str(&format!("{REPOSITORY}/blob/main/{}", path.display()));
            }
            _ => text.push_str(link),
        }
        text.push(')');
        rest = after;
    }
    text + rest
}

/// The path in the repository to which a link of a file in `directory` leads, if it leads to a file.
fn inside(place: &Path, link: &str) -> Option<PathBuf> {
    if link.starts_with('#') || link.contains("://") {
        return None;
    }
    let mut path = place.to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::{REPOSITORY, outward};
    use std::path::Path;

    #[test]
    fn links_out_of_the_folder_lead_to_the_repository_and_others_stay() {
        let page = "[a](b.md#c) [out](../../winsock/x.c) [up](../d.md) [web](https://e.f/g) [here](#h) ![p](../pictures/i.svg)";
        let made = outward(page, Path::new("docs/how-to"));
        let expected = page.replace("../../winsock/x.c", &format!("{REPOSITORY}/blob/main/winsock/x.c"));
        assert_eq!(made, expected);
    }
}
