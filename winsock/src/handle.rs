//! Handles: the numbers by which a C program names its sockets and event objects.
//!
//! A handle is a place in the table with the number of times that the place was used before. So one that was closed is
//! not taken for the next one in its place, and a random number names nothing.

use crate::code::{Code, Result};
use crate::sock::Sock;
use sharesock::Event;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

/// Bits of the place in a handle, and of the count of its uses; the two lowest are zero, as Windows has it. All fit
/// into 31 bits, for there are programs that keep a handle in an `int`.
const PLACE_BITS: u32 = 20;
const USE_BITS: u32 = 9;
const USES: usize = (1 << USE_BITS) - 1;
/// So many places are kept from being used again at once.
const RESTING: usize = 64;

/// What a handle names.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    Socket(Arc<Sock>),
    Event(Event),
}

#[derive(Debug)]
struct Place {
    /// From 1 on.
    uses: usize,
    object: Option<Object>,
}

/// The handles of a process.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    places: Vec<Place>,
    free: VecDeque<usize>,
    by_descriptor: Option<HashMap<RawFd, usize>>,
}

impl Handles {
    pub(crate) const fn new() -> Self {
        Handles { places: Vec::new(), free: VecDeque::new(), by_descriptor: None }
    }

    pub(crate) fn insert(&mut self, object: Object) -> Result<usize> {
        let room = self.places.len() < 1 << PLACE_BITS;
        let resting = if room { RESTING } else { 0 };
        let place = match self.free.len() > resting {
            true => self.free.pop_front().unwrap_or(0),
            false if room => {
                self.places.push(Place { uses: 0, object: None });
                self.places.len() - 1
            }
            false => return Err(Code::MFILE),
        };
        let found = self.places.get_mut(place).ok_or(Code::MFILE)?;
        found.uses = found.uses % USES + 1;
        let handle = (found.uses << PLACE_BITS | place) << 2;
        if let Object::Socket(sock) = &object {
            self.by_descriptor.get_or_insert_default().insert(sock.socket.as_raw_fd(), handle);
        }
        found.object = Some(object);
        Ok(handle)
    }

    fn place(&self, handle: usize) -> Option<(usize, &Object)> {
        let (place, uses) = (handle >> 2 & ((1 << PLACE_BITS) - 1), handle >> (2 + PLACE_BITS));
        let found = self.places.get(place).filter(|found| found.uses == uses && handle.trailing_zeros() >= 2)?;
        Some((place, found.object.as_ref()?))
    }

    pub(crate) fn get(&self, handle: usize) -> Option<&Object> {
        self.place(handle).map(|(_, object)| object)
    }

    /// Takes the object out, if it is of the kind that is meant.
    pub(crate) fn remove(&mut self, handle: usize, is_meant: fn(&Object) -> bool) -> Option<Object> {
        let (place, _) = self.place(handle).filter(|(_, object)| is_meant(object))?;
        let object = self.places.get_mut(place)?.object.take()?;
        if let (Object::Socket(sock), Some(known)) = (&object, &mut self.by_descriptor) {
            known.remove(&sock.socket.as_raw_fd());
        }
        self.free.push_back(place);
        Some(object)
    }

    /// All sockets.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Arc<Sock>> {
        self.places.iter().filter_map(|place| match &place.object {
            Some(Object::Socket(sock)) => Some(sock),
            _ => None,
        })
    }

    /// The handle of the socket with this descriptor.
    pub(crate) fn of_descriptor(&self, descriptor: RawFd) -> Option<usize> {
        self.by_descriptor.as_ref()?.get(&descriptor).copied()
    }

    /// Takes all sockets out.
    pub(crate) fn remove_sockets(&mut self) -> Vec<Arc<Sock>> {
        self.by_descriptor = None;
        let free = &mut self.free;
        let sockets = self.places.iter_mut().enumerate().filter_map(|(at, place)| match place.object {
            Some(Object::Socket(_)) => {
                free.push_back(at);
                place.object.take()
            }
            _ => None,
        });
        sockets.filter_map(|object| if let Object::Socket(sock) = object { Some(sock) } else { None }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sock() -> Object {
        let socket = sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        Object::Socket(Arc::new(Sock::new(socket)))
    }

    const ANY: fn(&Object) -> bool = |_| true;

    #[test]
    fn a_handle_names_its_object_alone_and_none_when_it_is_closed() {
        let mut handles = Handles::new();
        let mut all = std::collections::HashSet::new();
        for _ in 0..2_000 {
            let handle = handles.insert(sock()).unwrap();
            assert!(handle > 0 && handle % 4 == 0 && i32::try_from(handle).is_ok());
            assert!(handles.get(handle).is_some());
            assert!(handles.get(handle + 1).is_none());
            assert!(handles.remove(handle, |object| matches!(object, Object::Event(_))).is_none());
            assert!(handles.remove(handle, ANY).is_some());
            assert!(handles.remove(handle, ANY).is_none());
            assert!(all.insert(handle), "a handle was given twice");
        }
        assert!(all.iter().all(|handle| handles.get(*handle).is_none()));
    }

    #[test]
    fn random_numbers_name_nothing() {
        let mut handles = Handles::new();
        let known: Vec<usize> = (0..100).map(|_| handles.insert(sock()).unwrap()).collect();
        for number in (0..usize::MAX).step_by(usize::MAX / 1_000_003).chain(0..100_000) {
            assert!(known.contains(&number) || handles.get(number).is_none());
        }
    }

    #[test]
    fn a_socket_is_found_by_its_descriptor() {
        let mut handles = Handles::new();
        let Object::Socket(one) = sock() else { unreachable!() };
        let handle = handles.insert(Object::Socket(one.clone())).unwrap();
        assert_eq!(handles.of_descriptor(one.socket.as_raw_fd()), Some(handle));
        assert_eq!(handles.remove_sockets().len(), 1);
        assert_eq!((handles.of_descriptor(one.socket.as_raw_fd()), handles.get(handle).is_none()), (None, true));
    }
}
