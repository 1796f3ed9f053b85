//! Whether a directory may be a domain: who owns it, and whom it lets write, read from its security descriptor.

/// What is wrong with the directory that has this self-relative security descriptor, for the user with the SID `me`.
pub(crate) fn distrust(descriptor: &[u8], me: &[u8]) -> Option<&'static str> {
    let unreadable = Some("what protects it cannot be read: name another domain");
    let Some(parts) = Parts::of(descriptor) else { return unreadable };
    if !is_trusted(parts.owner, me) {
        return Some("it belongs to another user: name another domain");
    }
    let open = Some("it is open to others: let only its user, SYSTEM and Administrators write to it");
    let Some(list) = parts.list else { return open };
    let mut left = list;
    for _ in 0..parts.entries {
        let Some((entry, rest)) = next_entry(left) else { return unreadable };
        left = rest;
        let Some(entry) = entry else { continue };
        if entry.mask & WRITING != 0 && !is_trusted(entry.sid, me) {
            return open;
        }
    }
    None
}

/// Making files and folders there, deleting them, making it lead elsewhere (which takes the right to write attributes),
/// changing who may; and the generic rights that have these in them.
const WRITING: u32 = 0x2 | 0x4 | 0x40 | 0x100 | 0x1_0000 | 0x4_0000 | 0x8_0000 | 0x1000_0000 | 0x4000_0000;
/// Types of entries that allow something and have the SID behind the mask: ordinary ones, and those with a condition.
const ALLOWED: [u8; 2] = [0, 9];
/// The same, with the object's type before the SID: they are of no file, and are taken for everybody's.
const ALLOWED_OBJECT: [u8; 2] = [5, 11];
/// Control bit: there is an access list.
const LIST_PRESENT: u16 = 0x4;

/// SYSTEM, Administrators, and the two that stand for the owner.
const TRUSTED: [&[u8]; 4] = [
    &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0],
    &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0],
    &[1, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0],
    &[1, 1, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0],
];

fn is_trusted(sid: &[u8], me: &[u8]) -> bool {
    sid == me || TRUSTED.contains(&sid)
}

struct Parts<'a> {
    owner: &'a [u8],
    /// The entries of the access list; nothing when there is none, which admits everybody.
    list: Option<&'a [u8]>,
    entries: u16,
}

impl<'a> Parts<'a> {
    fn of(descriptor: &'a [u8]) -> Option<Self> {
        let control = u16::from_le_bytes(*descriptor.get(2..)?.first_chunk()?);
        let offset = |at: usize| {
            let offset = u32::from_le_bytes(*descriptor.get(at..)?.first_chunk()?);
            usize::try_from(offset).ok()
        };
        let (owner, list) = (offset(4)?, offset(16)?);
        let owner = sid_at(descriptor.get(owner..)?)?;
        if control & LIST_PRESENT == 0 || list == 0 {
            return Some(Parts { owner, list: None, entries: 0 });
        }
        let list = descriptor.get(list..)?;
        let size = usize::from(u16::from_le_bytes(*list.get(2..)?.first_chunk()?));
        let entries = u16::from_le_bytes(*list.get(4..)?.first_chunk()?);
        Some(Parts { owner, list: Some(list.get(8..size)?), entries })
    }
}

struct Entry<'a> {
    mask: u32,
    sid: &'a [u8],
}

/// The first entry, if it allows something, and what is behind it.
fn next_entry(list: &[u8]) -> Option<(Option<Entry<'_>>, &[u8])> {
    let (kind, size) = (*list.first()?, usize::from(u16::from_le_bytes(*list.get(2..)?.first_chunk()?)));
    let entry = list.get(..size)?;
    let rest = list.get(size.max(8)..)?;
    if !ALLOWED.contains(&kind) && !ALLOWED_OBJECT.contains(&kind) {
        return Some((None, rest));
    }
    let mask = u32::from_le_bytes(*entry.get(4..)?.first_chunk()?);
    let sid = if ALLOWED.contains(&kind) { sid_at(entry.get(8..)?)? } else { &[] };
    Some((Some(Entry { mask, sid }), rest))
}

/// The SID at the front of `bytes`.
fn sid_at(bytes: &[u8]) -> Option<&[u8]> {
    let parts = usize::from(*bytes.get(1)?);
    bytes.get(..8 + 4 * parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::windows::sys::sid_text;
    use proptest::prelude::*;

    const ME: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 99, 0, 0, 0];
    const EVERYBODY: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

    fn descriptor(owner: &[u8], entries: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, mask, sid) in entries {
            let size = u16::try_from(8 + sid.len()).unwrap();
            list.extend([*kind, 0]);
            list.extend(size.to_le_bytes());
            list.extend(mask.to_le_bytes());
            list.extend(*sid);
        }
        let mut all = vec![1, 0, 4, 0x80];
        let at = u32::try_from(20 + owner.len()).unwrap();
        [20, 0, 0, at].into_iter().for_each(|offset| all.extend(offset.to_le_bytes()));
        all.extend(owner);
        all.extend([2, 0]);
        all.extend(u16::try_from(8 + list.len()).unwrap().to_le_bytes());
        all.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
        all.extend([0, 0]);
        all.extend(list);
        all
    }

    #[test]
    fn who_may_write_decides() {
        let all = 0x1f_01ff;
        assert_eq!(distrust(&descriptor(ME, &[(0, all, ME), (0, all, TRUSTED[0])]), ME), None);
        assert_eq!(distrust(&descriptor(ME, &[(0, 0x12_00a9, EVERYBODY)]), ME), None, "reading is no harm");
        assert!(distrust(&descriptor(ME, &[(0, all, ME), (0, 2, EVERYBODY)]), ME).is_some());
        assert!(distrust(&descriptor(ME, &[(0, 0x100, EVERYBODY)]), ME).is_some(), "who may make it a link");
        assert!(distrust(&descriptor(EVERYBODY, &[(0, all, ME)]), ME).is_some());
        assert_eq!(distrust(&descriptor(ME, &[(1, all, EVERYBODY)]), ME), None, "it denies");
        let mut none = descriptor(ME, &[]);
        none[2] = 0;
        assert!(distrust(&none, ME).is_some(), "no list admits everybody");
        assert_eq!(sid_text(TRUSTED[1]).unwrap(), "S-1-5-32-544");
    }

    proptest! {
        #[test]
        fn no_bytes_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (distrust(&bytes, ME), sid_text(&bytes));
        }
    }
}
