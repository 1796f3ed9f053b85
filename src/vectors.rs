//! The test vectors of the wire (docs/wire.md), checked in both directions.

use crate::catalog::CatalogEntry;
use crate::digest::digest32;
use crate::error::InfoError;
use crate::hand_off::load;
use crate::process::Process;
use crate::protocol_info::{Delivery, ProtocolInfo};
use std::fmt::Debug;
use std::str::FromStr;

const FILE: &str = include_str!("../docs/wire/vectors.txt");
/// Bytes of an info before its name.
const HEAD: usize = 116;

/// One line of the file.
pub(crate) struct Vector {
    line: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Vector {
    fn text(&self, field: &str) -> &'static str {
        let mut fields = self.line.split_ascii_whitespace().filter_map(|field| field.split_once('='));
        fields.find(|(name, _)| *name == field).unwrap_or_else(|| panic!("no {field}: {}", self.line)).1
    }

    pub(crate) fn number<T: FromStr<Err: Debug>>(&self, field: &str) -> T {
        self.text(field).parse().unwrap_or_else(|error| panic!("{field}: {error:?}: {}", self.line))
    }

    fn word(&self, field: &str) -> u32 {
        u32::from_str_radix(self.text(field), 16).unwrap_or_else(|error| panic!("{field}: {error}: {}", self.line))
    }

    pub(crate) fn token(&self) -> [u8; 16] {
        from_hex(self.text("token")).try_into().unwrap()
    }
}

/// The vectors of this kind, of which there is at least one.
pub(crate) fn vectors(kind: &str) -> Vec<Vector> {
    let of_kind = |line: &&str| line.split(' ').next() == Some(kind);
    let read = |line: &'static str| {
        let (_, digits) = line.rsplit_once("= ").unwrap_or_else(|| panic!("no bytes: {line}"));
        Vector { line, bytes: from_hex(digits) }
    };
    let found: Vec<_> = FILE.lines().filter(of_kind).map(read).collect();
    assert!(!found.is_empty(), "no vectors of {kind}");
    found
}

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn digests() {
    for vector in vectors("digest") {
        assert_eq!(digest32(&[&vector.bytes]), vector.word("value"), "{}", vector.line);
    }
}

#[test]
fn processes() {
    for vector in vectors("process") {
        let process = Process::from_parts(vector.number("id"), vector.number("start"), vector.number("namespace"));
        assert_eq!(process.to_bytes()[..], vector.bytes, "{}", vector.line);
        assert_eq!(Process::from_bytes(&vector.bytes.clone().try_into().unwrap()), Some(process), "{}", vector.line);
        assert_eq!(process.tag(), vector.word("tag"), "{}", vector.line);
    }
}

#[test]
fn catalog() {
    let described = vectors("catalog");
    assert_eq!(described.len(), CatalogEntry::all().len());
    for (vector, entry) in described.iter().zip(CatalogEntry::all()) {
        let kind = (vector.number("id"), vector.number("family"), vector.number("type"));
        assert_eq!((entry.id, entry.address_family, entry.socket_type), kind, "{}", vector.line);
        assert_eq!(entry.name.replace(' ', "_"), vector.text("name"));
        both_ways(&ProtocolInfo::from(entry), vector);
    }
}

#[test]
fn infos() {
    for vector in vectors("info") {
        let delivery = Delivery {
            token: vector.token(),
            target_pid: vector.number("target-id"),
            target_tag: vector.word("target-tag"),
            source_pid: vector.number("source-id"),
            source_tag: vector.word("source-tag"),
            domain: vector.word("domain"),
            held: vector.number::<u8>("held") == 1,
        };
        let entry = CatalogEntry::by_id(vector.number("entry")).unwrap();
        both_ways(&ProtocolInfo::new(entry, delivery), &vector);
    }
}

fn both_ways(info: &ProtocolInfo, vector: &Vector) {
    let (wide, narrow) = (info.to_wide_bytes(), info.to_narrow_bytes());
    assert_eq!((&wide[..HEAD], &narrow[..HEAD]), (&vector.bytes[..], &vector.bytes[..]), "{}", vector.line);
    let whole = |size: usize| [&vector.bytes[..], &vec![0; size - HEAD]].concat();
    for size in [wide.len(), narrow.len()] {
        assert_eq!(ProtocolInfo::from_bytes(&whole(size)).as_ref(), Ok(info), "{}", vector.line);
    }
    let digits: String = vector.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(info.to_string(), format!("sharesock1:{digits}"));
}

#[test]
fn refused_infos() {
    for vector in vectors("refused-info") {
        let bytes = [&vector.bytes[..], &[0; 628 - HEAD]].concat();
        match ProtocolInfo::from_bytes(&bytes) {
            Err(InfoError::Member { member, .. }) => assert_eq!(member, vector.text("member"), "{}", vector.line),
            other => panic!("{other:?}: {}", vector.line),
        }
    }
}

#[test]
fn loads() {
    for vector in vectors("load") {
        let parcels: Vec<_> =
            vector.text("parcels").split(',').map(|part| from_hex(part.trim_start_matches('-'))).collect();
        let mut message = Vec::new();
        load::write_head(&mut message, parcels.iter().map(Vec::len));
        message.extend(parcels.concat());
        assert_eq!(message, vector.bytes, "{}", vector.line);
        let parts: Vec<_> = load::read(&vector.bytes, parcels.len()).unwrap().collect();
        assert_eq!(parts, parcels, "{}", vector.line);
    }
    for vector in vectors("refused-load") {
        let parts = load::read(&vector.bytes, vector.number("descriptors"));
        assert!(parts.is_none(), "{}", vector.line);
    }
}
