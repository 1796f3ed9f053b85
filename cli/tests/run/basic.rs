//! What a worker of `sharesock run` gets, is given to know, and prints.

use crate::running::{self, Setup, ask, ask_udp, environment_of, number, until};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn listeners_are_passed_by_name_and_number() {
    let setup = Setup::new(&["--listen", "web=127.0.0.1:0", "--listen", "names=udp:127.0.0.1:0"]);
    let path = setup.path("a.sock");
    let supervisor = setup.option("--listen").option(format!("local=unix:{}", path.display())).start();
    let environment = supervisor.ask("environment");
    let pid = supervisor.ask("who")["pid"].clone();
    assert_eq!(environment["LISTEN_FDS"], "3");
    assert_eq!(environment["LISTEN_FDNAMES"], "web:names:local");
    assert_eq!(environment["LISTEN_PID"], pid.to_string(), "it is the worker's own");
    assert_eq!(ask(&supervisor.address("local"), "who")["pid"], pid);
    assert_eq!(ask_udp(&supervisor.address("names"), "who")["pid"], pid);
    assert_eq!(number(&supervisor.status()["workers"][0]["pid"]), number(&pid));

    let ready: serde_json::Value =
        serde_json::from_slice(&std::fs::read(supervisor.path("ready.json")).unwrap()).unwrap();
    assert_eq!((number(&ready["pid"]), &ready["workers"][0]), (supervisor.pid(), &pid));
    assert_eq!(ready["listeners"][0]["name"], "web");
    assert_eq!(ready["listeners"][0]["address"], supervisor.address("web"));
    assert!(path.exists());
    supervisor.end();
}

#[test]
fn numbers_of_listeners_are_put_into_the_command() {
    let listeners = ["--listen", "web=127.0.0.1:0", "--listen", "admin=127.0.0.1:0"];
    let supervisor = Setup::new(&listeners).shell(r#"echo "numbers {fd} {fd:admin} x{fd:web}y"; exec "$@""#).start();
    supervisor.wait_for_line("0 | numbers 3 4 x3y");
    supervisor.end();
}

#[test]
fn listeners_have_the_options_that_they_are_given() {
    // At an address of one family alone the system has no choice for `v6only`.
    let setup = Setup::new(&["--listen", "web=[::]:0,v6only,reuseport", "--listen", "plain=[::]:0"]);
    let path = setup.path("a.sock");
    let local = format!("local=unix:{},mode=620,backlog=2", path.display());
    let supervisor = setup.option("--listen").option(local).start();
    let listeners = ask(&supervisor.address("local"), "listeners");
    assert_eq!((&listeners[0]["reuse_port"], &listeners[0]["only_v6"]), (&true.into(), &true.into()));
    assert_eq!((&listeners[1]["reuse_port"], &listeners[1]["only_v6"]), (&false.into(), &false.into()));
    assert_eq!(listeners[0]["address"], supervisor.address("web"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o620);

    let worker = supervisor.workers()[0];
    running::stop_process(worker);
    let address = socket2::SockAddr::unix(&path).unwrap();
    let fit = (0..20).map_while(|_| {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&address).ok().map(|()| socket)
    });
    assert_eq!(fit.collect::<Vec<_>>().len(), 3, "two may wait, says listen(2), and the kernel allows one more");
    running::signal(worker, Signal::CONT);
    supervisor.end();
}

#[test]
fn a_worker_knows_its_supervisor_and_not_whom_that_one_knows() {
    let setup = Setup::new(&["--workers", "2"]).shell("exec \"$@\" > /dev/null");
    let manager = setup.path("manager");
    let _manager = std::os::unix::net::UnixDatagram::bind(&manager).unwrap();
    let strange = [("WATCHDOG_USEC", "60000000"), ("LISTEN_FDS", "1"), ("LISTEN_PID", "1"), ("LISTEN_FDNAMES", "x")];
    let setup = strange.into_iter().fold(setup, |setup, (name, value)| setup.env(name, value));
    let supervisor = setup.env("NOTIFY_SOCKET", &manager).env("OF_THE_USER", "yes").start();
    for (place, pid) in supervisor.workers().into_iter().enumerate() {
        let mut environment = environment_of(pid);
        let mut has = |name: &str| environment.remove(name);
        let own = has("NOTIFY_SOCKET").unwrap();
        assert!(own.starts_with(supervisor.path("domain").to_str().unwrap()), "{own}");
        assert_eq!(has("SHARESOCK_DOMAIN"), supervisor.path("domain").to_str().map(String::from));
        assert_eq!(has("SHARESOCK_WORKER"), Some(place.to_string()));
        assert_eq!(has("SHARESOCK_GENERATION").as_deref(), Some("1"));
        assert!(has("SHARESOCK_SUPERVISOR").unwrap().contains(&supervisor.pid().to_string()));
        assert_eq!(has("OF_THE_USER").as_deref(), Some("yes"));
        let leaked = |name: &&String| ["LISTEN_", "WATCHDOG_", "FDSTORE"].iter().any(|of| name.starts_with(of));
        assert_eq!(environment.keys().find(leaked), None);
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap().to_str(), Some("/dev/null"));
        assert_eq!(running::group_of(pid), pid, "it has a process group of its own");
    }
    supervisor.end();
}

