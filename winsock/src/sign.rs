//! The same bits, with a sign or without: C programs pass numbers either way.

macro_rules! signs {
    ($($signed:ty, $unsigned:ty;)+) => {$(
        impl WithoutSign for $unsigned {
            type Signed = $signed;
            fn with_sign(self) -> $signed {
                <$signed>::from_ne_bytes(self.to_ne_bytes())
            }
        }
        impl WithSign for $signed {
            type Unsigned = $unsigned;
            fn without_sign(self) -> $unsigned {
                <$unsigned>::from_ne_bytes(self.to_ne_bytes())
            }
        }
    )+};
}

/// A number without a sign.
pub(crate) trait WithoutSign {
    type Signed;
    fn with_sign(self) -> Self::Signed;
}

/// A number with a sign.
pub(crate) trait WithSign {
    type Unsigned;
    fn without_sign(self) -> Self::Unsigned;
}

signs! { i16, u16; i32, u32; i64, u64; isize, usize; }
