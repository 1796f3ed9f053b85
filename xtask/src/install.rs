//! Installing the C library.

use crate::{archive, manual, root};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where to, and how built.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the library is to be found.
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put it below this folder instead: for making packages.
    #[arg(long)]
    destdir: Option<PathBuf>,
    /// How to build it: `release` or `dev`.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// The interface's number: it changes when programs must be linked anew.
const SONAME: &str = "libsharesock.so.0";
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn link_shared(archive: &Path, shared: &Path) -> Result<()> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let map = root().join("winsock/sharesock.map");
    let mut link = Command::new(compiler);
    link.args(["-shared", "-o"]).arg(shared);
    link.args([&format!("-Wl,-soname,{SONAME}"), &format!("-Wl,--version-script={}", map.display())]);
    link.args(["-Wl,--gc-sections", "-Wl,-z,relro,-z,now,-z,defs", "-Wl,--whole-archive"]).arg(archive);
    link.args(["-Wl,--no-whole-archive", "-lgcc_s", "-lc"]);
    crate::run(&mut link)
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let prefix = std::path::absolute(&options.prefix)?;
    let below = match &options.destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix.clone(),
    };
    lay_out(&below, &prefix.display().to_string(), &archive(&options.profile)?)?;
    println!("installed below {}; a program is built by", prefix.display());
    println!("  export PKG_CONFIG_PATH={}/lib/pkgconfig", prefix.display());
    println!(
        "  cc program.c -o program $(pkg-config --cflags --libs sharesock)   # with Winsock's names; plain C: libsharesock"
    );
    Ok(())
}

/// Puts all files of the library below a folder. `prefix` is where pkg-config is to look for them.
pub(crate) fn lay_out(below: &Path, prefix: &str, archive: &Path) -> Result<()> {
    let place = |folder: &str| -> Result<PathBuf> {
        let there = below.join(folder);
        fs::create_dir_all(&there).with_context(|| format!("creating {}", there.display()))?;
        Ok(there)
    };
    let lib = place("lib")?;
    let shared = format!("libsharesock.so.{VERSION}");
    // Programs that run have the old file open: it is replaced, not overwritten.
    replace(&lib.join("libsharesock.a"), |to| Ok(fs::copy(archive, to).map(drop)?))?;
    replace(&lib.join(&shared), |to| link_shared(archive, to))?;
    replace(&lib.join(SONAME), |to| Ok(symlink(&shared, to)?))?;
    replace(&lib.join("libsharesock.so"), |to| Ok(symlink(SONAME, to)?))?;

    copy_headers(&root().join("winsock/include"), &place("include/sharesock")?)?;
    let header = root().join("winsock/plain/sharesock.h");
    replace(&place("include")?.join("sharesock.h"), |to| Ok(fs::copy(&header, to).map(drop)?))?;
    for (name, include, what) in [
        ("sharesock", "/sharesock", "Winsock for Linux, with sockets that processes share"),
        ("libsharesock", "", "live sockets that processes share, in plain C"),
    ] {
        let parts =
            [("@prefix@", prefix), ("@version@", VERSION), ("@name@", name), ("@include@", include), ("@what@", what)];
        let description = parts.iter().fold(PC.to_owned(), |text, (mark, part)| text.replace(mark, part));
        replace(&place("lib/pkgconfig")?.join(format!("{name}.pc")), |to| Ok(fs::write(to, &description)?))?;
    }
    let page = root().join("winsock/man/sharesock_winsock.7");
    replace(&place("share/man/man7")?.join("sharesock_winsock.7"), |to| Ok(fs::copy(&page, to).map(drop)?))?;
    let text = fs::read_to_string(&header).with_context(|| format!("reading {}", header.display()))?;
    let man = place("share/man/man3")?;
    for page in manual::pages(&text, VERSION)? {
        replace(&man.join(format!("{}.3", page.name)), |to| Ok(fs::write(to, &page.source)?))?;
    }
    Ok(())
}

fn copy_headers(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_headers(&entry.path(), &there)?,
            false => replace(&there, |to| Ok(fs::copy(entry.path(), to).map(drop)?))?,
        }
    }
    Ok(())
}

/// Makes a file beside its place, then moves it there.
fn replace(place: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = place.with_file_name(name);
    let _ = fs::remove_file(&beside);
    make(&beside).with_context(|| format!("making {}", place.display()))?;
    fs::rename(&beside, place).with_context(|| format!("making {}", place.display()))
}

/// The runtime search path is in it, so that a program finds the library outside of the system's folders.
const PC: &str = "\
prefix=@prefix@
libdir=${prefix}/lib
includedir=${prefix}/include@include@

Name: @name@
Description: @what@
Version: @version@
Cflags: -I${includedir}
Libs: -L${libdir} -Wl,-rpath,${libdir} -lsharesock
Libs.private: -lgcc_eh -lpthread -ldl -lm -lc
";
