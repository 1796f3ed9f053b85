//! Settings of workers beside their command: directory, environment, user, umask and limits.

use crate::procfs::machine::setting;
use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, setgid, setgroups, setuid};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit, umask};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file of variables, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

const LIMITS: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Options that give them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SettingOptions {
    /// Working directory of workers; symbolic links in it are followed anew at each reload.
    #[arg(long, value_name = "DIR", env = "SHARESOCK_CHDIR")]
    chdir: Option<PathBuf>,
    /// A variable of the workers' environment; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// A file of variables, NAME=VALUE a line, also with `export` before it, quotes around the value, or a comment (` #`) behind
    /// it, for the workers' environment, read anew at each reload; `--env` comes first; may
    /// be given several times.
    #[arg(long, value_name = "FILE", env = "SHARESOCK_ENV_FILE")]
    env_file: Vec<PathBuf>,
    /// User that workers run as, by name or number, with its groups.
    #[arg(long, env = "SHARESOCK_USER")]
    user: Option<String>,
    /// Group that workers run as, by name or number [default: that of the user]
    #[arg(long, env = "SHARESOCK_GROUP")]
    group: Option<String>,
    /// File mode creation mask of workers, in octal.
    #[arg(long, value_name = "OCTAL", env = "SHARESOCK_UMASK", value_parser = octal)]
    umask: Option<u32>,
    /// A resource limit of workers, soft and hard: NAME=NUMBER or NAME=unlimited, where NAME is that of `setrlimit`, such as
    /// nofile, core or nproc; several after commas, or each with its option.
    #[arg(long, value_name = "NAME=LIMIT", env = "SHARESOCK_LIMIT", value_delimiter = ',', value_parser = limit)]
    limit: Vec<(String, Option<u64>)>,
}

/// Variables by name.
type Variables = Vec<(String, String)>;

/// Settings, with users, links and files resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) chdir: Option<PathBuf>,
    pub(crate) env: Variables,
    pub(crate) rights: Rights,
}

/// The part that the new process itself sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rights {
    pub(crate) identity: Option<Identity>,
    umask: Option<u32>,
    limits: Vec<(String, Option<u64>)>,
}

/// User and groups that workers run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    groups: Vec<u32>,
}

impl SettingOptions {
    /// Reads the files, and looks names up.
    pub(crate) fn resolve(&self) -> Result<Settings> {
        let named = |dir: &PathBuf| dir.canonicalize().with_context(|| format!("--chdir {}", dir.display()));
        let chdir = self.chdir.as_ref().map(named).transpose()?;
        ensure!(chdir.as_ref().is_none_or(|dir| dir.is_dir()), "--chdir: it is no directory");
        let (identity, mut env) = self.identity()?;
        for file in &self.env_file {
            env.extend(read(file)?);
        }
        env.extend(self.env.iter().cloned());
        for (name, number) in &self.limit {
            let most = resource(name).and_then(|resource| getrlimit(resource).maximum);
            let is_more = most.is_some_and(|most| number.is_none_or(|number| number > most));
            ensure!(!is_more || geteuid().is_root(), "--limit {name}: more than the hard limit needs root");
            if resource(name) == Some(Resource::Nofile) {
                let most = setting("fs/nr_open");
                let is_more = most.is_some_and(|most| number.is_none_or(|number| number > most));
                let most = most.unwrap_or_default();
                ensure!(!is_more, "--limit {name}: no process may have more than {most} (the sysctl fs.nr_open)");
            }
        }
        Ok(Settings { chdir, env, rights: Rights { identity, umask: self.umask, limits: self.limit.clone() } })
    }

