use super::*;
use clap::{CommandFactory, Parser};
use proptest::prelude::*;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "run")]
struct Options {
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    listen: Vec<String>,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    #[arg(long, default_value_t = 60.0)]
    ready_timeout: f64,
    #[arg(long, value_enum, default_value_t = Pass::Listener)]
    pass: Pass,
    #[arg(long, env = "SHARESOCK_CONFIG_TEST_LIMIT")]
    limit: Option<u32>,
    #[arg(long)]
    json: bool,
    #[arg(long, hide = true)]
    inner: Option<String>,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Pass {
    Listener,
    Connection,
}

fn options(arguments: &[OsString]) -> Options {
    Options { config: None, ..Options::try_parse_from(arguments).unwrap() }
}

fn split(line: &str) -> Vec<OsString> {
    line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
}

/// What `run ARGUMENTS` is with a file of this text.
fn filled(text: &str, arguments: &str) -> Result<Vec<OsString>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    std::fs::write(&path, text).unwrap();
    let mut all = vec!["run".into(), "--config".into(), path.into_os_string()];
    all.extend(split(arguments));
    with_file(&Options::command(), all)
}

/// What is said of a file, without the folder in which it lies.
fn refused(text: &str) -> String {
    let error = format!("{:#}", filled(text, "").unwrap_err());
    error.rsplit_once("/run.toml").map_or(error.clone(), |(_, rest)| format!("run.toml{rest}"))
}

const WHOLE: &str = r#"
name = "site"
listen = ["http=127.0.0.1:80,backlog=5", "admin=unix:/a b"]
workers = 0x10
ready-timeout = 2.5
pass = "connection"
json = true
command = ["gunicorn", "--bind", "fd://3", "app:app"]
"#;

#[test]
fn every_kind_of_value_is_taken() {
    let found = options(&filled(WHOLE, "").unwrap());
    assert_eq!(found.name.as_deref(), Some("site"));
    assert_eq!(found.listen, ["http=127.0.0.1:80,backlog=5", "admin=unix:/a b"]);
    assert_eq!((found.workers, found.ready_timeout, found.pass, found.json), (16, 2.5, Pass::Connection, true));
    assert_eq!(found.command, ["gunicorn", "--bind", "fd://3", "app:app"]);
}

#[test]
fn the_command_line_wins() {
    let found = options(&filled(WHOLE, "--listen x=:1 --workers=3 -- python app.py").unwrap());
    assert_eq!((found.listen.as_slice(), found.workers), (["x=:1".to_owned()].as_slice(), 3));
    assert_eq!(found.command, ["python", "app.py"]);
    assert_eq!(found.name.as_deref(), Some("site"));
    assert_eq!(options(&filled(WHOLE, "--").unwrap()).command.len(), 4);
}

#[test]
fn what_the_environment_gives_wins_over_the_file() {
    // A variable is set for the whole process: so another one plays the part.
    let given_by_environment = |variable| {
        let command = Options::command().mut_arg("limit", |limit| limit.env(variable));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, "limit = 7\ncommand = [\"a\"]").unwrap();
        let arguments = vec!["run".into(), "--config".into(), path.into_os_string()];
        with_file(&command, arguments).unwrap().contains(&"--limit=7".into())
    };
    assert!(given_by_environment("SHARESOCK_CONFIG_TEST_UNSET"));
    // Cargo sets it, and it is a number.
    assert!(!given_by_environment("CARGO_PKG_VERSION_MAJOR"));
}

