//! What sharesock does, observed through its public interface with real processes: the same program over every provider
//! of the library, so that the traces of two systems can be compared line by line.
//!
//! A scenario prints what it observed and expects nothing: what is right is decided by whoever reads the trace, and kept
//! in `traces/`.

mod actor;
mod compare;
mod obey;
mod observe;
mod options;
mod run;
mod scenarios;
mod stage;
mod trace;
mod watch;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: sharesock-conformance run [--only NAME] [--list] [--check TRACE]
       sharesock-conformance compare LINUX_TRACE WINDOWS_TRACE --differences FILE

run      plays the scenarios and prints what was observed; with --only, those whose name begins with NAME;
         with --list, prints their names alone; with --check, prints how the run differs from TRACE
compare  tells whether two traces differ as FILE says and not otherwise

Exit codes: 0 when every scenario could be played and nothing differs that must not, 1 otherwise.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sharesock-conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it must be.
fn command(arguments: &[&str]) -> Result<bool> {
    match arguments {
        ["run", options @ ..] => run::run(&run::Options::read(options)?),
        ["compare", linux, windows, "--differences", differences] => compare::compare(linux, windows, differences),
        // The program starts itself: for each scenario, and for each process that takes part in it.
        [run::PLAY, name] => run::play(name),
        [actor::ACT, domain] => obey::act(domain.as_ref()).map(|()| true),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("it cannot be told what to do\n{USAGE}"),
    }
}
