//! C programs, built against the installed library as a user's are, and run.
#![cfg(target_os = "linux")]

#[path = "../../tests/needs/mod.rs"]
mod needs;
#[path = "../../tests/patience/mod.rs"]
mod patience;

use needs::{lacks, works};
use patience::{OutputInTime, WaitInTime};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the library is installed for these tests, once.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("prefix");
        run(Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "install", "--profile", "dev", "--prefix"])
            .arg(&prefix)
            .current_dir(here()));
        prefix
    })
}

/// Runs a command that must succeed; what it prints.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output_in_time();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// Builds a program of `tests/linux` with what pkg-config says, as the manual does.
fn build(sources: &[&str], libraries: &[&str]) -> PathBuf {
    let name = sources.first().unwrap().trim_end_matches(".c");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let library = prefix().join("lib");
    run(Command::new("cc")
        .args(["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-o"])
        .arg(&program)
        .args(sources.iter().map(|source| here().join("tests/linux").join(source)))
        .arg(format!("-I{}", prefix().join("include/sharesock").display()))
        .arg(format!("-L{}", library.display()))
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .arg("-lsharesock")
        .args(libraries));
    program
}

/// Builds programs of the plain interface with what pkg-config says of it.
fn build_plain(source: &str) -> PathBuf {
    let name = Path::new(source).file_stem().unwrap();
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("plain-{}", name.to_string_lossy()));
    let mut flags = Command::new("pkg-config");
    flags.args(["--cflags", "--libs", "libsharesock"]).env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let flags = run(&mut flags);
    run(Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-o"])
        .args([&program, &here().join(source)])
        .args(flags.split_whitespace())
        .arg("-ldl"));
    program
}

#[test]
fn the_plain_interface_does_what_its_header_says() {
    let domain = Domain::new("plain");
    let program = build_plain("tests/linux/plain.c");
    assert_eq!(run(&mut domain.of(&program)), "the plain interface does what it says\n");
}

#[test]
fn samples_of_the_plain_interface_print_what_they_must() {
    for (sample, printed) in [("share", "from the child\n"), ("hand_off", "the worker got: a line\n")] {
        let domain = Domain::new(sample);
        assert_eq!(run(&mut domain.of(&build_plain(&format!("plain/samples/{sample}.c")))), printed, "{sample}");
    }
}

#[test]
fn the_plain_header_is_plain_c_and_goes_with_cpp_and_winsock() {
    let include = prefix().join("include");
    for (language, standard, text) in [
        ("c", "-std=c99", "#include <sharesock.h>\n"),
        ("c++", "-std=c++11", "#include <sharesock.h>\n"),
        ("c", "-std=gnu17", "#include <winsock2.h>\n#include <sharesock.h>\n"),
    ] {
        let mut compiler = Command::new("cc");
        compiler.args([standard, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", language, "-"]);
        if text.contains("winsock2") {
            compiler.arg(format!("-I{}", include.join("sharesock").display()));
        }
        compiler.arg(format!("-I{}", include.display()));
        let mut compiler = compiler.stdin(Stdio::piped()).spawn().unwrap();
        compiler.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(compiler.wait().unwrap().success(), "{language} {text}");
    }
}

/// A domain that is removed at the end, in which nothing may be left but the table of events and the locks of turns.
struct Domain(PathBuf);

impl Domain {
    fn new(name: &str) -> Self {
        Domain(std::env::temp_dir().join(format!("sharesock-c-{name}-{}", std::process::id())))
    }

    fn of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("SHARESOCK_DOMAIN", &self.0);
        command
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        let names = std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name != "events" && name != "turns").collect();
        let _ = std::fs::remove_dir_all(&self.0);
        assert!(left.is_empty() || std::thread::panicking(), "left in the domain: {left:?}");
    }
}

#[test]
fn samples_and_rows_print_what_they_must() {
    // Everything but the half under Wine.
    prefix();
    let printed = run(Command::new(here().join("compare")).arg("--linux"));
    assert!(printed.contains("all print what they must"), "{printed}");
}

#[test]
fn the_programs_of_the_documents_compile() {
    let program = |page: &str| {
        let text = std::fs::read_to_string(here().join("..").join(page)).unwrap();
        let mut programs = text.split("```c\n").skip(1).filter_map(|rest| rest.split("```").next());
        programs.next().unwrap_or_else(|| panic!("{page} has no program in C")).to_owned()
    };
    let (plain, names) = (program("README.md"), program("docs/how-to/c.md"));
    // The last is for both interfaces in one program.
    let both = format!("#include <winsock2.h>\n{plain}");
    for program in [plain, names, both] {
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-"]);
        compiler.arg(format!("-I{}", prefix().join("include/sharesock").display()));
        compiler.arg(format!("-I{}", prefix().join("include").display()));
        let mut compiler = compiler.stdin(Stdio::piped()).spawn().unwrap();
        compiler.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        assert!(compiler.wait_in_time().success(), "{program}");
    }
}

#[test]
fn winsock_and_posix_sockets_work_in_one_process() {
    let domain = Domain::new("posix");
    let program = build(&["beside_posix.c", "beside_posix.posix.c"], &["-ldl"]);
    assert_eq!(run(&mut domain.of(&program)), "both work in one process\n");
}

