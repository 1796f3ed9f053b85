use super::*;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};

const ME: u32 = 77;

/// A service manager's end.
struct Other {
    _folder: tempfile::TempDir,
    socket: UnixDatagram,
    address: OsString,
}

impl Other {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Other { _folder: folder, socket, address: path.into_os_string() }
    }

    fn manager(&self) -> Manager {
        with(&[("NOTIFY_SOCKET", self.address.to_str().unwrap())]).unwrap()
    }

    /// The next message and what came with it.
    fn next(&self) -> (String, Vec<OwnedFd>) {
        let mut bytes = [0; 8192];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let fds = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let fds = fds.collect();
        (String::from_utf8(bytes[..got.bytes].to_vec()).unwrap(), fds)
    }

    fn says_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        self.socket.recv(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

fn with(variables: &[(&str, &str)]) -> Result<Manager> {
    let find = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into());
    Manager::from_variables(find, ME)
}

#[test]
fn each_message_is_as_systemd_reads_it() {
    let other = Other::new();
    let manager = other.manager();
    assert!(manager.is_there());
    manager.ready("2 workers").unwrap();
    manager.stopping().unwrap();
    manager.main_pid(5).unwrap();
    manager.status("draining").unwrap();
    manager.watchdog().unwrap();
    manager.extend(Duration::from_millis(1500)).unwrap();
    manager.forget("web").unwrap();
    let texts = ["READY=1\nSTATUS=2 workers", "STOPPING=1", "MAINPID=5", "STATUS=draining", "WATCHDOG=1"];
    for text in texts.into_iter().chain(["EXTEND_TIMEOUT_USEC=1500000", "FDSTOREREMOVE=1\nFDNAME=web"]) {
        let (message, fds) = other.next();
        assert_eq!((message.as_str(), fds.len()), (text, 0));
    }
    assert!(other.says_nothing());
}

#[test]
fn a_reload_names_the_moment_of_its_message() {
    let other = Other::new();
    let now = || {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    };
    let before = now();
    other.manager().reloading().unwrap();
    let message = other.next().0;
    let told: i64 = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!((before..=now()).contains(&told), "{message}");
}

#[test]
fn a_descriptor_is_stored_by_name() {
    let other = Other::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    other.manager().store("web", theirs.as_fd()).unwrap();
    drop(theirs);
    let (message, mut fds) = other.next();
    assert_eq!((message.as_str(), fds.len()), ("FDSTORE=1\nFDNAME=web", 1));
    let mut stored = UnixStream::from(fds.remove(0));
    stored.write_all(b"kept").unwrap();
    drop(stored);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
    for wrong in ["", "a:b", "a\nREADY=1", &"a".repeat(256)] {
        assert!(other.manager().store(wrong, ours.as_fd()).is_err(), "{wrong}");
        assert!(other.manager().forget(wrong).is_err(), "{wrong}");
    }
    assert!(other.says_nothing());
}

#[test]
fn a_status_cannot_say_anything_else() {
    let other = Other::new();
    other.manager().status("fine\nMAINPID=1\r\0\u{85}end").unwrap();
    assert_eq!(other.next().0, "STATUS=fine MAINPID=1   end");
    other.manager().ready(&"\u{20ac}".repeat(2000)).unwrap();
    let message = other.next().0;
    assert_eq!(message, format!("READY=1\nSTATUS={}", "\u{20ac}".repeat(LONGEST_STATUS / 3)));
}

#[test]
fn an_abstract_name_is_an_address() {
    let name = format!("sharesock-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    with(&[("NOTIFY_SOCKET", &format!("@{name}"))]).unwrap().watchdog().unwrap();
    let mut bytes = [0; 64];
    let length = socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"WATCHDOG=1");
}

#[test]
fn without_a_manager_nothing_is_told_and_nothing_fails() {
    for variables in [[].as_slice(), &[("NOTIFY_SOCKET", "")], &[("WATCHDOG_USEC", "1000"), ("FDSTORE", "9")]] {
        let manager = with(variables).unwrap();
        assert!(!manager.is_there());
        assert_eq!((manager.watchdog_period(), manager.room()), (None, 0));
        manager.ready("a").unwrap();
        manager.store("a", std::io::stdin().as_fd()).unwrap();
    }
}

#[test]
fn a_manager_that_went_away_is_an_error_and_one_that_came_back_is_told() {
    let other = Other::new();
    let manager = other.manager();
    let path = Path::new(&other.address);
    std::fs::remove_file(path).unwrap();
    let said = format!("{:#}", manager.stopping().unwrap_err());
    assert!(said.contains("/notify STOPPING=1: "), "{said}");
    let again = UnixDatagram::bind(path).unwrap();
    manager.stopping().unwrap();
    assert_eq!(again.recv(&mut [0; 64]).unwrap(), 10);
}

#[test]
fn a_manager_that_does_not_read_is_not_waited_for_for_ever() {
    let other = Other::new();
    let manager = other.manager();
    // As many as fit; the one that does not fit gives up.
    while manager.watchdog().is_ok() {}
    let mut count = 0;
    other.socket.set_nonblocking(true).unwrap();
    while other.socket.recv(&mut [0; 64]).is_ok() {
        count += 1;
    }
    assert!(count > 0);
    manager.watchdog().unwrap();
}

#[test]
fn the_watchdog_is_fed_by_whom_it_watches() {
    let other = Other::new();
    let address = other.address.to_str().unwrap();
    let period = |variables: &[(&str, &str)]| {
        let all: Vec<_> = variables.iter().copied().chain([("NOTIFY_SOCKET", address)]).collect();
        with(&all).map(|manager| manager.watchdog_period())
    };
    let second = Some(Duration::from_secs(1));
    assert_eq!(period(&[("WATCHDOG_USEC", "2000000")]).unwrap(), second);
    assert_eq!(period(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", "77")]).unwrap(), second);
    assert_eq!(period(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", "78")]).unwrap(), None);
    assert_eq!(period(&[("WATCHDOG_USEC", "0")]).unwrap(), None);
    assert_eq!(period(&[("WATCHDOG_USEC", "18446744073709551615")]).unwrap(), None);
    assert_eq!(period(&[]).unwrap(), None);
    for wrong in [("WATCHDOG_USEC", "soon"), ("WATCHDOG_PID", "-1"), ("FDSTORE", "many")] {
        let said = period(&[wrong]).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{} is ", wrong.0)), "{said}");
    }
    assert_eq!(with(&[("NOTIFY_SOCKET", address), ("FDSTORE", "9")]).unwrap().room(), 9);
    // One that is too old to say may keep them all the same.
    assert_eq!(with(&[("NOTIFY_SOCKET", address)]).unwrap().room(), u32::MAX);
}

#[test]
fn an_address_that_is_none_is_refused() {
    for wrong in ["relative", "vsock:2:1234", &format!("/{}", "a".repeat(200))] {
        let said = with(&[("NOTIFY_SOCKET", wrong)]).unwrap_err().to_string();
        assert!(said.contains("it must be a path or an abstract name"), "{said}");
    }
}
