//! Archives whose bytes depend on their contents alone: times, owners and order are fixed.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Pack {
    out: PathBuf,
    /// Seconds since 1970 that every file gets as its time.
    pub(crate) time: u64,
}

impl Pack {
    /// The time is `SOURCE_DATE_EPOCH`, by default that of the last commit.
    pub(crate) fn new(out: &Path) -> Result<Self> {
        let time = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(given) => given,
            Err(_) => crate::output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(crate::root()))
                .context("finding the time of the sources: without a git repository, set SOURCE_DATE_EPOCH")?,
        };
        let time =
            time.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH is {time:?}, not a number of seconds"))?;
        Ok(Self { out: out.to_owned(), time })
    }

    pub(crate) fn out(&self) -> &Path {
        &self.out
    }

    /// Packs the folder `name` of `parent` into `name.tar.gz`, whose name it returns.
    pub(crate) fn tar_gz(&self, parent: &Path, name: &str) -> Result<String> {
        let file = format!("{name}.tar.gz");
        self.tar(parent, name, &self.out.join(&file))?;
        Ok(file)
    }

    /// Packs what lies under `member` in `parent` into the archive `to`, which ends with `.tar.gz`.
    pub(crate) fn tar(&self, parent: &Path, member: &str, to: &Path) -> Result<()> {
        let plain = to.with_extension("");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.args(["--mode=u=rwX,go=rX", &format!("--mtime=@{}", self.time)]);
        tar.arg("--file").arg(&plain).arg("--directory").arg(parent).arg(member);
        crate::run(&mut tar)?;
        // Without a name and a time in its head.
        crate::run(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(&plain))
    }
}
