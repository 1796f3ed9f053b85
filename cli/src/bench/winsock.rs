//! What the C library's calls cost, beside the same program under Wine.

use super::Bench;
use super::measure::Figure;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// A kind of work, by both.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Call {
    work: String,
    pub(crate) ours: Figure,
    /// Nothing when MinGW or Wine is not installed.
    pub(crate) wine: Option<Figure>,
}

impl Call {
    pub(crate) fn work(&self) -> &str {
        &self.work
    }
}

/// The program that both run: it prints a name, a tab and microseconds for each kind of work.
const PROGRAM: &str = include_str!("cost.c");
/// It takes a second for each; more rounds than this show nothing new.
const MOST_ROUNDS: u32 = 5;

/// Builds the program against the library that is installed below `prefix`, and for Windows if that can be run here.
pub(crate) fn all(bench: &Bench, prefix: &Path) -> Result<Vec<Call>> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let source = folder.path().join("cost.c");
    std::fs::write(&source, PROGRAM)?;
    let compile = |compiler: &str, name: &str, arguments: &[String]| {
        let program = folder.path().join(name);
        let built = Command::new(compiler).arg("-O2").arg(&source).arg("-o").arg(&program).args(arguments).output();
        (program, built)
    };
    let (headers, library) = (prefix.join("include/sharesock"), prefix.join("lib"));
    let library = library.display();
    let arguments = [
        format!("-I{}", headers.display()),
        format!("-L{library}"),
        format!("-Wl,-rpath,{library}"),
        "-lsharesock".to_owned(),
    ];
    let (program, built) = compile("cc", "cost", &arguments);
    let built = built.context("running the C compiler, cc")?;
    ensure!(
        built.status.success(),
        "no program can be built with the C library below {}: install it there by `cargo xtask install`\n{}",
        prefix.display(),
        String::from_utf8_lossy(&built.stderr)
    );
    let rounds = bench.rounds.min(MOST_ROUNDS);
    let domain = bench.domain();
    let ours = measure(bench, rounds, || {
        let mut command = Command::new(&program);
        command.env("SHARESOCK_DOMAIN", domain);
        command
    })?;

    let (program, built) = compile("x86_64-w64-mingw32-gcc", "cost.exe", &["-lws2_32".to_owned()]);
    let can_be_run =
        built.is_ok_and(|built| built.status.success()) && Command::new("wine").arg("--version").output().is_ok();
    let mut wine = match can_be_run {
        true => measure(bench, rounds, || {
            let mut command = Command::new("wine");
            command.arg(&program).env("WINEDEBUG", "-all").env("WINEPREFIX", folder.path().join("wine"));
            command
        })?,
        false => Vec::new(),
    };
    Ok(ours
        .into_iter()
        .map(|(work, ours)| {
            let same = wine.iter().position(|(name, _)| *name == work);
            Call { work, ours, wine: same.map(|at| wine.swap_remove(at).1) }
        })
        .collect())
}

/// Runs a program several times; what it prints of each kind of work.
fn measure(bench: &Bench, rounds: u32, command: impl Fn() -> Command) -> Result<Vec<(String, Figure)>> {
    let mut all: Vec<(String, Vec<f64>)> = Vec::new();
    for round in 1..=rounds {
        let mut command = command();
        bench.progress.say(&command.get_program().to_string_lossy(), round, rounds);
        let output = command.output().with_context(|| format!("running {command:?}"))?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8(output.stdout)?.lines() {
            let (name, time) = line.split_once('\t').with_context(|| format!("{line:?} is no measurement"))?;
            let time = time.trim().parse()?;
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, times)) => times.push(time),
                None => all.push((name.to_owned(), vec![time])),
            }
        }
    }
    Ok(all.into_iter().map(|(name, times)| (name, Figure::of(times))).collect())
}
