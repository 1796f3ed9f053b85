//! The message that carries parcels: a head, the length of each parcel's bytes, then the bytes, one descriptor each.

use super::Parcel;

/// The first word of a load, and its version.
const LOAD: [u8; 4] = *b"SSL\x01";
/// The most parcels in one load: as many descriptors as Linux passes in one message.
pub(crate) const MOST_PARCELS: usize = 253;
/// Bytes before the lengths.
pub(crate) const HEAD: usize = 8;

/// The most bytes that a load has.
pub(crate) const MOST: usize = HEAD + 4 * MOST_PARCELS + Parcel::MOST_BYTES;

/// How many parcels from the front of `lengths` go into one load.
pub(crate) fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let mut total = 0_usize;
    let fits = |length: &usize| {
        total = total.saturating_add(*length);
        total <= Parcel::MOST_BYTES
    };
    lengths.take(MOST_PARCELS).take_while(fits).count()
}

/// Writes what goes before the bytes of parcels with these lengths.
pub(crate) fn write_head(head: &mut Vec<u8>, lengths: impl ExactSizeIterator<Item = usize>) {
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    head.clear();
    head.extend(LOAD);
    head.extend(word(lengths.len()));
    lengths.for_each(|length| head.extend(word(length)));
}

/// The bytes of each parcel of a load that came with `descriptors` descriptors; nothing when it is none of ours.
pub(crate) fn read(message: &[u8], descriptors: usize) -> Option<Parts<'_>> {
    let (count, rest) = message.strip_prefix(&LOAD)?.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    (count > 0 && count == descriptors).then_some(())?;
    let (lengths, bytes) = rest.split_at_checked(count.checked_mul(4)?)?;
    let total = lengths.chunks_exact(4).try_fold(0_usize, |total, length| total.checked_add(to_length(length)?))?;
    (total == bytes.len()).then_some(Parts { lengths, bytes })
}

/// The bytes of parcels, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    lengths: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, lengths) = self.lengths.split_at_checked(4)?;
        let (part, bytes) = self.bytes.split_at_checked(to_length(length)?)?;
        (self.lengths, self.bytes) = (lengths, bytes);
        Some(part)
    }
}

fn to_length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_load_comes_back_the_same(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..253)) {
            let mut message = Vec::new();
            write_head(&mut message, parts.iter().map(Vec::len));
            message.extend(parts.concat());
            let read_back: Vec<_> = read(&message, parts.len()).unwrap().collect();
            prop_assert_eq!(read_back, parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert!(read(&message, parts.len() + 1).is_none());
            message.push(0);
            prop_assert!(read(&message, parts.len()).is_none());
        }

        #[test]
        fn noise_is_no_load(noise in prop::collection::vec(any::<u8>(), 0..100), count in 0..5_usize) {
            let message = [&LOAD[..], &noise].concat();
            if let Some(parts) = read(&message, count) {
                prop_assert_eq!(parts.count(), count);
                prop_assert_eq!(HEAD + 4 * count + parts.map(<[u8]>::len).sum::<usize>(), message.len());
            }
        }

        #[test]
        fn what_fits_keeps_the_bounds(lengths in prop::collection::vec(0..70_000_usize, 0..400)) {
            let count = fitting(lengths.iter().copied());
            prop_assert!(count <= MOST_PARCELS && lengths[..count].iter().sum::<usize>() <= Parcel::MOST_BYTES);
            prop_assert!(count == lengths.len() || count == MOST_PARCELS || lengths[..=count].iter().sum::<usize>() > Parcel::MOST_BYTES);
        }
    }
}
