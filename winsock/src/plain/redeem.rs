//! Redeeming and discarding, at once or in an event loop.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::object::{Object, give, given};
use super::share::info;
use super::wait;
use crate::memory::{In, Out};
use crate::state;
use sharesock::{PendingFlush, PendingRedeem, Redeeming};
use std::os::fd::AsRawFd;
use std::sync::Mutex;

/// Something that goes on while its caller does something else.
#[derive(Debug)]
pub struct Pending(Mutex<Kind>);

#[derive(Debug)]
enum Kind {
    Redeem(PendingRedeem),
    Flush(PendingFlush),
    Finished,
}

impl Pending {
    fn finish(kind: &mut Kind) -> Result<i32> {
        let not_yet = || Failure::of(libc::EAGAIN, "not yet: wait until the descriptor is readable");
        let done = match kind {
            Kind::Redeem(pending) => given(pending.try_finish()?.ok_or_else(not_yet)?),
            Kind::Flush(pending) => match pending.left() {
                0 => 0,
                _ => return Err(not_yet()),
            },
            Kind::Finished => return Err(Failure::of(libc::EALREADY, "it has been finished already")),
        };
        *kind = Kind::Finished;
        Ok(done)
    }
}

/// Locked only in the middle of a call of another thread.
fn busy<T>(_: T) -> Failure {
    Failure::of(libc::EBUSY, "another thread is using this object")
}

plain! {
    /// `sharesock_redeem`: one more descriptor of the socket that an info names.
    fn sharesock_redeem(bytes: In<u8>, length: usize, timeout_ms: i64) {
        let info = info(bytes, length)?;
        Ok(given(state::shared()?.1.redeem_within(&info, wait(timeout_ms))?))
    }

    /// `sharesock_try_redeem`: the same without waiting; what cannot be had now is pending.
    fn sharesock_try_redeem(bytes: In<u8>, length: usize, place: Out<*mut Pending>) {
        if place.is_null() {
            return Err(Failure::of(libc::EFAULT, "there is no place for what may be pending"));
        }
        place.put(std::ptr::null_mut())?;
        let info = info(bytes, length)?;
        match state::shared()?.1.start_redeem(&info)? {
            Redeeming::Done(socket) => Ok(given(socket)),
            Redeeming::Pending(pending) => {
                give(place, Pending(Mutex::new(Kind::Redeem(pending))))?;
                Err(Failure::of(libc::EAGAIN, "the source holds the duplicate and was asked for it: wait for its answer"))
            }
        }
    }

    /// `sharesock_discard`: closes a duplicate that nobody wants.
    fn sharesock_discard(bytes: In<u8>, length: usize) {
        state::shared()?.1.discard(&info(bytes, length)?)?;
        Ok(0)
    }

    /// `sharesock_start_flush`: begins a flush.
    fn sharesock_start_flush(place: Out<*mut Pending>) {
        let flush = state::shared()?.1.start_flush()?;
        give(place, Pending(Mutex::new(Kind::Flush(flush))))?;
        Ok(0)
    }

    /// `sharesock_pending_fd`: what is readable when to try again.
    fn sharesock_pending_fd(pending: Object<Pending>) {
        match &*pending.get()?.0.try_lock().map_err(busy)? {
            Kind::Redeem(pending) => Ok(pending.as_raw_fd()),
            Kind::Flush(pending) => Ok(pending.as_raw_fd()),
            Kind::Finished => Err(Failure::of(libc::EALREADY, "it has been finished already")),
        }
    }

    /// `sharesock_pending_finish`: the result, if there is one by now.
    fn sharesock_pending_finish(pending: Object<Pending>) {
        Pending::finish(&mut *pending.get()?.0.try_lock().map_err(busy)?)
    }

    /// `sharesock_pending_close`: gives up.
    fn sharesock_pending_close(pending: Object<Pending>) {
        drop(pending.take());
        Ok(0)
    }
}
