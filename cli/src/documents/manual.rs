//! Manual pages. Everything is in the definition of the command line: what stands behind its options (`after_help`) has
//! examples, prose, `Signals:` and `Exit codes:`, which become sections of their own.

use clap::Command;
use clap_mangen::Man;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// What a page says of files, for the commands that have a domain.
const DOMAIN: [(&str, &str); 2] = [
    ("$SHARESOCK_DOMAIN", "The domain, a directory in which processes meet; must be closed to others, or mode 3770."),
    ("/dev/shm/sharesock-UID", "The domain of the user with this id, where that variable is not set."),
];
/// And those that start or ask a supervisor.
const SUPERVISOR: (&str, &str) =
    ("run-NAME/", "In the domain: the control socket of the supervisor NAME, and what its workers have.");

pub(crate) fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let man = Man::new(command.clone()).manual("sharesock").source(concat!("sharesock ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    let after = After::read(&command.get_after_help().map(ToString::to_string).unwrap_or_default());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    for paragraph in &after.prose {
        write!(page, ".PP\n{}\n", text(paragraph))?;
    }
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    section(&mut page, "EXAMPLES", &examples(&after.examples))?;
    section(&mut page, "SIGNALS", &after.signals.iter().map(|line| text(line) + "\n").collect::<String>())?;
    section(&mut page, "ENVIRONMENT", &listed(&environment(command)))?;
    section(&mut page, "FILES", &listed(&files(command)))?;
    section(&mut page, "EXIT STATUS", &exit_status(&after.exit_codes))?;
    section(&mut page, "SEE ALSO", &see_also(command))?;
    std::fs::write(folder.join(man.get_filename()), page)
}

/// The parts of what stands behind the options.
#[derive(Debug, Default, PartialEq)]
struct After {
    examples: Vec<String>,
    prose: Vec<String>,
    signals: Vec<String>,
    exit_codes: String,
}

impl After {
    fn read(help: &str) -> Self {
        let mut after = After::default();
        let mut in_examples = false;
        for line in help.lines() {
            match line {
                "Example:" | "Examples:" => in_examples = true,
                "" => in_examples = false,
                example if in_examples => after.examples.push(example.strip_prefix("  ").unwrap_or(example).to_owned()),
                _ => match (line.strip_prefix("Exit codes: "), line.strip_prefix("Signals: ")) {
                    (Some(codes), _) => codes.clone_into(&mut after.exit_codes),
                    (_, Some(signals)) => after.signals.push(signals.to_owned()),
                    _ => after.prose.push(line.to_owned()),
                },
            }
        }
        after
    }
}

fn section(page: &mut Vec<u8>, title: &str, body: &str) -> io::Result<()> {
    if body.is_empty() { Ok(()) } else { write!(page, ".SH {}\n{body}", quoted(title)) }
}

/// As they are, line by line.
fn examples(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| text(line) + "\n").collect();
    format!(".RS 4\n.nf\n{lines}.fi\n.RE\n")
}

/// Variables that give options, and the option that each gives.
fn environment(command: &Command) -> Vec<(String, String)> {
    let variables = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(|argument| {
        let variable = argument.get_env()?.to_str()?;
        Some((variable.to_owned(), format!("Gives --{}.", argument.get_long()?)))
    });
    let mut found: Vec<_> = variables.collect();
    let has = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id && !argument.is_hide_set());
    if has("listen") && has("workers") {
        found.push((
            "SHARESOCK_LISTEN".to_owned(),
            "Gives --listen: one listener a line, or several with spaces between.".to_owned(),
        ));
    }
    if has("domain") && !found.iter().any(|(name, _)| name == "SHARESOCK_DOMAIN") {
        found.push(("SHARESOCK_DOMAIN".to_owned(), "Gives --domain.".to_owned()));
    }
    found
}

fn files(command: &Command) -> Vec<(String, String)> {
    let has = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
    let mut files: Vec<_> = if has("domain") { DOMAIN.to_vec() } else { Vec::new() };
    if has("domain") && (has("workers") || has("timeout") && has("name")) {
        files.push(SUPERVISOR);
    }
    files.into_iter().map(|(file, what)| (file.to_owned(), what.to_owned())).collect()
}

fn listed(items: &[(String, String)]) -> String {
    items.iter().map(|(name, what)| format!(".TP\n\\fB{}\\fR\n{}\n", text(name), text(what))).collect()
}

/// `0 done, 1 something failed` as a list; other texts as they are.
fn exit_status(codes: &str) -> String {
    if !codes.starts_with(|first: char| first.is_ascii_digit()) {
        return if codes.is_empty() { String::new() } else { text(codes) + "\n" };
    }
    let mut items: Vec<(String, String)> = Vec::new();
    for (number, part) in codes.split_inclusive([',', ';']).enumerate() {
        let trimmed = part.trim_start();
        match trimmed.split_once(' ') {
            Some((code, what)) if !code.is_empty() && code.bytes().all(|digit| digit.is_ascii_digit()) => {
                items.push((code.to_owned(), what.to_owned()));
            }
            _ if number > 0 => {
                if let Some((_, what)) = items.last_mut() {
                    let _ = write!(what, " {trimmed}");
                }
            }
            _ => return text(codes) + "\n",
        }
    }
    for (_, what) in &mut items {
        let length = what.trim_end_matches([',', ';', '.', ' ']).len();
        what.truncate(length);
        what.push('.');
    }
    listed(&items)
}

fn see_also(command: &Command) -> String {
    let page = |name: &str| format!("\\fB{}\\fR(1)", text(name));
    let others: Vec<_> = match command.has_subcommands() {
        true => {
            let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
            shown.map(|command| page(&format!("sharesock-{}", command.get_name()))).collect()
        }
        false => vec![page("sharesock")],
    };
    others.join(",\n") + "\n"
}

/// Text as `roff` takes it: nothing of it is a request, and every dash can be copied into a shell.
fn text(plain: &str) -> String {
    let escaped = plain.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

fn quoted(title: &str) -> String {
    format!("\"{title}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_options_has_its_parts() {
        let after =
            After::read("Examples:\n  a b\n    c\n\nProse.\nSignals: SIGTERM ends.\nExit codes: 0 done, 1 failed.");
        assert_eq!(
            (after.examples, after.prose),
            (vec!["a b".to_owned(), "  c".to_owned()], vec!["Prose.".to_owned()])
        );
        assert_eq!(
            (after.signals, after.exit_codes),
            (vec!["SIGTERM ends.".to_owned()], "0 done, 1 failed.".to_owned())
        );
    }

    #[test]
    fn exit_codes_become_a_list_and_commas_within_stay() {
        let list = exit_status("0 done, or redeemed; 1 something failed, 126 no, 127 none.");
        let items = [("0", "done, or redeemed."), ("1", "something failed."), ("126", "no."), ("127", "none.")];
        assert_eq!(list, listed(&items.map(|(code, what)| (code.to_owned(), what.to_owned()))));
        assert_eq!(exit_status("those of COMMAND, before that 1."), "those of COMMAND, before that 1.\n");
    }

    #[test]
    fn nothing_of_a_text_is_a_request() {
        assert_eq!(text(".\\-'"), "\\&.\\e\\-\\(aq");
    }
}
