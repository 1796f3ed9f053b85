//! Seats for children.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::object::{Object, give};
use super::put_text;
use crate::memory::Out;
use crate::state;
use sharesock::Seat;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;

/// A seat, until it is told whose it is.
#[derive(Debug)]
pub struct Place(Mutex<Option<Seat>>);

impl Place {
    fn with<T>(&self, act: impl FnOnce(&mut Option<Seat>) -> Result<T>) -> Result<T> {
        let mut seat =
            self.0.try_lock().map_err(|_| Failure::of(libc::EBUSY, "another thread is using this object"))?;
        act(&mut seat)
    }
}

fn told() -> Failure {
    Failure::of(libc::EALREADY, "the seat has been told its process already")
}

plain! {
    /// `sharesock_seat_open`: a place at which a child receives from its birth.
    fn sharesock_seat_open(place: Out<*mut Place>) {
        let seat = state::shared()?.1.seat()?;
        let descriptor = seat.as_fd().as_raw_fd();
        give(place, Place(Mutex::new(Some(seat))))?;
        Ok(descriptor)
    }

    /// `sharesock_seat_variable`: what the child needs in its environment.
    fn sharesock_seat_variable(seat: Object<Place>, number: i32, text: Out<u8>, size: usize) {
        let (name, value) = seat.get()?.with(|seat| Ok(seat.as_ref().ok_or_else(told)?.variable(number)?))?;
        put_text(&format!("{name}={value}"), text, size)
    }

    /// `sharesock_seat_tell`: says which process the child is.
    fn sharesock_seat_tell(seat: Object<Place>, pid: u32) {
        seat.get()?.with(|seat| Ok(seat.take().ok_or_else(told)?.tell(pid)?))?;
        Ok(0)
    }

    /// `sharesock_seat_close`: frees it.
    fn sharesock_seat_close(seat: Object<Place>) {
        drop(seat.take());
        Ok(0)
    }
}
