//! Duplicating and revoking.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::object::{Object, give, lent};
use super::put_text;
use crate::layout::WideInfo;
use crate::memory::{In, Out};
use crate::state;
use sharesock::{DuplicateOptions, Process, ProtocolInfo, Revocation};
use std::sync::Mutex;
use std::time::Duration;

/// A duplicate that can be revoked, once.
#[derive(Debug)]
pub struct Revocable(Mutex<Option<Revocation>>);

impl Revocable {
    pub(super) fn new(revocation: Revocation) -> Self {
        Revocable(Mutex::new(Some(revocation)))
    }
}

fn options(expires_ms: i64) -> DuplicateOptions {
    let time = u64::try_from(expires_ms).ok().map(Duration::from_millis);
    time.map_or(DuplicateOptions::new(), |time| DuplicateOptions::new().expires_in(time))
}

/// Writes an info down; whether the duplicate is held here until its target claims it.
pub(super) fn put_info(info: &ProtocolInfo, place: Out<WideInfo>) -> Result<i32> {
    place.put(info.to_wide_bytes())?;
    Ok(i32::from(info.delivery().is_some_and(|delivery| delivery.held)))
}

pub(super) fn check(place: Out<WideInfo>) -> Result<()> {
    // A duplicate whose info has no place could never be redeemed.
    if place.is_null() { Err(Failure::of(libc::EFAULT, "there is no place for the info")) } else { Ok(()) }
}

pub(super) fn process(text: In<i8>) -> Result<Process> {
    Ok(text.text()?.parse()?)
}

/// An info from the bytes of either form.
pub(super) fn info(bytes: In<u8>, length: usize) -> Result<ProtocolInfo> {
    // No form is longer: more need not be read to see that it is none.
    let read = bytes.many(length.min(size_of::<WideInfo>() + 1))?;
    match ProtocolInfo::from_bytes(&read) {
        Err(sharesock::InfoError::Length(_)) => Err(sharesock::InfoError::Length(length).into()),
        read => Ok(read?),
    }
}

plain! {
    /// `sharesock_share`: duplicates a socket for the process with this id.
    fn sharesock_share(fd: i32, pid: u32, expires_ms: i64, place: Out<WideInfo>) {
        check(place)?;
        let socket = lent(fd)?;
        put_info(&state::shared()?.1.duplicate_with(socket, pid, &options(expires_ms))?, place)
    }

    /// `sharesock_share_to`: the same for a process that is named by its text.
    fn sharesock_share_to(fd: i32, target: In<i8>, expires_ms: i64, place: Out<WideInfo>) {
        check(place)?;
        let (socket, target) = (lent(fd)?, process(target)?);
        put_info(&state::shared()?.1.duplicate_with(socket, target, &options(expires_ms))?, place)
    }

    /// `sharesock_share_revocable`: the same, with the means to revoke it.
    fn sharesock_share_revocable(
        fd: i32, target: In<i8>, expires_ms: i64, place: Out<WideInfo>, revocation: Out<*mut Revocable>,
    ) {
        check(place)?;
        if revocation.is_null() {
            return Err(Failure::of(libc::EFAULT, "there is no place for the revocation"));
        }
        let (socket, target) = (lent(fd)?, process(target)?);
        let (info, made) = state::shared()?.1.duplicate_revocable(socket, target, &options(expires_ms))?;
        give(revocation, Revocable::new(made))?;
        put_info(&info, place)
    }

    /// `sharesock_revoke`: takes a duplicate back.
    fn sharesock_revoke(revocation: Object<Revocable>) {
        // Locked only in the middle of this call by another thread: then that one has revoked it.
        let made = revocation.get()?.0.try_lock().ok().and_then(|mut made| made.take());
        let made = made.ok_or_else(|| Failure::of(libc::EALREADY, "it was revoked by this revocation already"))?;
        made.revoke()?;
        Ok(0)
    }

    /// `sharesock_revocation_close`: gives up the means to revoke.
    fn sharesock_revocation_close(revocation: Object<Revocable>) {
        drop(revocation.take());
        Ok(0)
    }

    /// `sharesock_info_text`: an info as text.
    fn sharesock_info_text(bytes: In<u8>, length: usize, text: Out<u8>, size: usize) {
        put_text(&info(bytes, length)?.to_string(), text, size)
    }

    /// `sharesock_info_parse`: an info from its text.
    fn sharesock_info_parse(text: In<i8>, place: Out<WideInfo>) {
        let info: ProtocolInfo = text.text()?.parse()?;
        place.put(info.to_wide_bytes())?;
        Ok(0)
    }
}
