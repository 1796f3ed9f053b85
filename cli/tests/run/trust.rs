//! Trust at a control socket: whom a supervisor hears, and whom the commands believe.

use crate::needs::lacks_root;
use crate::patience::OutputInTime;
use crate::running::{self, LONG, Setup, text};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--name", "app"];
/// Two users who are not root.
const ONE: u32 = 65_534;
const OTHER: u32 = 65_533;

/// Copies the program. Another process does: a child that another test forks meanwhile would have the copy open for writing, and
/// it could not be executed.
fn copy_program(to: &std::path::Path) {
    assert!(Command::new("cp").arg(running::PROGRAM).arg(to).status().unwrap().success());
}

#[test]
fn who_may_not_ask_is_told_so() {
    if lacks_root() {
        return;
    }
    let supervisor = Setup::new(&WEB).start();
    std::fs::set_permissions(supervisor.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // The program itself may lie where the other user may not look.
    let program = supervisor.path("sharesock");
    copy_program(&program);
    let mut command = Command::new(program);
    let command = command.args(["status", "app", "--domain"]).arg(supervisor.path("domain"));
    let output = std::os::unix::process::CommandExt::uid(command, 65_534).output_in_time();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    supervisor.end();
}

#[test]
fn root_may_ask_the_supervisor_of_any_user() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    if lacks_root() {
        return;
    }
    let programs = tempfile::tempdir().unwrap();
    std::fs::set_permissions(programs.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = programs.path().join("sharesock");
    copy_program(&program);
    let mut process = Command::new(program);
    process.uid(65_534).gid(65_534).env_remove("SHARESOCK_DOMAIN");
    let setup = Setup::by(process, &["--ready", "time=0.01", "--name", "app"]);
    std::os::unix::fs::chown(setup.path("."), Some(65_534), Some(65_534)).unwrap();
    let mut theirs = setup.command(&["sleep", "1000"]).start();
    theirs.do_it(&["status"]);
    theirs.do_it(&["reload", "app"]);
    // A domain that everybody may enter is nobody's.
    open_to_all(&theirs.path("domain"), 0o701);
    assert!(theirs.fail(&["status"], 6).contains("domain"));
    open_to_all(&theirs.path("domain"), 0o700);
    // It is not led elsewhere.
    let own = Setup::new(&WEB).start();
    let (folder, control) = (theirs.path("domain/run-other"), own.path("domain/run-app/control"));
    std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(65_534), Some(65_534)).unwrap();
    std::os::unix::fs::symlink(control, folder.join("control")).unwrap();
    assert!(theirs.fail(&["stop", "other"], 6).contains("user 0 answers in a folder of user 65534"));
    assert_eq!(own.status()["state"], "running");
    own.end();
    std::fs::remove_dir_all(folder).unwrap();
    theirs.do_it(&["stop", "app"]);
    assert!(theirs.wait().success());
}

/// Does something in a thread that is another user's.
fn as_user<T: Send>(user: u32, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let user = Uid::from_raw(user);
            set_thread_res_uid(user, user, user).unwrap();
            act()
        });
        other.join().unwrap()
    })
}

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn another_user_is_refused_though_the_names_are_open() {
    if lacks_root() {
        return;
    }
    let supervisor = Setup::new(&WEB).start();
    for (name, mode) in [(".", 0o755), ("domain", 0o755), ("domain/run-app", 0o755), ("domain/run-app/control", 0o777)]
    {
        open_to_all(&supervisor.path(name), mode);
    }
    let ask = || {
        let mut stream = UnixStream::connect(supervisor.path("domain/run-app/control")).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let _ = stream.write_all(b"{\"stop\":{}}\n");
        let mut answer = String::new();
        // What it did not read it resets.
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let answer = as_user(ONE, ask);
    assert!(answer.contains("refused") && answer.contains("user 65534 may not ask"), "{answer}");
    for name in ["domain/run-app", "domain"] {
        open_to_all(&supervisor.path(name), 0o700);
    }
    assert_eq!(supervisor.status()["state"], "running");
    supervisor.end();
}

#[test]
fn an_answer_of_another_user_is_refused() {
    if lacks_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (domain, program) = (place.path().join("domain"), place.path().join("sharesock"));
    open_to_all(place.path(), 0o755);
    copy_program(&program);
    let folder = domain.join("run-app");
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).unwrap();
    let control = folder.join("control");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&control).unwrap()).unwrap();
    open_to_all(&control, 0o777);
    [&domain, &folder].into_iter().for_each(|path| chown(path, Some(ONE), Some(ONE)).unwrap());
    // The listener is the one that answers, by the kernel's word.
    as_user(OTHER, || socket.listen(8).unwrap());
    let mut command = Command::new(program);
    let command = command.args(["status", "app", "--timeout", "30", "--domain"]).arg(&domain);
    let output = std::os::unix::process::CommandExt::uid(command, ONE).output_in_time();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(6) && said.contains("user 65533 answers: refused"), "{said}");
}

#[test]
fn a_folder_that_is_open_to_others_is_refused() {
    let setup = Setup::new(&WEB);
    let folder = setup.path("domain/run-app");
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).unwrap();
    open_to_all(&folder, 0o750);
    let mut supervisor = setup.spawn();
    supervisor.wait_for_error("is not this user's alone: remove it");
    assert_eq!(supervisor.wait().code(), Some(1));
    std::fs::remove_dir(folder).unwrap();
}
