//! A peer in a ring: it passes sockets on to the next, with duplicates beside them, until it is told to halt.

use sharesock::{DuplicateOptions, Endpoint, Error, Parcel, Process, ProtocolInfo, Receiver, Sender, Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) struct Ring {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Socket>, Failure>>,
}

impl Ring {
    pub(super) fn start(endpoint: Endpoint, receiver: Receiver, next: u32, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let member = Member { endpoint, receiver, next, seed, stop: stop.clone(), sender: None, attic: Vec::new() };
        Ring { stop, thread: std::thread::spawn(move || member.run()) }
    }

    /// Every socket that is this peer's now.
    pub(super) fn halt(self) -> Result<Vec<Socket>, Failure> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the ring's thread failed")?
    }
}

struct Member {
    endpoint: Endpoint,
    receiver: Receiver,
    next: u32,
    seed: u64,
    stop: Arc<AtomicBool>,
    sender: Option<Sender>,
    attic: Vec<Socket>,
}

impl Member {
    fn run(mut self) -> Result<Vec<Socket>, Failure> {
        self.sender = self.endpoint.sender(self.next).ok();
        while !self.stop.load(Ordering::SeqCst) {
            let Some(parcel) = self.receiver.receive_within(Duration::from_millis(1))? else { continue };
            let (socket, bytes) = parcel.into_parts();
            self.check(&socket, std::str::from_utf8(&bytes)?)?;
            self.pass_on(socket)?;
        }
        while let Some(parcel) = self.receiver.try_receive()? {
            self.attic.push(parcel.into_parts().0);
        }
        if let Some(sender) = self.sender.take() {
            self.attic.extend(sender.reclaim().into_iter().map(|parcel| parcel.into_parts().0));
        }
        Ok(self.attic)
    }

    /// Redeems the duplicate that came with a socket: the outcome must be the one that its source intended.
    fn check(&self, socket: &Socket, text: &str) -> Result<(), Failure> {
        let Some((intended, info)) = text.split_once(' ') else { return Ok(()) };
        let info: ProtocolInfo = info.parse()?;
        let held = info.delivery().is_some_and(|delivery| delivery.held);
        match (intended, self.endpoint.redeem(&info)) {
            ("redeem", Ok(redeemed)) if redeemed == *socket => Ok(()),
            ("revoked", Err(Error::Revoked)) | ("expired", Err(Error::Expired)) => Ok(()),
            (_, Err(Error::SourceGone)) if held => Ok(()),
            (_, other) => Err(format!("{intended} came to {other:?}, held: {held}").into()),
        }
    }

    /// Passes a socket on, with a duplicate of it; keeps it when the next has ended.
    fn pass_on(&mut self, socket: Socket) -> Result<(), Failure> {
        // Xorshift: the same seed gives the same choices.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let Some(sender) = &self.sender else {
            self.attic.push(socket);
            return Ok(());
        };
        let target: Process = sender.target();
        let options = DuplicateOptions::new();
        let at_once = options.expires_in(Duration::from_nanos(1));
        let duplicated = match self.seed % 4 {
            0 => self.endpoint.duplicate_revocable(&socket, target, &options).and_then(|(info, revocation)| {
                revocation.revoke()?;
                Ok(format!("revoked {info}"))
            }),
            1 => self.endpoint.duplicate_with(&socket, target, &at_once).map(|info| format!("expired {info}")),
            2 => self.endpoint.duplicate(&socket, target).map(|info| format!("redeem {info}")),
            _ => Ok(String::new()),
        };
        let text = match duplicated {
            // The next has just been killed: handing off fails, too.
            Err(Error::NoSuchProcess { .. }) => String::new(),
            other => other?,
        };
        if let Err(refused) = sender.hand_off(Parcel::new(socket).with_bytes(text)) {
            self.attic.push(refused.parcel.into_parts().0);
            // The next has ended: what it did not take is this peer's again.
            let sender = self.sender.take();
            let back = sender.into_iter().flat_map(Sender::reclaim);
            self.attic.extend(back.map(|parcel| parcel.into_parts().0));
        }
        Ok(())
    }
}
