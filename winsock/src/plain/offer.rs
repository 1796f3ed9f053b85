//! Offers, and those who keep them.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::object::{give, lent};
use super::put_text;
use super::share::{Revocable, check, process, put_info};
use crate::layout::WideInfo;
use crate::memory::{In, Out};
use crate::state;
use sharesock::{OfferOptions, Process};
use std::time::Duration;

fn options(expires_ms: i64, uid: i64) -> Result<OfferOptions> {
    let refuse = |what: &str| Failure::of(libc::EINVAL, what);
    let time = u64::try_from(expires_ms).map_err(|_| refuse("an offer must expire: give it a time"))?;
    let options = OfferOptions::expiring_in(Duration::from_millis(time));
    match uid {
        -1 => Ok(options),
        uid => Ok(options.for_user(u32::try_from(uid).map_err(|_| refuse("this is no id of a user: -1 is anybody"))?)),
    }
}

fn keeper() -> Result<Process> {
    let found = state::shared()?.0.keepers()?.into_iter().next();
    found.ok_or_else(|| Failure::of(libc::ENOENT, "nobody keeps offers in this domain: run `sharesock keep`"))
}

plain! {
    /// `sharesock_offer`: a duplicate for whoever redeems it first.
    fn sharesock_offer(fd: i32, expires_ms: i64, uid: i64, place: Out<WideInfo>) {
        check(place)?;
        let info = state::shared()?.1.offer(lent(fd)?, &options(expires_ms, uid)?)?;
        put_info(&info, place)?;
        Ok(0)
    }

    /// `sharesock_offer_revocable`: the same, with the means to revoke it.
    fn sharesock_offer_revocable(
        fd: i32, expires_ms: i64, uid: i64, place: Out<WideInfo>, revocation: Out<*mut Revocable>,
    ) {
        check(place)?;
        if revocation.is_null() {
            return Err(Failure::of(libc::EFAULT, "there is no place for the revocation"));
        }
        let (info, made) = state::shared()?.1.offer_revocable(lent(fd)?, &options(expires_ms, uid)?)?;
        give(revocation, Revocable::new(made))?;
        put_info(&info, place)?;
        Ok(0)
    }

    /// `sharesock_offer_kept`: the same, held by a process that keeps offers.
    fn sharesock_offer_kept(fd: i32, by: In<i8>, expires_ms: i64, uid: i64, place: Out<WideInfo>) {
        check(place)?;
        let by = if by.is_null() { keeper()? } else { process(by)? };
        let info = state::shared()?.1.offer_kept(lent(fd)?, by, &options(expires_ms, uid)?)?;
        put_info(&info, place)?;
        Ok(0)
    }

    /// `sharesock_keeper`: a process that keeps offers.
    fn sharesock_keeper(text: Out<u8>, size: usize) {
        put_text(&keeper()?.to_string(), text, size)
    }
}
