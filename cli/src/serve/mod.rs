//! `sharesock serve`: one process establishes connections and hands them off to others, which serve files (R7).
//!
//! On Linux it is a supervisor as `sharesock run` is one, with workers of its own; on Windows it has a front.

mod addresses;
mod connection;
mod direct;
mod envelope;
mod files;
mod io;
#[cfg(target_os = "linux")]
mod linux;
mod log;
mod page;
mod stream;
mod successors;
#[cfg(windows)]
mod windows;
mod worker;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(windows)]
use windows as system;

pub(crate) use system::{Options, run};

use anyhow::{Context, Result};
use envelope::Envelope;
use sharesock::ProtocolInfo;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Options about what is served.
#[derive(Debug, Clone, clap::Args)]
struct SiteOptions {
    /// The folder to serve.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The same, as an option.
    #[arg(long, value_name = "DIR", conflicts_with = "folder")]
    files: Option<PathBuf>,
    /// Also serve and list files and folders whose names begin with a dot (`.well-known` always is).
    #[arg(long, env = "SHARESOCK_HIDDEN")]
    hidden: bool,
    /// Serve a page about the workers at `/_sharesock/`, and as JSON at `/_sharesock/status.json`.
    #[arg(long, env = "SHARESOCK_STATUS_PAGE")]
    status_page: bool,
    /// Name the process that served in each response, as `x-sharesock-worker`.
    #[arg(long, env = "SHARESOCK_WORKER_HEADER")]
    worker_header: bool,
    /// Time in which a client must send the head of a request, or take some of what it is sent, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", env = "SHARESOCK_CLIENT_TIMEOUT", value_parser = seconds)]
    client_timeout: Duration,
    /// Most open connections of one client (an IPv4 address, or 64 bits of IPv6) in each worker; more are answered with 503.
    #[arg(
        long,
        value_name = "NUMBER",
        env = "SHARESOCK_MAX_CONNECTIONS_PER_ADDRESS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    max_connections_per_address: Option<u32>,
    /// Append a line for each response to this file, which is opened anew at a reload, or write it to standard output (`-`; add
    /// `--output raw` for lines without a prefix).
    #[arg(long, value_name = "FILE", env = "SHARESOCK_ACCESS_LOG")]
    access_log: Option<PathBuf>,
    /// Format of these lines.
    #[arg(long, value_enum, value_name = "FORMAT", env = "SHARESOCK_ACCESS_LOG_FORMAT", default_value_t = log::Format::Text)]
    access_log_format: log::Format,
}

/// A time that is not nothing.
fn seconds(text: &str) -> Result<Duration, String> {
    crate::seconds::parse(text, 0.001..=86_400.0)
        .map_err(|_| "give seconds, at most 86400, such as 2 or 0.5".to_owned())
}

impl SiteOptions {
    /// The folder that is named.
    ///
    /// # Errors
    /// None is, or it is no folder.
    fn root(&self) -> Result<&Path> {
        let root = self.folder.as_deref().or(self.files.as_deref());
        let root = root.context("no folder is named: give one, as in `sharesock serve .`")?;
        anyhow::ensure!(root.is_dir(), "{} is not a folder", root.display());
        Ok(root)
    }

    /// The words of a worker's command line.
    fn worker(&self) -> Result<Vec<OsString>> {
        let mut words: Vec<OsString> = vec!["serve-worker".into(), "--files".into(), self.root()?.into()];
        words.extend(self.hidden.then(|| "--hidden".into()));
        words.extend(self.status_page.then(|| "--status-page".into()));
        words.extend(self.worker_header.then(|| "--worker-header".into()));
        words.extend(["--client-timeout".into(), self.client_timeout.as_secs_f64().to_string().into()]);
        let most = self.max_connections_per_address.map(|most| most.to_string());
        words.extend(most.into_iter().flat_map(|most| ["--max-connections-per-address".into(), most.into()]));
        if let Some(log) = &self.access_log {
            log::check(log)?;
            let format = if self.access_log_format == log::Format::Json { "json" } else { "text" };
            words.extend(["--access-log".into(), log.into(), "--access-log-format".into(), format.into()]);
        }
        Ok(words)
    }
}

/// Options of a worker, which `serve` starts itself. The domain is in the environment.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerOptions {
    #[command(flatten)]
    site: SiteOptions,
    #[arg(long, env = "SHARESOCK_GENERATION")]
    generation: u32,
    /// In seconds, where nobody else ends it.
    #[arg(long)]
    drain_timeout: Option<u64>,
    /// Name of its supervisor.
    #[cfg(target_os = "linux")]
    #[arg(long)]
    supervisor: String,
}

/// Message to a worker.
#[derive(Debug)]
enum Told {
    /// To redeem a connection, which has this number.
    Redeem { id: u64, info: Result<ProtocolInfo>, envelope: Envelope },
    /// To end.
    End,
}

/// Way in which a worker ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ending {
    /// Processes that take its connections over; none if it is to finish them.
    successors: Vec<u32>,
    /// Whether it still takes what it was given; if not, others get that.
    takes: bool,
}

/// What a worker process does.
pub(crate) fn work(options: WorkerOptions) -> Result<ExitCode> {
    single_threaded(worker::run(options))?;
    Ok(ExitCode::SUCCESS)
}

fn single_threaded(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let done = tokio::task::LocalSet::new().block_on(&runtime, work);
    // Reading standard input blocks a thread that nothing can wake.
    runtime.shutdown_timeout(Duration::ZERO);
    done
}
