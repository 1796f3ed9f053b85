//! How many connections each client address has here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// Bits of an IPv6 address that tell clients apart: each has all addresses that begin with them.
const CLIENT_BITS: u32 = 64;

/// Open connections of each address, up to a limit.
#[derive(Debug)]
pub(super) struct Addresses {
    most: Option<u32>,
    open: RefCell<HashMap<IpAddr, u32>>,
}

/// One of the connections of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct AddressSlot(Rc<Addresses>, IpAddr);

impl Addresses {
    pub(super) fn new(most: Option<u32>) -> Rc<Self> {
        Rc::new(Addresses { most, open: RefCell::default() })
    }

    pub(super) fn is_limited(&self) -> bool {
        self.most.is_some()
    }

    /// Counts one more connection of this address; nothing when it has as many as it may. One that has `moved` here was let
    /// in elsewhere.
    pub(super) fn enter(self: &Rc<Self>, address: IpAddr, moved: bool) -> Option<AddressSlot> {
        let client = client(address);
        let mut open = self.open.borrow_mut();
        let count = open.get(&client).copied().unwrap_or_default();
        if !moved && self.most.is_some_and(|most| count >= most) {
            return None;
        }
        open.insert(client, count.saturating_add(1));
        Some(AddressSlot(Rc::clone(self), client))
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut open = self.0.open.borrow_mut();
        match open.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = open.remove(&self.1),
        }
    }
}

/// What stands for a client among its addresses.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> CLIENT_BITS << CLIENT_BITS).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_connections_as_it_may() {
        let mut places = Vec::new();
        let addresses = Addresses::new(Some(2));
        for (address, moved, is_let_in) in [
            ("192.0.2.1", false, true),
            ("::ffff:192.0.2.1", false, true),
            ("192.0.2.1", false, false),
            ("192.0.2.2", false, true),
            ("2001:db8::1", false, true),
            ("2001:db8::2:1", false, true),
            ("2001:db8::3", false, false),
            ("2001:db8:0:1::1", false, true),
            ("192.0.2.1", true, true),
            ("192.0.2.1", false, false),
        ] {
            let place = addresses.enter(address.parse().unwrap(), moved);
            assert_eq!(place.is_some(), is_let_in, "{address}");
            places.extend(place);
        }
        places.clear();
        assert!(addresses.open.borrow().is_empty());
        assert!((0..100).all(|_| Addresses::new(None).enter([192, 0, 2, 1].into(), false).is_some()));
    }
}
