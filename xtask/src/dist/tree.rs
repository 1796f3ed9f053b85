//! What lies where: below a prefix of one's own, and on a Debian system.

use super::source;
use crate::run;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Documents that go with every package.
const DOCUMENTS: &[&str] = &["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE"];
const UNITS: &[&str] = &["sharesock@.service", "sharesock@.socket"];

/// An archive that is unpacked anywhere, such as `/usr/local`.
pub(crate) fn local(program: &Path, to: &Path) -> Result<()> {
    common(program, to)?;
    for unit in UNITS {
        copy(&source("contrib/systemd").join(unit), &to.join("lib/systemd/system").join(unit))?;
    }
    documents(&to.join("share/doc/sharesock"))
}

/// A Debian package: the program in `/usr/bin`, pages compressed, units that name it.
pub(crate) fn system(program: &Path, to: &Path) -> Result<()> {
    let usr = to.join("usr");
    common(program, &usr)?;
    for page in fs::read_dir(usr.join("share/man/man1"))? {
        run(Command::new("gzip").args(["--best", "--no-name"]).arg(page?.path()))?;
    }
    for unit in UNITS {
        let text = fs::read_to_string(source("contrib/systemd").join(unit))?;
        let to = usr.join("lib/systemd/system").join(unit);
        write(&to, text.replace("/usr/local/bin/", "/usr/bin/"))?;
    }
    let documents = usr.join("share/doc/sharesock");
    self::documents(&documents)?;
    // Debian's name for what may be done with it.
    let licences = DOCUMENTS.iter().filter(|name| name.starts_with("LICENSE"));
    let texts: Vec<_> = licences.map(|name| fs::read_to_string(source(name))).collect::<Result<_, _>>()?;
    write(&documents.join("copyright"), texts.join("\n"))
}

/// What the archive of the C library has beside what is installed.
pub(crate) fn library(to: &Path) -> Result<()> {
    for file in ["libsharesock.a", &format!("libsharesock.so.{}", super::VERSION)] {
        let strip = if file.ends_with(".a") { "--strip-debug" } else { "--strip-unneeded" };
        run(Command::new("strip").args(["--enable-deterministic-archives", strip]).arg(to.join("lib").join(file)))?;
    }
    copy(&source("winsock/sharesock.map"), &to.join("share/sharesock/sharesock.map"))?;
    documents(&to.join("share/doc/libsharesock"))
}

/// Program, pages, completions, and what goes with the supervisor.
fn common(program: &Path, to: &Path) -> Result<()> {
    copy(program, &to.join("bin/sharesock"))?;
    fs::set_permissions(to.join("bin/sharesock"), fs::Permissions::from_mode(0o755))?;
    let pages = to.join("share/man/man1");
    fs::create_dir_all(&pages).with_context(|| format!("creating {}", pages.display()))?;
    run(Command::new(program).arg("man").arg(&pages))?;
    for (shell, place) in [
        ("bash", "bash-completion/completions/sharesock"),
        ("zsh", "zsh/vendor-completions/_sharesock"),
        ("fish", "fish/vendor_completions.d/sharesock.fish"),
    ] {
        let text = crate::output(Command::new(program).args(["completions", shell]))?;
        write(&to.join("share").join(place), &text)?;
    }
    copy(&source("contrib/node/sharesock.cjs"), &to.join("share/sharesock/sharesock.cjs"))?;
    copy(&source("contrib/sharesock.toml"), &to.join("share/doc/sharesock/examples/sharesock.toml"))
}

fn documents(to: &Path) -> Result<()> {
    DOCUMENTS.iter().try_for_each(|name| copy(&source(name), &to.join(name)))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    write(to, bytes)
}

pub(super) fn write(to: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::write(to, contents).with_context(|| format!("writing {}", to.display()))
}
