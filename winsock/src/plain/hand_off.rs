//! Senders and receivers.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::object::{Object, close, give, given, lent};
use super::share::process;
use super::{put_text, wait};
use crate::memory::{In, Out};
use crate::state;
use sharesock::{Parcel, Progress, Receiver, Sender, Target};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A sender, with what it has reclaimed and C has not been given yet.
#[derive(Debug)]
pub struct SenderObject {
    sender: Sender,
    progress: OnceLock<Progress>,
    reclaimed: Mutex<VecDeque<Parcel>>,
}

/// A receiver, with a parcel whose bytes had no room.
#[derive(Debug)]
pub struct Inlet {
    receiver: Receiver,
    back: Mutex<VecDeque<Parcel>>,
}

fn open(target: impl Target, name: In<i8>, place: Out<*mut SenderObject>) -> Result<i32> {
    let endpoint = state::shared()?.1;
    let sender = match name.text_if().filter(|name| !name.is_empty()) {
        Some(name) => endpoint.sender_named(target, &name)?,
        None => endpoint.sender(target)?,
    };
    give(place, SenderObject { sender, progress: OnceLock::new(), reclaimed: Mutex::default() })?;
    Ok(0)
}

fn lock(parcels: &Mutex<VecDeque<Parcel>>) -> MutexGuard<'_, VecDeque<Parcel>> {
    parcels.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives C the first of these parcels, if its bytes have room; otherwise it stays.
fn give_first(parcels: &mut VecDeque<Parcel>, place: Out<u8>, size: usize, length: Out<usize>) -> Result<i32> {
    let Some(first) = parcels.front() else { return Err(Failure::of(libc::ENODATA, "nothing is left")) };
    let needed = first.bytes().len();
    if !length.is_null() {
        length.put(needed)?;
    }
    if needed > size {
        return Err(Failure::of(
            libc::EMSGSIZE,
            format!("the bytes need {needed} bytes of room, and there are {size}"),
        ));
    }
    if needed > 0 {
        place.put_many(first.bytes())?;
    }
    parcels.pop_front().map(|parcel| given(parcel.into_parts().0)).ok_or_else(|| Failure::of(libc::ENODATA, ""))
}

plain! {
    /// `sharesock_sender_open`: hands off to a receiver of the process with this id.
    fn sharesock_sender_open(pid: u32, name: In<i8>, place: Out<*mut SenderObject>) {
        open(pid, name, place)
    }

    /// `sharesock_sender_open_to`: the same for a process that is named by its text.
    fn sharesock_sender_open_to(target: In<i8>, name: In<i8>, place: Out<*mut SenderObject>) {
        open(process(target)?, name, place)
    }

    /// `sharesock_hand_off`: gives a socket away; the descriptor is taken only if this returns 0.
    fn sharesock_hand_off(sender: Object<SenderObject>, fd: i32, bytes: In<u8>, length: usize, timeout_ms: i64) {
        let bytes = bytes.many(length.min(Parcel::MOST_BYTES + 1))?;
        sender.get()?.sender.hand_off_copy(lent(fd)?, &bytes, wait(timeout_ms))?;
        close(fd);
        Ok(0)
    }

    /// `sharesock_sender_fd`: readable when the target has ended or closed its receiver.
    fn sharesock_sender_fd(sender: Object<SenderObject>) {
        Ok(sender.get()?.sender.as_fd().as_raw_fd())
    }

    /// `sharesock_sender_progress_fd`: readable when the target has taken something, or is gone.
    fn sharesock_sender_progress_fd(sender: Object<SenderObject>) {
        let inner = sender.get()?;
        if let Some(progress) = inner.progress.get() {
            progress.clear();
            return Ok(progress.as_fd().as_raw_fd());
        }
        let made = inner.sender.progress()?;
        Ok(inner.progress.get_or_init(|| made).as_fd().as_raw_fd())
    }

    /// `sharesock_sender_outstanding`: how many sockets the target has not taken yet.
    fn sharesock_sender_outstanding(sender: Object<SenderObject>) {
        Ok(i32::try_from(sender.get()?.sender.outstanding()).unwrap_or(i32::MAX))
    }

    /// `sharesock_sender_flush`: waits until the target has taken everything.
    fn sharesock_sender_flush(sender: Object<SenderObject>, timeout_ms: i64) {
        sender.get()?.sender.flush(wait(timeout_ms))?;
        Ok(0)
    }

    /// `sharesock_sender_reclaim`: ends the hand-offs, and gives back one socket that was not taken.
    fn sharesock_sender_reclaim(sender: Object<SenderObject>, bytes: Out<u8>, size: usize, length: Out<usize>) {
        let inner = sender.get()?;
        let mut reclaimed = lock(&inner.reclaimed);
        if reclaimed.is_empty() {
            reclaimed.extend(inner.sender.reclaim_some()?);
        }
        give_first(&mut reclaimed, bytes, size, length)
    }

    /// `sharesock_sender_close`: what is on its way stays on its way.
    fn sharesock_sender_close(sender: Object<SenderObject>) {
        drop(sender.take());
        Ok(0)
    }

    /// `sharesock_receiver_open`: from now on others can hand sockets off to this process.
    fn sharesock_receiver_open(name: In<i8>, place: Out<*mut Inlet>) {
        let endpoint = state::shared()?.1;
        let receiver = match name.text_if().filter(|name| !name.is_empty()) {
            Some(name) => endpoint.receiver_named(&name)?,
            None => endpoint.receiver()?,
        };
        give(place, Inlet { receiver, back: Mutex::default() })?;
        Ok(0)
    }

    /// `sharesock_receiver_fd`: readable when there may be something to receive.
    fn sharesock_receiver_fd(receiver: Object<Inlet>) {
        Ok(receiver.get()?.receiver.as_raw_fd())
    }

    /// `sharesock_receive`: takes one socket with its bytes.
    fn sharesock_receive(
        receiver: Object<Inlet>, bytes: Out<u8>, size: usize, length: Out<usize>, source: Out<u8>, source_size: usize,
        timeout_ms: i64,
    ) {
        let inlet = receiver.get()?;
        // Not under the lock: others may take what they find.
        let kept = lock(&inlet.back).pop_front();
        let parcel = match kept {
            Some(parcel) => parcel,
            None => inlet.receiver.receive_within(wait(timeout_ms))?.ok_or_else(|| {
                Failure::of(libc::EAGAIN, "nothing was handed off in time")
            })?,
        };
        let from = parcel.source().map(|process| process.to_string()).unwrap_or_default();
        let mut one = VecDeque::from([parcel]);
        let given = put_source(&from, source, source_size).and_then(|()| give_first(&mut one, bytes, size, length));
        // What had no room is the next to be received.
        lock(&inlet.back).extend(one);
        given
    }

    /// `sharesock_receiver_close`: what was not taken is its senders' again.
    fn sharesock_receiver_close(receiver: Object<Inlet>) {
        drop(receiver.take());
        Ok(0)
    }
}

fn put_source(text: &str, place: Out<u8>, size: usize) -> Result<()> {
    if place.is_null() { Ok(()) } else { put_text(text, place, size).map(drop) }
}
