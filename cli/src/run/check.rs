//! Reasons for which a supervisor could not start now, as `--check` tells them.

use super::control::folder::{call, domain_to_ask};
use super::listener::try_bind;
use super::options::{Options, Pass};
use super::settings::Settings;
use super::worker::launch::MYSELF;
use anyhow::{Context, Result, bail};
use rustix::fs::{Access, access};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time for a supervisor of this name to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Each with what to do about it.
pub(super) fn obstacles(options: &Options) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(program) = options.command.first() {
        found.extend(find(program, &options.settings).err().map(|error| format!("{error:#}")));
    }
    // Its listeners are there already, and a reload goes on with them.
    if !is_running(options) {
        let resolved = options.resolve();
        for spec in &options.listen {
            let tried = try_bind(spec, &resolved)
                .with_context(|| format!("cannot listen on {} for {}", spec.place(), spec.name));
            found.extend(tried.err().map(|error| format!("{error:#}")));
        }
    }
    found
}

/// Whether a supervisor of this name runs in the domain.
pub(super) fn is_running(options: &Options) -> bool {
    let domain = match &options.domain {
        // A mere check makes no domain.
        Some(path) if !path.exists() => return false,
        path => domain_to_ask(path.as_ref()),
    };
    let called = domain.and_then(|domain| call(&domain, Some(&options.name()), ANSWER_TIMEOUT));
    called.is_ok_and(|stream| stream.is_some())
}

/// Finds the program that workers will run, as they will.
fn find(program: &OsString, settings: &Settings) -> Result<PathBuf> {
    if program == MYSELF {
        return Ok(program.into());
    }
    let folder = settings.chdir.clone().unwrap_or_default();
    let given = settings.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.into());
    let path: OsString = given.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let named = Path::new(program);
    let candidates: Vec<PathBuf> = match named.components().count() {
        1 if !program.to_string_lossy().contains('/') => {
            std::env::split_paths(&path).map(|place| folder.join(place).join(named)).collect()
        }
        _ => vec![folder.join(named)],
    };
    let can_run = |path: &&PathBuf| path.is_file() && access(*path, Access::EXEC_OK).is_ok();
    if let Some(found) = candidates.iter().find(can_run) {
        return Ok(found.clone());
    }
    let name = named.display();
    match candidates.iter().find(|path| path.exists()) {
        Some(path) if path.is_dir() => bail!("the command {name} cannot be run: {} is a directory", path.display()),
        Some(path) => bail!("the command {name} cannot be run: make {} executable (chmod +x)", path.display()),
        None if candidates.len() == 1 => bail!("the command {name} cannot be run: there is no such file"),
        None => bail!("the command {name} cannot be run: it is in no directory of PATH"),
    }
}

/// What `--check` says behind the options.
pub(super) fn verdict(options: &Options, obstacles: &[String]) -> String {
    let name = options.name();
    match obstacles.len() {
        0 if is_running(options) => {
            format!("a supervisor named {name} runs: `sharesock reload {name}` would start this")
        }
        0 if options.pass == Pass::Connection => "would start, and accept for the workers".to_owned(),
        0 => "would start".to_owned(),
        _ => "would not start".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_workers_find_it_and_what_hinders_them_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, mode) in [("yes", 0o755), ("no", 0o644)] {
            use std::os::unix::fs::PermissionsExt;
            std::fs::write(path(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let within = |chdir: Option<&Path>, path: Option<&Path>| Settings {
            chdir: chdir.map(Path::to_owned),
            env: path.map(|path| ("PATH".to_owned(), path.to_str().unwrap().to_owned())).into_iter().collect(),
            ..Settings::default()
        };
        let found = |name: &str, settings: &Settings| find(&name.into(), settings).map_err(|error| error.to_string());
        assert_eq!(found("./yes", &within(Some(folder.path()), None)), Ok(path("./yes")));
        assert_eq!(found("yes", &within(None, Some(folder.path()))), Ok(path("yes")));
        assert!(found("sh", &Settings::default()).is_ok());
        for (name, settings, why) in [
            ("./no", within(Some(folder.path()), None), "executable (chmod +x)"),
            ("no", within(None, Some(folder.path())), "executable (chmod +x)"),
            ("./nowhere", within(Some(folder.path()), None), "there is no such file"),
            ("sh", within(None, Some(folder.path())), "there is no such file"),
            ("no-such-command-at-all", Settings::default(), "in no directory of PATH"),
            ("/", Settings::default(), "is a directory"),
        ] {
            let said = found(name, &settings).unwrap_err();
            assert!(said.contains(why), "{name}: {said}");
        }
    }
}
