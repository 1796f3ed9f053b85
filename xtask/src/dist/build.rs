//! Builds the program and the C library for a release: no symbols, and no path of the machine that builds.

use crate::{root, run, target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROFILE: &str = "dist";

/// The program, linked with musl: it needs nothing of the system that it runs on but the kernel.
pub(crate) fn program() -> Result<PathBuf> {
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let folder = target().join("musl");
    let mut build = cargo("build");
    build.args(["--quiet", "--locked", "--package", "sharesock-cli", "--profile", PROFILE, "--target", &musl]);
    build.env("CARGO_TARGET_DIR", &folder);
    if !installed(&musl)? {
        with_sources(&mut build, &musl, &folder)?;
    }
    run(build.current_dir(root()))?;
    let program = folder.join(&musl).join(PROFILE).join("sharesock");
    let elf = crate::output(Command::new("readelf").args(["--program-headers", "--wide"]).arg(&program))?;
    ensure!(!elf.contains("INTERP"), "{} is not static: it asks for a dynamic linker", program.display());
    let bytes = fs::read(&program)?;
    for path in [home("CARGO_HOME", ".cargo"), root()] {
        let path = path.display().to_string();
        let found = bytes.windows(path.len()).any(|window| window == path.as_bytes());
        ensure!(!found, "{} names a folder of this machine: {path}", program.display());
    }
    Ok(program)
}

/// The archive of the C library, for the system's own C library.
pub(crate) fn library() -> Result<PathBuf> {
    let folder = target().join("gnu");
    let mut build = cargo("build");
    build.args(["--quiet", "--locked", "--package", "sharesock-winsock", "--lib", "--profile", PROFILE]);
    build.env("CARGO_TARGET_DIR", &folder);
    run(build.current_dir(root()))?;
    Ok(folder.join(PROFILE).join("libsharesock_winsock.a"))
}

fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(command).env("CARGO_INCREMENTAL", "0").env("CARGO_ENCODED_RUSTFLAGS", flags(&[]));
    cargo
}

/// Flags of the compiler that put general names in the place of this machine's folders.
fn flags(more: &[String]) -> String {
    let mut flags = vec![
        format!("--remap-path-prefix={}=cargo", home("CARGO_HOME", ".cargo").display()),
        format!("--remap-path-prefix={}=sharesock", root().display()),
    ];
    flags.extend_from_slice(more);
    flags.join("\u{1f}")
}

/// Whether the standard library for this target came with the compiler.
fn installed(musl: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = crate::output(Command::new(rustc).args(["--print", "target-libdir", "--target", musl]))?;
    Ok(Path::new(folder.trim()).exists())
}

/// Builds the standard library, too: from Debian's sources, for where rustup can add no target.
fn with_sources(build: &mut Command, musl: &str, folder: &Path) -> Result<()> {
    let toolchain = crate::output(&mut Command::new(root().join("windows/toolchain")))
        .context("fetching sources of the standard library (or add the target: rustup target add …-linux-musl)")?;
    let toolchain = PathBuf::from(toolchain.trim());
    let parts = folder.join("unwind");
    fs::create_dir_all(&parts).with_context(|| format!("creating {}", parts.display()))?;
    let (source, object) = (parts.join("unwind.c"), parts.join("unwind.o"));
    fs::write(&source, include_str!("unwind.c"))?;
    run(Command::new("musl-gcc").args(["-O2", "-c"]).arg(&source).arg("-o").arg(&object))?;
    let unwinder =
        unwinder().context("no static libunwind of LLVM below /usr/lib: apt-get install libunwind-14-dev")?;
    fs::copy(&unwinder, parts.join("libunwind.a"))?;
    let upper = musl.to_uppercase().replace('-', "_");
    build.args(["-Zbuild-std=std,panic_unwind"]);
    build.env("RUSTC", toolchain.join("rustc")).env("RUSTC_BOOTSTRAP", "1");
    build.env(format!("CARGO_TARGET_{upper}_LINKER"), "musl-gcc");
    let more = [
        format!("--remap-path-prefix={}=rust", toolchain.display()),
        "-Clink-self-contained=no".to_owned(),
        // Debian's musl-gcc cannot link a static program that is position-independent.
        "-Crelocation-model=static".to_owned(),
        format!("-Lnative={}", parts.display()),
        format!("-Clink-arg={}", object.display()),
    ];
    build.env("CARGO_ENCODED_RUSTFLAGS", flags(&more));
    Ok(())
}

/// The unwinder that Rust's own musl target links, too.
fn unwinder() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found: Vec<_> = folders
        .filter(|folder| folder.file_name().to_string_lossy().starts_with("llvm-"))
        .map(|folder| folder.path().join("lib/libunwind.a"))
        .filter(|archive| archive.exists())
        .collect();
    found.sort();
    found.pop()
}

/// The folder that a variable names, by default one in the home directory.
fn home(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable)
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(default), PathBuf::from)
}
