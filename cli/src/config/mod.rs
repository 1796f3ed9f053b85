//! Options from a file: its keys are the long flags of the command, and what a flag refuses is refused here, by line.
//!
//! A command that has an option `--config` can be given such a file. The command line wins over the environment, and
//! both over the file: so what the file gives is put into the command line, unless it is given already.

mod file;

use anyhow::{Result, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use file::{Entry, File, Given, Word};
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;

/// The option that names the file.
const CONFIG: &str = "config";

/// The arguments, and what they leave open as the file that they name gives it. The first one is the command's name.
pub(crate) fn with_file(command: &Command, arguments: Vec<OsString>) -> Result<Vec<OsString>> {
    // The file may give what must be given.
    let mut command = command.clone().mut_args(|argument| argument.required(false));
    // What is wrong with the arguments themselves is better said by clap, when they are parsed for good.
    let Ok(given) = command.try_get_matches_from_mut(&arguments) else { return Ok(arguments) };
    let path = given.try_get_raw(CONFIG).ok().flatten().and_then(|mut paths| paths.next());
    let Some(path) = path else { return Ok(arguments) };
    let file = File::read(Path::new(path))?;
    Filling { command: &command, given: &given, file: &file }.fill(arguments)
}

/// Filling up a command line.
struct Filling<'a> {
    command: &'a Command,
    given: &'a ArgMatches,
    file: &'a File,
}

impl Filling<'_> {
    fn fill(&self, mut arguments: Vec<OsString>) -> Result<Vec<OsString>> {
        let (mut flags, mut trailing) = (Vec::new(), Vec::new());
        for entry in self.file.entries()? {
            let argument = self.argument(&entry)?;
            let words = self.words(argument, &entry)?;
            if !self.is_given(argument) {
                let into = if argument.is_positional() { &mut trailing } else { &mut flags };
                into.extend(words);
            }
        }
        let behind_name = arguments.len().min(1);
        arguments.splice(behind_name..behind_name, flags);
        if !trailing.is_empty() {
            if arguments.last().is_none_or(|last| last != "--") {
                arguments.push("--".into());
            }
            arguments.extend(trailing);
        }
        Ok(arguments)
    }

    fn is_given(&self, argument: &Arg) -> bool {
        let source = self.given.value_source(argument.get_id().as_str());
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    }

    /// The argument that an entry means.
    fn argument(&self, entry: &Entry) -> Result<&Arg> {
        let found = self.command.get_arguments().find(|argument| may_stand(argument) && key(argument) == entry.key);
        if let Some(argument) = found {
            return Ok(argument);
        }
        let place = self.file.place(entry.line);
        match self.nearest(&entry.key) {
            Some(near) => bail!("{place}: there is no option `{}`; did you mean `{near}`?", entry.key),
            None => bail!(
                "{place}: there is no option `{}`: the keys are the flags that `sharesock {} --help` lists, without the dashes",
                entry.key,
                self.command.get_name()
            ),
        }
    }

    /// The key that is most like one that is none.
    fn nearest(&self, wrong: &str) -> Option<&str> {
        let keys = self.command.get_arguments().filter(|argument| may_stand(argument)).map(key);
        let likeness = |key: &str| strsim::jaro(key, wrong);
        keys.filter(|key| likeness(key) > 0.8).max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
    }

    /// What stands for an entry on a command line.
    fn words(&self, argument: &Arg, entry: &Entry) -> Result<Vec<OsString>> {
        let key = &entry.key;
        let wrong = |line, what: &str| Err(anyhow::anyhow!("{}: {key}: {what}", self.file.place(line)));
        let takes_value = argument.get_num_args().is_none_or(|number| number.takes_values());
        let given = match (&entry.given, takes_value) {
            (Given::Truth(false), false) => return Ok(Vec::new()),
            (Given::Truth(true), false) => return Ok(vec![format!("--{key}").into()]),
            (_, false) => return wrong(entry.line, "give true or false"),
            (Given::Truth(_), true) => return wrong(entry.line, "takes a value; true or false is none"),
            (Given::List(_), true) if !is_repeatable(argument) => {
                return wrong(entry.line, "takes one value, not a list");
            }
            (Given::One(word), true) if argument.is_positional() && is_repeatable(argument) => {
                return wrong(word.line, "give a list of words, such as [\"gunicorn\", \"app:app\"]");
            }
            (Given::One(word), true) => std::slice::from_ref(word),
            (Given::List(words), true) => words,
        };
        given.iter().map(|word| self.checked(argument, key, word)).collect()
    }

    /// One value, if its own flag takes it.
    fn checked(&self, argument: &Arg, key: &str, word: &Word) -> Result<OsString> {
        let positional = argument.is_positional();
        let text = OsString::from(if positional { word.text.clone() } else { format!("--{key}={}", word.text) });
        let mut alone = vec![OsString::from(self.command.get_name())];
        alone.extend(positional.then(|| "--".into()));
        alone.push(text.clone());
        match self.command.clone().try_get_matches_from(alone) {
            Err(error) if is_about_value(error.kind()) => {
                bail!("{}: {key}: {}", self.file.place(word.line), reworded(&error, &word.text))
            }
            // Something else that is wrong depends on the rest of the command line.
            _ => Ok(text),
        }
    }
}

/// Whether a file may give it: not what would end the program, name another file, or is none of the user's business.
fn may_stand(argument: &Arg) -> bool {
    let acts = matches!(
        argument.get_action(),
        ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version
    );
    !acts && argument.get_id() != CONFIG && !argument.is_hide_set()
}

/// By which a file names it.
fn key(argument: &Arg) -> &str {
    argument.get_long().unwrap_or(argument.get_id().as_str())
}

fn is_repeatable(argument: &Arg) -> bool {
    let many = argument.get_num_args().is_some_and(|number| number.max_values() > 1);
    many || matches!(argument.get_action(), ArgAction::Append)
}

fn is_about_value(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8)
}

/// What clap says of a value, in a line.
fn reworded(error: &clap::Error, value: &str) -> String {
    if let Some(source) = error.source() {
        let reason = source.to_string();
        return if reason.contains(value) { reason } else { format!("{value:?}: {reason}") };
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) => format!("{value:?} is none of {}", valid.join(", ")),
        _ => format!("{value:?} cannot be taken"),
    }
}

#[cfg(test)]
mod tests;
