//! What the program prints, all of it, beside what stands in `snapshots/texts/`.
//!
//! What has changed on purpose is written anew by `SNAPSHOTS=overwrite cargo test -p sharesock-cli --test snapshots`; the
//! difference is then to be read as a user would read it.
//!
//! A text is a session: after `$ ` a line for the shell, and what that printed, each line with the number of its stream
//! before it; the exit code is told after `= ` if it is not 0. What varies stands in brackets: `[FOLDER]` is where it was
//! run, `[PID-1]` the first process that is named. In `texts/scripts/` the commands are read from the texts themselves: to
//! add a case, write its line there, and let it be filled in.
#![cfg(target_os = "linux")]

mod help;
mod measures;
#[path = "../../../tests/patience/mod.rs"]
mod patience;
mod redaction;
mod scripts;
mod serving;
mod stage;
mod supervising;
mod transcript;
