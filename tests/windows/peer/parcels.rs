//! What a peer does about handing off.

use sharesock::{Endpoint, Error, Parcel, Receiver, Sender, Socket};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a peer has handed off and received.
#[derive(Default)]
pub(super) struct Parcels {
    receiver: Option<Receiver>,
    senders: Vec<Sender>,
    taken: Vec<Parcel>,
}

impl Parcels {
    pub(super) fn close(&mut self) {
        self.taken.clear();
    }

    pub(super) fn obey(&mut self, endpoint: &Endpoint, words: &[&str]) -> Result<String, Error> {
        match *words {
            ["receiver"] => self.receiver = Some(endpoint.receiver()?),
            ["drop-receiver"] => self.receiver = None,
            ["receive"] => {
                let parcel = self.receiver.as_ref().unwrap().receive()?;
                let answer = format!("ok {}", String::from_utf8_lossy(parcel.bytes()));
                self.taken.push(parcel);
                return Ok(answer);
            }
            ["receive-for-ever"] => loop {
                let parcel = self.receiver.as_ref().unwrap().receive()?;
                self.taken.push(parcel);
            },
            ["echo", length] => {
                let mut bytes = vec![0; length.parse().unwrap()];
                let mut stream = self.taken.last().unwrap().socket().as_socket();
                stream.read_exact(&mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            }
            // Connects to `address` so many times, and hands the connections off in messages of up to so many.
            ["hand-off", pid, address, count, together] => {
                let sender = endpoint.sender(pid.parse::<u32>().unwrap())?;
                let connect = |n: usize| {
                    let socket = Socket::from(TcpStream::connect(address).unwrap());
                    Parcel::new(socket).with_bytes(n.to_string().into_bytes())
                };
                let (count, together): (usize, usize) = (count.parse().unwrap(), together.parse().unwrap());
                let mut parcels: VecDeque<_> = (0..count).map(connect).collect();
                while !parcels.is_empty() {
                    let some = parcels.len().min(together);
                    sender.hand_off_many(&mut parcels.drain(..some).collect())?;
                }
                self.senders.push(sender);
            }
            ["drop-senders"] => self.senders.clear(),
            ["flush"] => self.senders.iter().try_for_each(|sender| sender.flush(Duration::from_secs(60)))?,
            _ => panic!("unknown command {words:?}"),
        }
        Ok("ok".to_owned())
    }
}
