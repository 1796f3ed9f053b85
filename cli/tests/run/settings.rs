//! Settings of workers beside their command: directory, environment, user, umask and limits.

use crate::needs::lacks_root;
use crate::patience::OutputInTime;
use crate::running::{self, Setup, Supervisor, environment_of, text};
use rustix::process::Signal;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

fn directory_of(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap()
}

/// Has the link name another directory, as a deployment does.
fn deploy(folder: &Path, release: &str) {
    let (target, link, new) = (folder.join(release), folder.join("current"), folder.join("new"));
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(target, &new).unwrap();
    std::fs::rename(new, link).unwrap();
}

#[test]
fn workers_move_to_the_new_directory_at_a_reload_and_not_before() {
    let setup = Setup::new(&["--listen", "web=127.0.0.1:0"]);
    let current = setup.path("current");
    deploy(current.parent().unwrap(), "one");
    let mut supervisor = setup.option("--chdir").option(current).start();
    let releases = ["one", "two"].map(|release| supervisor.path(release).canonicalize());
    let [Ok(one), Err(_)] = releases else { panic!("one release") };
    let own = directory_of(supervisor.pid());
    assert_eq!(directory_of(supervisor.workers()[0]), one);
    deploy(supervisor.folder.path(), "two");
    supervisor.do_it(&["upgrade"]);
    running::signal(supervisor.workers()[0], Signal::KILL);
    supervisor.wait_for("worker_ready");
    assert_eq!(directory_of(supervisor.workers()[0]), one, "of one generation all are the same");
    supervisor.do_it(&["reload"]);
    assert_eq!(directory_of(supervisor.workers()[0]), supervisor.path("two").canonicalize().unwrap());
    assert_eq!(directory_of(supervisor.pid()), own);
    supervisor.end();
}

#[test]
fn variables_are_the_workers_alone_and_read_anew_at_a_reload() {
    let setup = Setup::new(&["--listen", "web=127.0.0.1:0", "--env", "SHADE=blue", "--env", "SIZE=2"]);
    let file = setup.path("app.env");
    std::fs::write(&file, "SHADE=red\nFORM='a circle'\n").unwrap();
    let mut supervisor = setup.env("FORM", "none").option("--env-file").option(&file).start();
    let forms = |supervisor: &Supervisor| {
        let environment = environment_of(supervisor.workers()[0]);
        ["SHADE", "SIZE", "FORM"].map(|name| environment.get(name).cloned().unwrap_or_default())
    };
    assert_eq!(forms(&supervisor), ["blue", "2", "a circle"]);
    let own = environment_of(supervisor.pid());
    assert_eq!((own.get("FORM").map(String::as_str), own.get("SIZE")), (Some("none"), None));

    std::fs::write(&file, "FORM=square\nthis is none\n").unwrap();
    let said = supervisor.fail(&["reload"], 3);
    assert!(said.contains("app.env:2: `this is none` has no `=`: give NAME=VALUE"), "{said}");
    assert_eq!(forms(&supervisor), ["blue", "2", "a circle"]);
    std::fs::write(&file, "FORM=square\n").unwrap();
    supervisor.do_it(&["reload"]);
    supervisor.wait_for("reloaded");
    assert_eq!(forms(&supervisor), ["blue", "2", "square"]);
    supervisor.end();
}

#[test]
fn workers_have_the_user_the_mask_and_the_limits_that_are_named() {
    if lacks_root() {
        return;
    }
    let options = ["--user", "65534", "--group", "daemon", "--umask", "027", "--limit", "nofile=64,core=0"];
    let setup = Setup::new(&[&options[..], &["--ready", "time=0.01"]].concat());
    let mut supervisor = setup.command(&["sh", "-c", "echo it may open this > /dev/stdout; exec sleep 1000"]).start();
    supervisor.wait_for_line("it may open this");
    let look = |pid: u32, file: &str, line: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let found = text.lines().find_map(|found| found.strip_prefix(line)).unwrap_or_else(|| panic!("{line}: {text}"));
        found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let worker = supervisor.workers()[0];
        assert_eq!(look(worker, "status", "Uid:"), ["65534"; 4]);
        assert_eq!(look(worker, "status", "Gid:"), ["1"; 4]);
        assert!(!look(worker, "status", "Groups:").contains(&"0".to_owned()));
        assert_eq!(look(worker, "status", "Umask:"), ["0027"]);
        assert_eq!(look(worker, "limits", "Max open files")[..2], ["64", "64"]);
        assert_eq!(look(worker, "limits", "Max core file size")[..2], ["0", "0"]);
        supervisor.do_it(&["upgrade"]);
        running::signal(worker, Signal::KILL);
        supervisor.wait_for("worker_ended");
        supervisor.wait_for("worker_ready");
    }
    // Nothing of it is the supervisor's own; and workers are tied to it, whoever they run as.
    assert_eq!(look(supervisor.pid(), "status", "Uid:"), ["0"; 4]);
    running::kill(supervisor.pid());
    supervisor.wait();
    supervisor.assert_nothing_left();
}

