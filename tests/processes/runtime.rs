//! Sharing in programs on tokio: their types, and calls that do not stop a runtime.

use crate::peer::{Peer, Place, pair, wait_for_end};
use sharesock::{AsyncSender, Error, Parcel, ProtocolInfo, Socket, SpawnExt, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LONG: Duration = Duration::from_secs(60);

fn run<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, act).await.expect("waiting for the whole test") })
}

/// Counts how often another task of the same thread has its turn.
fn ticking() -> (Arc<AtomicU32>, tokio::task::JoinHandle<()>) {
    let ticks = Arc::new(AtomicU32::new(0));
    let counted = ticks.clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (ticks, task)
}

/// Waits until another task has had so many turns.
async fn turns(ticks: &AtomicU32, count: u32) {
    let until = ticks.load(Ordering::SeqCst) + count;
    while ticks.load(Ordering::SeqCst) < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn sockets_go_into_a_runtime_and_come_out_of_it() {
    let place = Place::new("runtime-types");
    let endpoint = place.endpoint();
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Lent; redeemed, and blocking for whoever shared it no longer than before: it is one socket.
        let info = endpoint.duplicate(&listener, std::process::id()).unwrap();
        let same = endpoint.redeem_async(&info).await.unwrap();
        assert_eq!((same.local_addr().unwrap(), same.peer_addr().is_err()), (address, true));
        let same = tokio::net::TcpListener::try_from(same).unwrap();
        let (client, accepted) = tokio::join!(tokio::net::TcpStream::connect(address), same.accept());
        let (mut client, (served, _)) = (client.unwrap(), accepted.unwrap());
        let socket = Socket::try_from(served).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), client.local_addr().unwrap());
        // A blocking one becomes what tokio needs.
        socket.set_nonblocking(false).unwrap();
        let mut served = tokio::net::TcpStream::try_from(socket).unwrap();
        served.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
        let unix = Socket::from(std::os::unix::net::UnixStream::pair().unwrap().0);
        assert_eq!(unix.local_addr().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        tokio::net::UnixStream::try_from(unix).unwrap();
    });
}

#[test]
fn a_redemption_that_waits_lets_other_tasks_go_on() {
    let place = Place::new("runtime-redeem");
    let (_client, socket) = pair();
    let mut source = Peer::start(&place);
    let inward = place.endpoint().duplicate(&socket, source.pid()).unwrap();
    source.ask(&format!("redeem {inward}"));
    let text = source.ask(&format!("duplicate {}", std::process::id()));
    let info: ProtocolInfo = text.strip_prefix("ok ").unwrap().parse().unwrap();
    assert!(info.delivery().unwrap().held);
    let pid = rustix::process::Pid::from_raw(source.pid().try_into().unwrap());
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::STOP).unwrap();
    rustix::process::waitpid(pid, rustix::process::WaitOptions::UNTRACED).unwrap().unwrap();
    let endpoint = place.endpoint();
    run(async {
        let (ticks, _task) = ticking();
        let redeeming = endpoint.redeem_async(&info);
        let going_on = async {
            turns(&ticks, 20).await;
            rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::CONT).unwrap();
        };
        let (redeemed, ()) = tokio::join!(redeeming, going_on);
        assert_eq!(redeemed.unwrap(), socket);
    });
}

#[test]
fn a_hand_off_and_flushes_that_wait_let_other_tasks_go_on() {
    let place = Place::new("runtime-hand-off");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    run(async {
        let (ticks, _task) = ticking();
        let sender = AsyncSender::new(endpoint.sender(std::process::id()).unwrap()).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        while sender.get_ref().hand_off_copy(&socket, &[0; 1000], sharesock::Wait::none()).is_ok() {}
        let full = sender.get_ref().outstanding();
        let take = async {
            turns(&ticks, 20).await;
            for _ in 0..full {
                receiver.receive().unwrap();
            }
        };
        let last = Parcel::new(socket.try_clone().unwrap()).with_bytes("last");
        let (handed_off, ()) = tokio::join!(sender.hand_off(last), take);
        handed_off.unwrap();
        let take = async {
            turns(&ticks, 20).await;
            assert_eq!(receiver.receive().unwrap().bytes(), b"last");
        };
        let (flushed, ()) = tokio::join!(sender.flush(), take);
        flushed.unwrap();
        drop(receiver);
        assert!(matches!(sender.hand_off(socket).await.map_err(Error::from), Err(Error::TargetGone { .. })));

        let mut target = Peer::start_without_endpoint(&place);
        endpoint.duplicate(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), target.pid()).unwrap();
        let open = async {
            turns(&ticks, 20).await;
            assert_eq!(target.ask("open"), "ok");
        };
        let (flushed, ()) = tokio::join!(endpoint.flush_async(), open);
        flushed.unwrap();
    });
}

#[test]
fn a_child_of_tokio_has_its_endpoint_from_birth() {
    let place = Place::new("runtime-spawn");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    run(async {
        let mut child = tokio::process::Command::new("sleep").arg("60").spawn_with_endpoint(&endpoint).unwrap();
        assert_eq!(child.process().unwrap().pid(), child.id().unwrap());
        assert!(!endpoint.duplicate(&socket, &child).unwrap().delivery().unwrap().held);
        drop(socket);
        child.kill().await.unwrap();
        assert_eq!(endpoint.sender(&child).unwrap_err(), Error::NoSuchProcess { pid: 0 });
    });
    wait_for_end(&mut client);
}

#[test]
fn what_was_refused_is_an_error_by_a_question_mark_and_is_told_once() {
    let place = Place::new("runtime-refused");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    drop(receiver);
    let hand_off = || -> Result<(), std::io::Error> { Ok(sender.hand_off(std::net::UdpSocket::bind("127.0.0.1:0")?)?) };
    let error = hand_off().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let told = Error::TargetGone { pid: std::process::id() }.to_string();
    let refused = sender.hand_off(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap_err();
    let bad = ProtocolInfo::from_bytes(&[0; 3]).map_err(Error::from).unwrap_err();
    for error in [Box::new(error) as Box<dyn std::error::Error>, refused, Box::new(bad)] {
        let chain = std::iter::successors(Some(&*error), |error| error.source()).map(ToString::to_string);
        let chain: Vec<_> = chain.collect();
        let repeated = chain.windows(2).any(|pair| pair[0].contains(&pair[1]));
        assert!(!repeated, "{chain:?}");
    }
    assert!(hand_off().unwrap_err().to_string().contains(&told));
    let missing = place.path().join("no/such/folder");
    let error = sharesock::Domain::at(&missing).unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
}