    /// User and groups that workers run as, if these are not this process's own, and variables of that user.
    fn identity(&self) -> Result<(Option<Identity>, Variables)> {
        if self.user.is_none() && self.group.is_none() {
            return Ok((None, Vec::new()));
        }
        let user = match &self.user {
            Some(text) => {
                let by_number = |number| User::from_uid(Uid::from_raw(number)).ok().flatten();
                let number = text.parse().ok();
                let known = User::from_name(text).ok().flatten().or_else(|| number.and_then(by_number));
                let uid = known.as_ref().map(|user| user.uid).or(number.map(Uid::from_raw));
                Some((uid.ok_or_else(|| anyhow!("--user: there is no user named `{text}`"))?, known))
            }
            None => None,
        };
        let known = user.as_ref().and_then(|(_, known)| known.as_ref());
        let group = match &self.group {
            Some(text) => {
                let named = Group::from_name(text).ok().flatten().map(|group| group.gid);
                let group = named.or_else(|| text.parse().ok().map(Gid::from_raw));
                group.ok_or_else(|| anyhow!("--group: there is no group named `{text}`"))?
            }
            None => known.map(|user| user.gid).context("--user: its group is not known: give --group, too")?,
        };
        let groups = match known {
            Some(known) => getgrouplist(&CString::new(known.name.as_str())?, group).context("--user: its groups")?,
            None => vec![group],
        };
        let uid = user.as_ref().map_or_else(Uid::effective, |(uid, _)| *uid);
        let mut env = Vec::new();
        if let Some(known) = known {
            let home = known.dir.to_string_lossy().into_owned();
            env = [("HOME", &home), ("USER", &known.name), ("LOGNAME", &known.name)]
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .to_vec();
        }
        if (uid, group) == (Uid::effective(), Gid::effective()) {
            return Ok((None, env));
        }
        ensure!(geteuid().is_root(), "--user, --group: only root starts workers as somebody else");
        let groups = groups.into_iter().map(Gid::as_raw).collect();
        Ok((Some(Identity { user: uid.as_raw(), group: group.as_raw(), groups }), env))
    }
}

impl Rights {
    /// In words, if there is anything to say.
    pub(super) fn summary(&self) -> Option<String> {
        let identity = self.identity.as_ref().map(|Identity { user, group, .. }| format!("user {user}, group {group}"));
        let mask = self.umask.map(|mask| format!("umask {mask:03o}"));
        let limit = |(name, number): &(String, Option<u64>)| {
            format!("{name}={}", number.map_or_else(|| "unlimited".to_owned(), |number| number.to_string()))
        };
        let words: Vec<_> = identity.into_iter().chain(mask).chain(self.limits.iter().map(limit)).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// Takes them on, for this process and what it becomes.
    pub(crate) fn assume(&self) -> Result<()> {
        for (name, number) in &self.limits {
            let resource = resource(name).with_context(|| format!("there is no limit {name}"))?;
            let limit = Rlimit { current: *number, maximum: *number };
            setrlimit(resource, limit).with_context(|| format!("setting the limit {name}"))?;
        }
        if let Some(mask) = self.umask {
            umask(Mode::from_bits_truncate(mask));
        }
        if let Some(Identity { user, group, groups }) = &self.identity {
            let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
            setgroups(&groups).context("taking on the groups of a worker")?;
            setgid(Gid::from_raw(*group)).context("taking on the group of a worker")?;
            setuid(Uid::from_raw(*user)).context("taking on the user of a worker")?;
        }
        Ok(())
    }
}

fn resource(name: &str) -> Option<Resource> {
    LIMITS.iter().find(|(known, _)| *known == name).map(|(_, resource)| *resource)
}

/// The variables of a file.
fn read(path: &Path) -> Result<Variables> {
    let mut text = String::new();
    let cannot = || format!("cannot read --env-file {}", path.display());
    // Nobody may ever write to a FIFO.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | flags, Mode::empty()).with_context(cannot)?);
    ensure!(file.metadata().with_context(cannot)?.is_file(), "--env-file {} is no regular file", path.display());
    let length = file.take(LONGEST_FILE + 1).read_to_string(&mut text).with_context(cannot)?;
    if length as u64 > LONGEST_FILE {
        bail!("--env-file {} is longer than {LONGEST_FILE} bytes", path.display());
    }
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let at = |number: usize, why: String| anyhow!("--env-file {}:{number}: {why}", path.display());
    lines.map(|(number, line)| assignment(line).map_err(|why| at(number, why))).collect()
}

/// A line of a file of variables, as dotenv and compose read it.
fn assignment(line: &str) -> Result<(String, String), String> {
    let exported =
        line.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace)).map(str::trim_start);
    let (name, value) = variable(exported.unwrap_or(line))?;
    let value = match value.trim_start().chars().next().filter(|first| matches!(first, '"' | '\'')) {
        Some(quote) => within(value.trim_start(), quote)?,
        None => without_comment(&value).trim_start(),
    };
    Ok((name, value.to_owned()))
}