#[test]
fn nothing_is_done_as_root_with_what_another_user_sets() {
    if lacks_root() {
        return;
    }
    let setup = Setup::new(&["--user", "65534", "--group", "65534", "--ready", "time=0.01"]);
    let (file, told) = (setup.path("app.env"), setup.path("told"));
    std::fs::create_dir(&told).unwrap();
    std::fs::set_permissions(&told, Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(setup.path("."), Permissions::from_mode(0o755)).unwrap();
    // By these, the loader of each program tells of itself in a file that it makes.
    let trace = format!("LD_DEBUG=files\nLD_DEBUG_OUTPUT={}\n", told.join("by").display());
    std::fs::write(&file, trace).unwrap();
    let setup = setup.option("--env-file").option(&file);
    let supervisor = setup.command(&["sh", "-c", "echo it runs; exec sleep 1000"]).start();
    supervisor.wait_for_line("it runs");
    let owners = || -> Vec<u32> {
        let files = std::fs::read_dir(supervisor.path("told")).unwrap().flatten();
        files.map(|file| file.metadata().unwrap().uid()).collect()
    };
    // Other loaders than that of glibc tell nothing.
    assert!(owners().iter().all(|owner| *owner == 65534) && (cfg!(not(target_env = "gnu")) || !owners().is_empty()));
    supervisor.end();
}

#[test]
fn commands_that_check_workers_run_as_these_do() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    std::fs::write(&told, "").unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&told, Permissions::from_mode(0o666)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { 65534 } else { rustix::process::geteuid().as_raw() };
    let check = |name: &str| {
        let told = told.display();
        format!("exec=echo {name} $(id -u) $(pwd) $SHADE $(umask) $(ulimit -n) $(ulimit -Hc) >> {told}")
    };
    let (ready, live) = (check("ready"), check("live"));
    let own = ["--chdir", "/", "--env", "SHADE=blue", "--umask", "027", "--limit", "nofile=64,core=0"];
    let checks = ["--ready", &ready, "--live", &live, "--live-interval", "0.1", "--listen", "web=127.0.0.1:0"];
    let other = ["--user", "65534", "--group", "65534"];
    let setup = Setup::new(&[&own[..], &checks, if is_root { &other } else { &[] }].concat());
    let supervisor = setup.play("keeps").start();
    let has = |name: &str| {
        let line = format!("{name} {user} / blue 0027 64 0");
        std::fs::read_to_string(&told).unwrap().lines().any(|told| told == line)
    };
    assert!(has("ready"), "{:?}", std::fs::read_to_string(&told));
    running::until("a check that runs as the worker does", || has("live"));
    supervisor.end();
}

#[test]
fn a_worker_gets_into_no_directory_that_is_closed_to_its_user() {
    if lacks_root() {
        return;
    }
    let setup = Setup::new(&["--user", "65534", "--group", "65534", "--restart-limit", "1"]);
    let closed = setup.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let mut supervisor = setup.option("--chdir").option(closed).command(&["sleep", "1000"]).spawn();
    supervisor.wait_for_line("going to --chdir");
    assert_eq!(supervisor.wait().code(), Some(1));
}

#[test]
fn what_there_is_not_is_refused_by_name() {
    for (options, reason) in [
        (&["--user", "no-such-user"][..], "there is no user named `no-such-user`"),
        (&["--group", "no-such-group"], "there is no group named `no-such-group`"),
        (&["--user", "54321"], "give --group, too"),
        (&["--limit", "files=3"], "there is no limit `files`"),
        (&["--limit", "nofile=unlimited"], "--limit nofile: "),
        (&["--limit", "nofile=18446744073709551614"], "--limit nofile: "),
        (&["--env-file", "/dev/null"], "/dev/null is no regular file"),
        (&["--limit", "nofile=many"], "give a number, or unlimited"),
        (&["--umask", "9"], "octal"),
        (&["--env", "A"], "NAME=VALUE"),
        (&["--env-file", "/nowhere/app.env"], "/nowhere/app.env"),
        (&["--chdir", "/nowhere/app"], "--chdir /nowhere/app"),
        (&["--chdir", "/etc/passwd"], "no directory"),
        (&["--user", "54321", "--group", "54321", "--ready", "notify"], "--user"),
    ] {
        let mut command = Command::new(running::PROGRAM);
        let output = command.args(["run", "--check"]).args(options).args(["--", "true"]).output_in_time();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {output:?}");
        assert!(text(&output.stderr).contains(reason), "{options:?}: {output:?}");
    }
}