#[test]
fn what_is_wrong_is_told_by_line() {
    let cases = [
        ("workers = 2\n\nworkers = 3", "run.toml:3: duplicate key"),
        ("name = \"a", "run.toml:1: "),
        ("\nworkrs = 2", "run.toml:2: there is no option `workrs`; did you mean `workers`?"),
        ("ready_timeout = 2", "did you mean `ready-timeout`?"),
        ("quux = 2", "run.toml:1: there is no option `quux`: the keys are the flags that `sharesock run --help` lists"),
        ("config = \"other\"", "run.toml:1: there is no option `config`"),
        ("help = true", "run.toml:1: there is no option `help`"),
        ("inner = \"a\"", "run.toml:1: there is no option `inner`"),
        ("# first\nname = \"a\"\nworkers = 0", "run.toml:3: workers: 0 is not in 1..=1024"),
        ("workers = \"four\"", "run.toml:1: workers: \"four\": invalid digit found in string"),
        ("workers = [1, 2]", "run.toml:1: workers: takes one value, not a list"),
        ("workers = true", "run.toml:1: workers: takes a value; true or false is none"),
        ("json = \"yes\"", "run.toml:1: json: give true or false"),
        ("pass = \"both\"", "run.toml:1: pass: \"both\" is none of listener, connection"),
        ("listen = [\n  \"a\",\n  [\"b\"],\n]", "run.toml:3: listen: cannot be given a list in a list"),
        ("listen = [\n  \"a\",\n  true,\n]", "run.toml:3: listen: cannot be given true or false here"),
        ("[listen]\na = 1", "run.toml:1: listen: cannot be given a table"),
        ("name = 2020-01-01", "run.toml:1: name: cannot be given a date"),
        ("name = \"a\\u0000\"", "run.toml:1: name: a value cannot hold the character NUL"),
        ("limit = 99999999999999999999", "run.toml:1: limit: 99999999999999999999 is too large a number"),
        ("command = \"gunicorn app:app\"", "run.toml:1: command: give a list of words"),
    ];
    for (text, expected) in cases {
        let said = refused(text);
        assert!(said.contains(expected) && said.starts_with("run.toml:"), "{text}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    // Also what the command line overrides: a file is right or wrong.
    assert!(filled("workers = 0", "--workers 2 -- a").is_err());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let with = |path: &str| {
        let arguments = split(&format!("run --config {path} -- a"));
        with_file(&Options::command(), arguments).map_err(|error| format!("{error:#}"))
    };
    let said = with("/nowhere/run.toml").unwrap_err();
    assert!(said.starts_with("cannot read the options in /nowhere/run.toml: "), "{said}");
    #[cfg(target_os = "linux")]
    assert!(with("/dev/zero").unwrap_err().contains("longer than"));
}

#[test]
fn other_command_lines_stay_as_they_are() {
    for line in ["run", "run -- a", "run --help", "run --wrong", "run x"] {
        assert_eq!(with_file(&Options::command(), split(line)).unwrap(), split(line));
    }
}

/// A value, and where it is given: by a flag, in the file, by both (then the file says something else), or nowhere.
#[derive(Debug, Clone, Copy)]
enum Where {
    Flag,
    File,
    Both,
    Nowhere,
}

/// The command line on which everything is a flag, the one that names a file, and the file.
#[derive(Debug, Default)]
struct Spelled {
    plain: Vec<OsString>,
    flags: Vec<OsString>,
    file: String,
}

impl Spelled {
    fn add(&mut self, place: Where, words: &[String], entry: &str, other: &str) {
        if !matches!(place, Where::Nowhere) {
            self.plain.extend(words.iter().map(OsString::from));
        }
        if matches!(place, Where::Flag | Where::Both) {
            self.flags.extend(words.iter().map(OsString::from));
        }
        match place {
            Where::File => self.file += &format!("{entry}\n"),
            Where::Both => self.file += &format!("{other}\n"),
            Where::Flag | Where::Nowhere => {}
        }
    }
}

/// TOML spells strings as JSON does, but for DEL.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f")
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(",\n  "))
}

fn anywhere() -> impl Strategy<Value = Where> {
    prop_oneof![Just(Where::Flag), Just(Where::File), Just(Where::Both), Just(Where::Nowhere)]
}

fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', "-"))
}

proptest! {
    #[test]
    fn a_file_gives_what_flags_give(
        places in proptest::array::uniform6(anywhere()),
        in_file in any::<bool>(),
        name in text(),
        listen in proptest::collection::vec(text(), 1..4),
        workers in 1..=1024_u16,
        timeout in any::<f64>().prop_filter("a number", |number| number.is_finite()),
        command in proptest::collection::vec(text(), 1..4),
    ) {
        let mut all = Spelled::default();
        all.add(places[0], &[format!("--name={name}")], &format!("name = {}", quoted(&name)), "name = \"other\"");
        let flags: Vec<_> = listen.iter().map(|listen| format!("--listen={listen}")).collect();
        all.add(places[1], &flags, &format!("listen = {}", list(&listen)), "listen = [\"other\"]");
        all.add(places[2], &[format!("--workers={workers}")], &format!("workers = {workers}"), "workers = 9");
        let seconds = format!("{timeout:?}");
        all.add(places[3], &[format!("--ready-timeout={seconds}")], &format!("ready-timeout = {seconds}"), "");
        all.add(places[4], &["--json".into()], "json = true", "json = true");
        all.add(places[5], &["--pass=connection".into()], "pass = \"connection\"", "pass = \"listener\"");
        let trailing: Vec<_> = std::iter::once("--".to_owned()).chain(command.iter().cloned()).collect();
        let place = if in_file { Where::File } else { Where::Both };
        all.add(place, &trailing, &format!("command = {}", list(&command)), "command = [\"other\"]");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, &all.file).unwrap();
        let start = split("run");
        let plain: Vec<_> = start.iter().cloned().chain(all.plain).collect();
        let named = ["--config".into(), path.into_os_string()];
        let by_file: Vec<_> = start.into_iter().chain(named).chain(all.flags).collect();
        let by_file = with_file(&Options::command(), by_file).unwrap();
        prop_assert_eq!(options(&plain), options(&by_file));
    }
}
