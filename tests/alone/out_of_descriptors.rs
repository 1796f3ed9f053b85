//! An event loop whose process has no descriptor free: it is told now and then, and does not spin. It lowers the
//! limit of the process.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sharesock::{Domain, Endpoint, Receiver};
use std::net::UdpSocket;
use std::time::Duration;

fn is_readable(receiver: &Receiver, time: Duration) -> bool {
    let time = Timespec::try_from(time).unwrap();
    poll(&mut [PollFd::new(receiver, PollFlags::IN)], Some(&time)).unwrap() > 0
}

#[test]
fn a_receiver_without_a_free_descriptor_is_told_now_and_then() {
    in_a_process_of_its_own!();
    let folder = std::env::temp_dir().join(format!("sharesock-out-of-descriptors-{}", std::process::id()));
    let endpoint = Endpoint::open(&Domain::at(&folder).unwrap()).unwrap();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    assert!(receiver.try_receive().unwrap().is_none());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.hand_off_copy(&socket, b"waits", None).unwrap();
    // A sender that has ended: its queue has hung up, which is told of whatever is asked for.
    drop(sender);
    // And one that waits to be accepted.
    let second = endpoint.sender(std::process::id()).unwrap();
    // As low as allows to poll one.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(1), ..limit }).unwrap();
    let mut quiet = 0;
    for _ in 0..200 {
        assert!(is_readable(&receiver, Duration::from_secs(60)), "waiting to be told of what waits");
        // Each that waits is tried, and then is quiet.
        let refused = std::iter::repeat_with(|| receiver.try_receive()).take(4).all(|tried| tried.is_err());
        assert!(refused);
        quiet += u32::from(!is_readable(&receiver, Duration::ZERO));
        if quiet > 3 {
            break;
        }
    }
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(quiet > 3, "it was readable all the time");
    assert_eq!(receiver.receive().unwrap().bytes(), b"waits");
    second.hand_off_copy(&socket, b"came later", None).unwrap();
    assert_eq!(receiver.receive().unwrap().bytes(), b"came later");
    drop((receiver, second, endpoint));
    std::fs::remove_dir_all(&folder).unwrap();
}
