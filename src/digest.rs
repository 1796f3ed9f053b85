//! One short digest for names and checksums. It guards against accidents, not against people.

/// FNV-1a over `parts`, in order. A change of any single byte always changes the result.
pub(crate) fn digest32(parts: &[&[u8]]) -> u32 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::digest32;

    #[test]
    fn known_values() {
        assert_eq!(digest32(&[]), 0x811C_9DC5);
        assert_eq!(digest32(&[b"a"]), 0xE40C_292C);
        assert_eq!(digest32(&[b"foo", b"bar"]), 0xBF9C_F968);
    }
}
