//! Short digests for names and checksums. They guard against accidents, not against people.

/// FNV-1a over `parts`, in order. A change of any single byte always changes the result.
pub(crate) fn digest32(parts: &[&[u8]]) -> u32 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A checksum of `words`, in order, four bytes a step: FNV-1a with a rotation, which carries high bits down. Each step maps
/// one to one, so a change of any single word always changes the result.
pub(crate) fn checksum32(words: &[u32]) -> u32 {
    words.iter().fold(0x811C_9DC5, |sum, word| (sum ^ word).wrapping_mul(0x0100_0193).rotate_left(15))
}

#[cfg(test)]
mod tests {
    use super::{checksum32, digest32};

    #[test]
    fn known_checksums() {
        assert_eq!(checksum32(&[]), 0x811C_9DC5);
        assert_eq!(checksum32(&[0]), 0x2E8F_8286);
        assert_eq!(checksum32(&[1, 2, u32::MAX]), 0xA2DF_A38F);
        assert_ne!(checksum32(&[1, 2]), checksum32(&[2, 1]));
    }

    #[test]
    fn known_values() {
        assert_eq!(digest32(&[]), 0x811C_9DC5);
        assert_eq!(digest32(&[b"a"]), 0xE40C_292C);
        assert_eq!(digest32(&[b"foo", b"bar"]), 0xBF9C_F968);
    }
}
