//! Where processes are on Windows: domains that are trusted and others, who holds what, completion ports.

use crate::peer::{Peer, Place, pair, wait_for_end};
use sharesock::os::windows::SocketExt;
use sharesock::{Connection, Domain, Endpoint, Error, Process, Socket, winsock_code};
use std::os::windows::io::{AsHandle, AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle, OwnedSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

fn why(path: impl Into<PathBuf>) -> String {
    match Domain::at(path) {
        Err(Error::UntrustedDomain { why, .. }) => why.into_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_domain_is_a_real_directory() {
    let place = Place::new("real");
    let file = place.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let why = why(&file);
    assert!(why.contains("not a real directory"), "{why}");
    assert_eq!(Domain::at(place.path().join("none").join("below")).unwrap_err().os_code(), Some(3));
    assert!(Domain::at("").is_err() && Domain::at("a\0b").is_err());
}

#[test]
fn one_directory_is_one_domain_wherever_the_process_stands() {
    in_a_process_of_its_own!();
    let place = Place::new("relative");
    let before = std::env::current_dir().unwrap();
    std::env::set_current_dir(place.path().parent().unwrap()).unwrap();
    let relative = Domain::at(place.path().file_name().unwrap()).unwrap();
    let endpoint = Endpoint::open(&relative).unwrap();
    std::env::set_current_dir(before).unwrap();
    let (mut client, socket) = pair();
    let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
    drop((socket, endpoint));
    wait_for_end(&mut client);
    assert_eq!(place.tickets(), Vec::<String>::new());
    let endpoint = place.endpoint();
    assert_eq!(endpoint.redeem(&info), Err(Error::UnknownDelivery));
}

#[test]
fn long_paths_are_domains() {
    let place = Place::new("long");
    let mut path = place.path().to_owned();
    for _ in 0..6 {
        path.push("x".repeat(60));
        Domain::at(&path).unwrap();
    }
    let endpoint = Endpoint::open(&Domain::at(&path).unwrap()).unwrap();
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
}

/// A directory that everybody may write to, and one of another user if there is one.
///
/// Wine cannot make them: there `windows/test` makes them from outside, and says where.
fn open_and_foreign(place: &Path) -> (PathBuf, Option<PathBuf>) {
    if let Some(base) = std::env::var_os("SHARESOCK_TEST_PREPARED").map(PathBuf::from) {
        let foreign = base.join("foreign");
        return (base.join("open"), foreign.exists().then_some(foreign));
    }
    let open = place.join("open");
    std::fs::create_dir(&open).unwrap();
    let granted = Command::new("icacls").arg(&open).args(["/grant", "*S-1-1-0:(OI)(CI)F"]).output().unwrap();
    assert!(granted.status.success(), "icacls does not work: run this by windows/test under Wine");
    (open, None)
}

#[test]
fn what_others_may_write_to_or_own_is_no_domain() {
    let base = Place::new("trust");
    let (open, foreign) = open_and_foreign(base.path());
    for path in std::iter::once(open).chain(foreign) {
        let refused = Domain::at(&path).unwrap_err();
        assert!(matches!(&refused, Error::UntrustedDomain { path: of, .. } if *of == path), "{refused:?}");
    }
    assert!(Domain::at(base.path().join("mine")).is_ok());
}

#[test]
fn processes_are_told_apart() {
    for pid in [0, u32::MAX, std::process::id() | 1, std::process::id() | 2] {
        if pid != std::process::id() {
            assert_eq!(Process::from_pid(pid), Err(Error::NoSuchProcess { pid }));
        }
    }
    let me = Process::current().unwrap();
    assert_eq!(Process::from_pid(std::process::id()), Ok(me));
    assert_eq!(me.to_string().parse(), Ok(me));
}

#[test]
fn what_is_no_socket_is_refused() {
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let handle = OwnedHandle::from(file);
    let number = std::os::windows::io::IntoRawHandle::into_raw_handle(handle);
    #[allow(unsafe_code)]
    // SAFETY: it is closed by whoever owns it next; that it is no socket is what is tested.
    let socket = unsafe { <OwnedSocket as std::os::windows::io::FromRawSocket>::from_raw_socket(number as u64) };
    assert_eq!(Socket::try_from(socket).unwrap_err(), Error::NotASocket);
    #[allow(unsafe_code)]
    // SAFETY: `closesocket` did not close what is no socket.
    drop(unsafe { OwnedHandle::from_raw_handle(number) });
}

#[test]
fn a_socket_that_is_none_is_found_before_the_process() {
    let place = Place::new("order");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let number = socket.as_raw_socket();
    #[allow(unsafe_code)]
    // SAFETY: it is the tested mistake: the descriptor is closed behind its owner's back.
    unsafe {
        windows_sys::Win32::Networking::WinSock::closesocket(number as usize)
    };
    let error = endpoint.duplicate(&socket, 0).unwrap_err();
    assert_eq!((error.os_code(), error.winsock_code()), (Some(10038), 10038), "{error}");
    std::mem::forget(socket);
}

#[test]
fn who_holds_a_socket() {
    let place = Place::new("holders");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let copy = socket.try_clone().unwrap();
    let info = endpoint.duplicate(&socket, target.pid()).unwrap();
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    match socket.holders() {
        Ok(holders) => {
            println!("{holders:?}");
            let count = |pid| holders.seen.iter().filter(|holder| holder.pid == pid).count();
            assert_eq!((count(std::process::id()), count(target.pid())), (2, 1));
            assert!(holders.seen.iter().all(|holder| holder.command.ends_with(".exe")));
        }
        Err(error) => {
            println!("{error}");
            assert!(matches!(error, Error::NotOnThisSystem { .. }));
        }
    }
    drop(copy);
}

fn port() -> OwnedHandle {
    use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
    use windows_sys::Win32::System::IO::CreateIoCompletionPort;
    #[allow(unsafe_code)]
    // SAFETY: it makes a port and owns it.
    unsafe {
        OwnedHandle::from_raw_handle(CreateIoCompletionPort(INVALID_HANDLE_VALUE, std::ptr::null_mut(), 0, 1))
    }
}

#[test]
fn a_socket_is_bound_to_one_port() {
    let (one, two) = (port(), port());
    let place = Place::new("port");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let redeemed = endpoint.redeem(&endpoint.duplicate(&socket, std::process::id()).unwrap()).unwrap();
    socket.associate(one.as_handle(), 1).unwrap();
    assert_eq!(redeemed.associate(two.as_handle(), 2), Err(Error::BoundToPort));
    assert_eq!(Error::BoundToPort.winsock_code(), 87);
    match redeemed.dissociate() {
        Ok(()) => {
            socket.associate(two.as_handle(), 2).unwrap();
            socket.dissociate().unwrap();
        }
        Err(error) => println!("dissociate: {error}"),
    }
    assert!(!two.as_raw_handle().is_null());
}

#[test]
fn how_a_connection_stands() {
    let (mut client, socket) = pair();
    assert_eq!(socket.connection(), Some(Connection::Open));
    let udp = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    assert_eq!(udp.connection(), None);
    let new = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    assert_eq!(new.connection(), Some(Connection::Never));
    drop(socket);
    wait_for_end(&mut client);
    println!("ended: {:?}", Socket::from(client).connection());
}

#[test]
fn codes() {
    for (code, expected) in
        [(5, 10013), (6, 10038), (8, 10055), (87, 10022), (109, 10054), (232, 10054), (183, 10048), (10061, 10061)]
    {
        assert_eq!(winsock_code(code), expected, "{code}");
    }
    for code in [0, -1, i32::MIN, i32::MAX, 9999] {
        assert_eq!(winsock_code(code), 10107);
    }
}