#[test]
fn libcurl_fetches_from_a_winsock_server_in_the_same_process() {
    if lacks("libcurl's headers (libcurl4-openssl-dev)", works("curl-config", &["--version"])) {
        return;
    }
    let domain = Domain::new("curl");
    let program = build(&["beside_curl.c"], &["-lcurl"]);
    assert_eq!(run(&mut domain.of(&program)), "from Winsock\n");
}

#[test]
fn each_socket_option_does_what_it_is_called() {
    let domain = Domain::new("options");
    let program = build(&["options.c", "options.posix.c"], &[]);
    assert_eq!(run(&mut domain.of(&program)), "35 rows, by the kernel's word\n");
}

#[test]
fn what_the_headers_do_not_serve_is_refused() {
    let domain = Domain::new("refusals");
    assert_eq!(run(&mut domain.of(&build(&["refusals.c"], &[]))), "each as the headers say\n");
}

#[test]
fn closing_a_socket_ends_the_calls_that_wait_on_it() {
    let domain = Domain::new("closing");
    assert_eq!(run(&mut domain.of(&build(&["closing.c"], &[]))), "every call that waited was ended\n");
}

#[test]
fn a_forked_child_is_a_process_of_its_own() {
    let domain = Domain::new("forking");
    assert_eq!(run(&mut domain.of(&build(&["forking.c"], &[]))), "parent and child are two processes\n");
}

#[test]
fn an_ioctl_waits_until_an_address_comes() {
    let inside = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--map-root-user"]).arg(program);
        command
    };
    let made = works("unshare", &["--net", "--map-root-user", "ip", "link"]);
    if lacks("a network namespace of its own, and `ip` (iproute2)", made) {
        return;
    }
    let domain = Domain::new("address");
    let printed = run(inside(&build(&["address_change.c"], &[])).env("SHARESOCK_DOMAIN", &domain.0));
    assert_eq!(printed, "an address came: 0\nclosed: 10004\nwithout blocking: 10045\n");
}

#[test]
fn programs_link_the_archive_too() {
    let domain = Domain::new("static");
    let describe = |what: &str| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")).args(["--static", what, "sharesock"]);
        command
    };
    if lacks("pkg-config", works("pkg-config", &["--version"])) {
        return;
    }
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("static");
    let flags = |what: &str| run(&mut describe(what)).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let libraries = flags("--libs").join(" ");
    run(Command::new("cc")
        .arg("-static")
        .arg(here().join("samples/event_server.c"))
        .arg("-o")
        .arg(&program)
        .args(flags("--cflags"))
        .args(libraries.split(' ')));
    assert!(run(&mut domain.of(&program)).contains("FD_ACCEPT"));
}

#[test]
fn a_source_that_ends_waits_for_a_target_that_has_not_started_winsock() {
    let domain = Domain::new("early");
    let program = build(&["early_exit.c"], &[]);
    let mut target = domain.of(&program).arg("target").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(target.stdout.take().unwrap());
    let mut pid = String::new();
    said.read_line(&mut pid).unwrap();
    let mut source = domain.of(&program).args(["source", pid.trim()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut info = String::new();
    BufReader::new(source.stdout.take().unwrap()).read_line(&mut info).unwrap();
    assert_eq!(info.trim().len(), 2 * 628);
    // It has returned from main by now, or will at once; the duplicate is with it.
    target.stdin.take().unwrap().write_all(info.as_bytes()).unwrap();
    let mut redeemed = String::new();
    said.read_line(&mut redeemed).unwrap();
    assert_eq!(redeemed, "redeemed\n");
    assert!(target.wait_in_time().success() && source.wait_in_time().success());
}

/// The program, built beside these tests.
fn sharesock() -> PathBuf {
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "sharesock-cli"])
        .current_dir(here()));
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("debug/sharesock")
}

#[test]
fn a_worker_of_a_supervisor_is_given_connections() {
    let (domain, program, worker) = (Domain::new("worker"), sharesock(), build(&["worker.c"], &[]));
    let options = ["run", "--json", "--listen", "web=127.0.0.1:0", "--pass", "connection", "--via", "info"];
    let mut supervisor = domain.of(&program);
    supervisor.args(options).args(["--workers", "2", "--"]).arg(worker).stdout(Stdio::piped());
    let mut supervisor = Running(supervisor.spawn().unwrap());
    let mut events = BufReader::new(supervisor.0.stdout.take().unwrap()).lines();
    let mut event = |name: &str| {
        let wanted = format!("\"event\":\"{name}\"");
        events.find(|line| line.as_ref().unwrap().contains(&wanted)).unwrap().unwrap()
    };
    let listening = event("listening");
    let (_, address) = listening.split_once("\"address\":\"").unwrap();
    let address = address.split('"').next().unwrap().to_owned();
    event("ready");
    let ask = || {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(b"who?").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer.trim().parse::<u32>().unwrap()
    };
    let workers = || (0..40).map(|_| ask()).collect::<std::collections::BTreeSet<_>>();
    let before = workers();
    assert_eq!(before.len(), 2, "both serve");
    run(domain.of(&program).arg("reload"));
    let after = workers();
    assert!(after.len() == 2 && after.is_disjoint(&before), "{before:?} {after:?}");
    run(domain.of(&program).arg("upgrade"));
    assert_eq!(workers(), after);
    run(domain.of(&program).arg("stop"));
    assert!(supervisor.0.wait_in_time().success());
}

/// A process that is killed if the test fails.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