/// The text between quotes, behind which nothing but a comment may stand.
fn within(value: &str, quote: char) -> Result<&str, String> {
    // A quote in the middle ends the value only if nothing but a comment follows.
    let ends = |(at, _): &(usize, &str)| {
        let rest = value.get(at + 1..).unwrap_or_default();
        rest.is_empty() || (rest.starts_with(char::is_whitespace) && without_comment(rest).is_empty())
    };
    let end = value.match_indices(quote).skip(1).find(ends);
    let text = end.and_then(|(at, _)| value.get(1..at));
    text.ok_or_else(|| format!("the value has no closing {quote}, or something other than a comment stands behind it"))
}

/// The value before a `#` that follows a space.
fn without_comment(value: &str) -> &str {
    let is_comment =
        |(at, _): &(usize, &str)| value.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace));
    let end = value.match_indices('#').find(is_comment).map_or(value.len(), |(at, _)| at);
    value.get(..end).unwrap_or(value).trim_end()
}

fn variable(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("`{}` has no `=`: give NAME=VALUE", text.escape_debug()));
    };
    let is_name = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if name.is_empty() || !name.chars().all(is_name) || value.contains('\0') {
        return Err(format!("`{}` is no name of a variable: give NAME=VALUE", name.escape_debug()));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn octal(text: &str) -> Result<u32, String> {
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| "give an octal number up to 777, such as 027".to_owned())
}

fn limit(text: &str) -> Result<(String, Option<u64>), String> {
    let (name, number) = text.split_once('=').ok_or("give NAME=NUMBER or NAME=unlimited")?;
    if resource(name).is_none() {
        let known: Vec<_> = LIMITS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no limit `{name}`: there are {}", known.join(", ")));
    }
    match number {
        "unlimited" => Ok((name.to_owned(), None)),
        _ => match number.parse() {
            Ok(number) => Ok((name.to_owned(), Some(number))),
            Err(_) => Err(format!("{name}: give a number, or unlimited")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_variables_are_read_and_what_is_wrong_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.env");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).map_err(|error| format!("{error:#}"))
        };
        let pairs = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(
            read("# a comment\n\nA=1\n B=x = y \nC=\"quoted \"\nD='#'\nE=\n"),
            pairs(&[("A", "1"), ("B", "x = y"), ("C", "quoted "), ("D", "#"), ("E", "")])
        );
        for (line, value) in [
            ("export A=1", "1"),
            ("export\tA=1", "1"),
            ("A=1 # a comment", "1"),
            ("A=1\t#", "1"),
            ("A= # nothing", ""),
            ("A=#none", "#none"),
            ("A=1 #", "1"),
            ("A=http://host/#part", "http://host/#part"),
            ("A=a#b #c", "a#b"),
            ("A=\"1 # 2\" # a comment", "1 # 2"),
            ("A='1'", "1"),
            ("A=\"it's\"", "it's"),
            ("A='a\"b'", "a\"b"),
            ("A=\"{\"b\": 1}\"", "{\"b\": 1}"),
            ("A=it's", "it's"),
        ] {
            assert_eq!(read(line), pairs(&[("A", value)]), "{line}");
        }
        for wrong in ["A=1\nB", "A=1\n=2", "A=1\nexport =2", "A=1\nexport B", "A=1\nB=\0", "A=1\nB=\"2", "A=1\nB='2'3"]
        {
            assert!(read(wrong).unwrap_err().contains("app.env:2: "), "{wrong}");
        }
        assert!(read(&"A=1\n".repeat(1 << 20)).unwrap_err().contains("longer than"));
        for file in ["/dev/zero", "/dev/tty", "/"] {
            assert!(super::read(Path::new(file)).is_err(), "{file}");
        }
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RWXU).unwrap();
        assert!(super::read(&fifo).unwrap_err().to_string().ends_with("fifo is no regular file"));
        assert!(super::read(Path::new("/nowhere/env")).unwrap_err().to_string().contains("/nowhere/env"));
    }

    #[test]
    fn limits_and_masks_are_checked_when_they_are_given() {
        assert_eq!(limit("nofile=64"), Ok(("nofile".to_owned(), Some(64))));
        assert_eq!(limit("core=unlimited"), Ok(("core".to_owned(), None)));
        for wrong in ["nofile", "files=1", "nofile=", "nofile=-1", "nofile=1:2"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
        assert_eq!(octal("027"), Ok(0o27));
        assert!(octal("8").is_err() && octal("1000").is_err());
    }
}
