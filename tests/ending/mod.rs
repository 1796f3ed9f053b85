//! Processes that end while they hand off or receive: this same test program in a role.

use crate::patience::WaitInTime;
use crate::peer::Place;
use sharesock::{Domain, Endpoint, Parcel, Receiver, Socket};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "SHARESOCK_TEST_ENDING";
const DOMAIN: &str = "SHARESOCK_TEST_ENDING_DOMAIN";

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Killed,
    Returns,
    Exits,
}

/// A parcel that says which one it is; some are large.
pub(crate) fn parcel(socket: Socket, round: u64, index: u64) -> Parcel {
    let mut bytes = [round.to_le_bytes(), index.to_le_bytes()].concat();
    bytes.resize(if index % 50 == 49 { Parcel::MOST_BYTES } else { 16 }, 7);
    Parcel::new(socket).with_bytes(bytes)
}

/// The round of a parcel and its index.
pub(crate) fn named(bytes: &[u8]) -> (u64, u64) {
    assert!(bytes[16..].iter().all(|byte| *byte == 7), "bytes of a parcel are changed");
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    (number(0), number(8))
}

/// A process that ends, and the other side of its standard input, over which it tells what was accepted.
pub(crate) struct Process {
    pub(crate) child: Child,
    log: UnixStream,
}

impl Process {
    /// Starts it and waits until it can begin.
    pub(crate) fn start(place: &Place, role: &str) -> Self {
        let (mut log, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "ending::role", "--nocapture"]).env(ROLE, role).env(DOMAIN, place.path());
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        drop(command);
        log.read_exact(&mut [0]).unwrap_or_else(|error| panic!("{role} ended at once: {error}"));
        Process { child, log }
    }

    pub(crate) fn kill_after(&self, delay: Duration) -> std::thread::JoinHandle<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            // It is reaped only after this thread was waited for, or ended by this.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        })
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn wait(&mut self) {
        self.child.wait_in_time();
    }

    /// How many parcels it has seen accepted.
    pub(crate) fn logged(&mut self) -> u64 {
        self.wait();
        let mut log = Vec::new();
        self.log.read_to_end(&mut log).unwrap();
        log.len() as u64
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: what such a process runs. Without the variable it has nothing to do.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let [who, round, length, many, pause, ending] = words[..] else { panic!("{role:?} is no role") };
    let [round, length, many, pause] = [round, length, many, pause].map(|word| word.parse().unwrap());
    let endpoint = Endpoint::open(&Domain::at(std::env::var_os(DOMAIN).unwrap()).unwrap()).unwrap();
    let mut log = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let ended: Box<dyn std::any::Any> = match who {
        "sender" => Box::new(hand_off(&endpoint, &mut log, round, length, many == 1)),
        _ => Box::new(receive(&endpoint, &mut log, length, many)),
    };
    std::thread::sleep(Duration::from_micros(pause));
    if ending == format!("{:?}", Ending::Killed) {
        std::thread::park();
    }
    if ending == format!("{:?}", Ending::Exits) {
        std::process::exit(0);
    }
    drop(ended);
}

fn hand_off(endpoint: &Endpoint, log: &mut UnixStream, round: u64, length: u64, many: bool) -> sharesock::Sender {
    let sender = endpoint.sender(std::os::unix::process::parent_id()).unwrap();
    log.write_all(b"r").unwrap();
    let socket = || Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).unwrap();
    let mut index = 0;
    while index < length {
        let count = if many { (length - index).min(1 + index % 40) } else { 1 };
        let mut parcels: VecDeque<_> = (index..index + count).map(|index| parcel(socket(), round, index)).collect();
        match many {
            true => sender.hand_off_many(&mut parcels).unwrap(),
            false => sender.hand_off(parcels.pop_front().unwrap()).unwrap(),
        }
        log.write_all(&vec![b'.'; usize::try_from(count).unwrap()]).unwrap();
        index += count;
    }
    sender
}

fn receive(endpoint: &Endpoint, log: &mut UnixStream, length: u64, batch: u64) -> Receiver {
    let receiver = endpoint.receiver().unwrap();
    log.write_all(b"r").unwrap();
    let mut taken = 0;
    while taken < length {
        let parcels = match batch {
            1 => vec![receiver.receive().unwrap()],
            _ => receiver.receive_many(usize::try_from(batch).unwrap()).unwrap(),
        };
        for parcel in parcels {
            named(parcel.bytes());
            parcel.into_parts().0.write_all(b"m").unwrap();
            taken += 1;
        }
    }
    receiver
}
