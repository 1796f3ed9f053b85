//! Where options come from: the command line, the environment, a file.

use crate::patience::OutputInTime;
use crate::running::{self, Setup, text};
use std::process::{Command, Output};

/// What `run` says to this file, these options, and this environment.
fn check(file: &str, options: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.toml");
    std::fs::write(&path, file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
    command.args(["run", "--check", "--config"]).arg(&path).arg("--domain").arg(folder.path().join("domain"));
    let output = command.args(options).envs(environment.iter().copied()).output_in_time();
    assert!(!folder.path().join("domain").exists(), "nothing was started");
    output
}

#[test]
fn what_fits_is_shown() {
    let file = "name = \"app\"\nworkers = 3\nlisten = [\"web=127.0.0.1:0\"]\ncommand = [\"cat\", \"--\", \"x\"]\n";
    let shown = |options: &[&str], environment: &[(&str, &str)]| {
        let output = check(file, options, environment);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let of_file = shown(&[], &[]);
    for part in
        ["name      app\n", "listeners web=127.0.0.1:0\n", "workers   3\n", "command   cat -- x\n", "ready     auto, "]
    {
        assert!(of_file.contains(part), "{part:?} in {of_file}");
    }
    let environment = [("SHARESOCK_WORKERS", "4"), ("SHARESOCK_LISTEN", "a=127.0.0.1:1 b=udp:127.0.0.1:2")];
    let of_environment = shown(&[], &environment);
    for part in ["workers   4\n", "listeners a=127.0.0.1:1 b=udp:127.0.0.1:2\n", "name      app\n"] {
        assert!(of_environment.contains(part), "{part:?} in {of_environment}");
    }
    let flags = ["--workers", "5", "--listen", "c=unix:/x", "--stop-signal", "QUIT", "--env", "A=1", "--umask", "27"];
    let flags =
        [&flags[..], &["--pass", "connection", "--limit", "core=0", "--live", "exec=true", "--", "tac"]].concat();
    let of_flags = shown(&flags, &environment);
    for part in [
        "workers   5\n",
        "listeners c=unix:/x\n",
        "passed    connections by hand-off, least-open\n",
        "stop      SIGQUIT, killed after 30 s\n",
        "live      exec=true, every 10 s, 3 failures\n",
        "variables A\n",
        "rights    umask 027, core=0\n",
        "command   tac\n",
    ] {
        assert!(of_flags.contains(part), "{part:?} in {of_flags}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let good = "command = [\"cat\"]\n";
    for (line, reason) in [
        ("workers = 0", "0"),
        ("workers = \"many\"", "many"),
        ("workers = [1, 2]", "one value"),
        ("wrokers = 2", "did you mean `workers`?"),
        ("listen = [\"web=127.0.0.1:0\", \"web\"]", "`web` has no port"),
        ("listen = \"web=127.0.0.1:99999\"", "`99999` is no port"),
        ("listen = \"web=unix:/x,mode=9\"", "octal"),
        ("ready = \"soon\"", "time=SECONDS"),
        ("ready-timeout = -1", "seconds"),
        ("stop-signal = \"HALT\"", "signal"),
        ("pass = \"everything\"", "everything"),
        ("metrics = \"9090\"", "9090"),
        ("name = \"a b\"", "is no name"),
        ("workers = 2 = 3", ""),
        ("config = \"other\"", "there is no option"),
    ] {
        let output = check(&format!("{good}\n{line}\n"), &[], &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains("app.toml:3: ") && said.contains(reason), "{line}: {said}");
    }
    for (file, options, reason) in [
        ("", &[][..], "no command to run"),
        ("", &["--listen", "a=h:1", "--listen", "a=h:2", "--", "x"], "two listeners are named a"),
        ("pass = \"connection\"", &["--", "x"], "nothing to accept from"),
        (good, &["--", "x", "{fd:web}"], "names no listener"),
    ] {
        let output = check(file, options, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(reason), "{output:?}");
    }
    let wrong = check(good, &[], &[("SHARESOCK_WORKERS", "few")]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("few"), "{wrong:?}");
}

#[test]
fn a_file_alone_is_enough() {
    let setup = Setup::new(&[]);
    let words: Vec<_> = running::arguments().iter().map(|word| format!("{word:?}")).collect();
    let file = format!("listen = 'web=127.0.0.1:0'\nworkers = 2\nname = 'app'\ncommand = [{}]\n", words.join(", "));
    std::fs::write(setup.path("app.toml"), file).unwrap();
    let path = setup.path("app.toml");
    let supervisor = setup.command(&[]).option("--config").option(path).start();
    assert_eq!(supervisor.workers().len(), 2);
    assert_eq!(supervisor.ask("who")["generation"], 1);
    supervisor.end();
}

#[test]
fn what_cannot_be_had_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (options, reason) in [
        (["--listen".to_owned(), format!("web={address}")], "the port is in use"),
        (["--listen".to_owned(), "web=inherited".to_owned()], "nobody passed a listener named web"),
        (["--listen".to_owned(), "web=unix:/nowhere/x".to_owned()], "cannot listen on unix:/nowhere/x for web"),
        (["--metrics".to_owned(), address.clone()], "cannot answer for metrics"),
    ] {
        let setup = options.iter().fold(Setup::new(&[]), |setup, option| setup.option(option));
        let mut supervisor = setup.spawn();
        assert_eq!(supervisor.wait().code(), Some(1), "{reason}: {}", supervisor.story());
        supervisor.wait_for_error(reason);
        supervisor.assert_nothing_left();
    }
}

#[test]
fn what_was_had_before_that_goes() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(&[]);
    let path = setup.path("local.sock");
    let setup = setup.option("--listen").option(format!("local=unix:{}", path.display()));
    let mut supervisor = setup.option("--listen").option(format!("web={}", taken.local_addr().unwrap())).spawn();
    assert_eq!(supervisor.wait().code(), Some(1));
    supervisor.assert_nothing_left();
}

#[test]
fn a_name_that_is_too_long_leaves_nothing() {
    let mut supervisor = Setup::new(&["--name", &"n".repeat(64)]).spawn();
    assert_eq!(supervisor.wait().code(), Some(1));
    supervisor.wait_for_error("is too long for the names of sockets: choose a shorter --domain or --name");
    supervisor.assert_nothing_left();
}
