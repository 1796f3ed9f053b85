//! The memory of a caller: what its pointers point to, read and written.
//!
//! Pointers come in as [`In`] and [`Out`], which only a call from C makes. So the caller's promise, that each points to
//! as much as the interface says, stands behind every one of them; null is answered by `WSAEFAULT`.
#![allow(unsafe_code)]

use crate::code::{Code, Result};
use std::ffi::CStr;

/// Addresses below are nobody's.
const FIRST_PAGE: usize = 4096;

/// Whether nothing can be at an address: null, or in the first page, which is never mapped: a member of a structure at
/// null.
pub(crate) fn is_nowhere(address: usize) -> bool {
    address < FIRST_PAGE
}

/// A pointer to something to be read.
#[repr(transparent)]
#[derive(Debug)]
pub struct In<T>(*const T);

/// A pointer to something to be written, and perhaps read.
#[repr(transparent)]
#[derive(Debug)]
pub struct Out<T>(*mut T);

impl<T> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for In<T> {}

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T: Copy> In<T> {
    /// Whether it points to nothing.
    pub(crate) fn is_null(self) -> bool {
        is_nowhere(self.0.addr())
    }

    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    pub(crate) fn get(self) -> Result<T> {
        if self.is_null() {
            return Err(Code::FAULT);
        }
        // SAFETY: the caller promises that a pointer that is not null points to a T; it need not be aligned.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// One of several.
    pub(crate) fn at(self, index: usize) -> Result<T> {
        if self.is_null() {
            return Err(Code::FAULT);
        }
        // SAFETY: the caller promises that there are as many; it is read as in `get`.
        Ok(unsafe { self.0.add(index).read_unaligned() })
    }

    /// Nothing when it is null.
    pub(crate) fn get_if(self) -> Option<T> {
        self.get().ok()
    }

    /// `count` of them.
    pub(crate) fn many(self, count: usize) -> Result<Vec<T>> {
        if count > 0 && self.is_null() {
            return Err(Code::FAULT);
        }
        // SAFETY: the caller promises that there are as many, each of which is read as in `get`.
        Ok((0..count).map(|at| unsafe { self.0.add(at).read_unaligned() }).collect())
    }
}

impl In<i8> {
    /// A text that ends with a null.
    pub(crate) fn text(self) -> Result<String> {
        if self.is_null() {
            return Err(Code::FAULT);
        }
        // SAFETY: the caller promises a text with a null at its end, which stays as it is during the call.
        let text = unsafe { CStr::from_ptr(self.0.cast()) };
        Ok(text.to_string_lossy().into_owned())
    }

    /// No text when it is null.
    pub(crate) fn text_if(self) -> Option<String> {
        self.text().ok()
    }
}

impl In<u16> {
    /// A wide text that ends with a null.
    pub(crate) fn text(self) -> Result<String> {
        if self.is_null() {
            return Err(Code::FAULT);
        }
        // SAFETY: the caller promises a null at the end of the text, before which each place may be read.
        let letters = (0..).map(|at| unsafe { self.0.add(at).read_unaligned() }).take_while(|letter| *letter != 0);
        Ok(String::from_utf16_lossy(&letters.collect::<Vec<u16>>()))
    }

    pub(crate) fn text_if(self) -> Option<String> {
        self.text().ok()
    }
}

impl<T: Copy> Out<T> {
    /// As that of [`In`].
    pub(crate) fn is_null(self) -> bool {
        is_nowhere(self.0.addr())
    }

    pub(crate) fn as_in(self) -> In<T> {
        In(self.0)
    }

    pub(crate) fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }

    pub(crate) fn get(self) -> Result<T> {
        self.as_in().get()
    }

    pub(crate) fn put(self, value: T) -> Result<()> {
        self.put_at(0, value)
    }

    pub(crate) fn put_at(self, index: usize, value: T) -> Result<()> {
        if self.is_null() {
            return Err(Code::FAULT);
        }
        // SAFETY: the caller promises that a pointer that is not null points to as many T as it says, which nobody
        // else uses during the call; they need not be aligned.
        unsafe { self.0.add(index).write_unaligned(value) };
        Ok(())
    }

    pub(crate) fn put_many(self, values: &[T]) -> Result<()> {
        values.iter().enumerate().try_for_each(|(at, value)| self.put_at(at, *value))
    }
}

impl<T> Out<T> {
    pub(crate) fn from_raw(pointer: *mut T) -> Self {
        Out(pointer)
    }

    /// A pointer that something else checks, such as the kernel.
    pub(crate) fn raw(self) -> *mut T {
        self.0
    }
}

impl<T> In<T> {
    /// A pointer that something else checks, such as the kernel.
    pub(crate) fn raw(self) -> *const T {
        self.0
    }

    pub(crate) fn from_raw(pointer: *const T) -> Self {
        In(pointer)
    }
}