#[test]
fn a_worker_has_the_limit_of_files_that_the_supervisor_was_started_with() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 200; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_sharesock")]);
    let supervisor = Setup::by(limited, &["--listen", "web=127.0.0.1:0"]).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", supervisor.pid())).unwrap();
    let own = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(!own.contains(" 200 "), "its own limit is raised: {own}");
    assert_eq!(supervisor.ask("limit"), 200);
    supervisor.do_it(&["upgrade"]);
    supervisor.do_it(&["reload"]);
    assert_eq!(supervisor.ask("limit"), 200, "an upgrade does not change it");
    supervisor.end();
}

#[test]
fn what_workers_print_has_their_place_before_it_and_is_kept() {
    let supervisor = Setup::new(&["--listen", "web=127.0.0.1:0"]).start();
    supervisor.ask("say first words");
    supervisor.ask("complain last words");
    supervisor.wait_for_line("0 | first words");
    supervisor.wait_for_line("0 | last words");
    let status = supervisor.status();
    let kept: Vec<_> = status["workers"][0]["output"].as_array().unwrap().iter().collect();
    assert!(kept.iter().any(|line| *line == "first words") && kept.iter().any(|line| *line == "last words"));
    (0..150).for_each(|number| _ = supervisor.ask(&format!("say number {number}")));
    supervisor.wait_for_line("number 149");
    let text = supervisor.do_it(&["status", "--lines", "100"]);
    assert!(text.contains("number 149") && text.contains("number 50") && !text.contains("number 49\n"), "{text}");
    supervisor.end();
}

#[test]
fn a_flood_that_nobody_reads_holds_nothing_up() {
    let mut setup = Setup::new(&["--listen", "web=127.0.0.1:0"]).play("ready flood");
    let (mut unread, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map(|(read, write)| (std::fs::File::from(read), write))
        .unwrap();
    setup.output = Some(Stdio::from(theirs));
    let supervisor = setup.spawn();
    until("the ready file", || supervisor.path("ready.json").exists());
    let flooded = || {
        let line = supervisor.status()["workers"][0]["output"].as_array().and_then(|lines| lines.last().cloned());
        line.and_then(|line| line.as_str()?.strip_prefix("flood ")?.parse::<u64>().ok()).unwrap_or_default()
    };
    // More than pipes and queues can hold.
    until("a flood", || flooded() > 20_000);
    let ready = std::fs::read(supervisor.path("ready.json")).unwrap();
    let ready: serde_json::Value = serde_json::from_slice(&ready).unwrap();
    assert_eq!(ask(ready["listeners"][0]["address"].as_str().unwrap(), "who")["generation"], 1);
    supervisor.play("ready");
    supervisor.do_it(&["reload"]);
    // Who reads at last is told what is missing.
    let read = std::thread::spawn(move || _ = std::io::copy(&mut unread, &mut std::io::sink()));
    supervisor.wait_for_error("lines were not printed");
    supervisor.end();
    read.join().unwrap();
}
