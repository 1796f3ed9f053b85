//! What goes through the pipe: a greeting, then loads, each after its length.

use super::counter::Ticket;
use crate::hand_off::{Parcel, load};
use crate::process::Process;
use crate::provider::windows::sys::GENUINE;

/// What a sender says first, and its version.
const HELLO: [u8; 4] = *b"SSH\x01";
/// Bytes of a greeting.
pub(super) const GREETING: usize = 4 + 20 + 8 + 16;
/// Bytes of the length before a load.
pub(super) const LENGTH: usize = 4;
/// Bytes of a parcel before those of the application: the identity of its socket, and what Winsock redeems.
const OWN: usize = 8 + GENUINE;
/// The most bytes that a load has.
pub(super) const MOST: usize = load::MOST + load::MOST_PARCELS * OWN;

/// Who opened a link, and where the two count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) process: Process,
    pub(super) ticket: Ticket,
}

impl Greeting {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let [first, second] = self.ticket.mark.map(u64::to_le_bytes);
        [&HELLO[..], &self.process.to_bytes(), &self.ticket.number.to_le_bytes(), &first, &second].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (process, rest) = bytes.strip_prefix(&HELLO)?.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first, second) = rest.split_first_chunk()?;
        let mark = [*first, second.try_into().ok()?].map(u64::from_le_bytes);
        let ticket = Ticket { number: u64::from_le_bytes(*number), mark };
        Some(Greeting { process: Process::from_bytes(process)?, ticket })
    }
}

/// A parcel as it came: nothing is made of it before the program takes it.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) id: u64,
    pub(super) genuine: Box<[u8; GENUINE]>,
    pub(super) bytes: Vec<u8>,
}

/// The length of a load that is announced.
pub(super) fn read_length(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()?;
    (length <= MOST).then_some(length)
}

/// The parcels of a load; nothing when it is none of ours.
pub(super) fn read_load(message: &[u8]) -> Option<Vec<Packed>> {
    let count = message.get(4..8)?.try_into().ok().map(u32::from_le_bytes)?;
    let count = usize::try_from(count).ok().filter(|count| *count <= load::MOST_PARCELS)?;
    load::read(message, count)?.map(read_part).collect()
}

fn read_part(part: &[u8]) -> Option<Packed> {
    let (id, rest) = part.split_first_chunk()?;
    let (genuine, bytes) = rest.split_first_chunk()?;
    (bytes.len() <= Parcel::MOST_BYTES).then(|| Packed {
        id: u64::from_le_bytes(*id),
        genuine: Box::new(*genuine),
        bytes: bytes.to_vec(),
    })
}

/// A load in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    lengths: Vec<usize>,
    body: Vec<u8>,
    head: Vec<u8>,
    message: Vec<u8>,
}

impl Draft {
    /// The bytes in the pipe of a load of so many parcels with so many bytes of the application.
    pub(super) fn size(count: usize, bytes: usize) -> usize {
        LENGTH + load::HEAD + count * (4 + OWN) + bytes
    }

    pub(super) fn clear(&mut self) {
        self.lengths.clear();
        self.body.clear();
    }

    pub(super) fn push(&mut self, id: u64, genuine: &[u8; GENUINE], bytes: &[u8]) {
        self.lengths.push(OWN + bytes.len());
        self.body.extend(id.to_le_bytes());
        self.body.extend(genuine);
        self.body.extend(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The bytes to write.
    pub(super) fn finish(&mut self) -> &[u8] {
        load::write_head(&mut self.head, self.lengths.iter().copied());
        let length = u32::try_from(self.head.len() + self.body.len()).unwrap_or(u32::MAX);
        self.message.clear();
        self.message.extend(length.to_le_bytes());
        self.message.extend(&self.head);
        self.message.extend(&self.body);
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_comes_back_the_same() {
        let mut draft = Draft::default();
        for count in [1, 2, load::MOST_PARCELS] {
            draft.clear();
            (0..count).for_each(|n| draft.push(n as u64, &[n as u8; GENUINE], &vec![n as u8; n]));
            let message = draft.finish();
            assert_eq!(message.len(), Draft::size(count, (0..count).sum()));
            let length = read_length(&message[..LENGTH]).unwrap();
            assert_eq!(length, message.len() - LENGTH);
            let load = read_load(&message[LENGTH..]).unwrap();
            assert_eq!(load.len(), count);
            for (n, packed) in load.iter().enumerate() {
                assert_eq!((packed.id, *packed.genuine), (n as u64, [n as u8; GENUINE]));
                assert_eq!(packed.bytes, vec![n as u8; n]);
            }
            for cut in LENGTH..message.len() {
                assert!(read_load(&message[LENGTH..cut]).is_none());
            }
            assert!(read_load(&[&message[LENGTH..], &[0]].concat()).is_none());
        }
    }

    #[test]
    fn a_greeting_comes_back_the_same() {
        let ticket = Ticket { number: 88, mark: [1, 2] };
        let greeting = Greeting { process: Process::current().unwrap(), ticket };
        let bytes = greeting.to_bytes();
        assert_eq!((bytes.len(), Greeting::from_bytes(&bytes)), (GREETING, Some(greeting)));
        assert!(Greeting::from_bytes(&bytes[1..]).is_none());
        assert!(Greeting::from_bytes(&bytes[..GREETING - 1]).is_none());
    }

    #[test]
    fn noise_is_no_load() {
        assert!(read_load(&[]).is_none());
        assert!(read_load(b"SSL\x01").is_none());
        assert!(read_load(b"SSL\x01\x01\0\0\0").is_none());
        assert!(read_load(b"SSL\x01\x01\0\0\0\0\0\0\0").is_none());
        assert!(read_load(b"SSL\x01\xff\xff\xff\xff\xff\xff\xff\xff").is_none());
        assert!(read_length(&u32::MAX.to_le_bytes()).is_none());
    }
}
