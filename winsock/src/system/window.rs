//! Windows for messages: classes and windows that nobody sees, each with the procedure that its messages go to.
#![allow(unsafe_code)]

use super::message;
use crate::code::{Code, Result};
use crate::layout::{CreateStruct, WndProc};
use crate::sign::{WithSign, WithoutSign};
use crate::state;
use sharesock::MessageQueue;
use std::collections::{HashMap, VecDeque};

/// Messages that windows are sent when they come and go.
const CREATE: u32 = 0x0001;
const DESTROY: u32 = 0x0002;
const CLOSE: u32 = 0x0010;
const NCCREATE: u32 = 0x0081;
const NCDESTROY: u32 = 0x0082;

/// Indices of `GetWindowLongPtr`.
const USER_DATA: i32 = -21;
const PROCEDURE: i32 = -4;

/// Numbers below are atoms, not names.
const ATOMS: usize = 0x1_0000;
const FIRST_ATOM: u16 = 0xc000;
/// So many places rest before one is used again.
const RESTING: usize = 1024;

/// All classes and windows of the process, and who of its threads has messages.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    classes: HashMap<String, Class>,
    places: Vec<Place>,
    free: VecDeque<u16>,
    pub(crate) threads: Option<HashMap<u32, MessageQueue>>,
    names: Vec<String>,
    last_atom: u16,
}

#[derive(Debug, Clone)]
struct Class {
    atom: u16,
    procedure: WndProc,
    extra: usize,
}

#[derive(Debug, Default)]
struct Place {
    uses: usize,
    window: Option<Window>,
}

/// A window.
#[derive(Debug, Clone)]
struct Window {
    class: String,
    procedure: WndProc,
    thread: u32,
    queue: MessageQueue,
    user_data: isize,
    extra: Vec<u8>,
    /// It is being told that it ends.
    ending: bool,
}

/// What names a class: its name, or its atom.
#[derive(Debug, Clone)]
pub(crate) enum ClassName {
    Name(String),
    Atom(u16),
}

impl ClassName {
    /// From the address that a caller gives, and the text there.
    pub(crate) fn of(address: usize, text: impl FnOnce() -> Result<String>) -> Result<Self> {
        if address < ATOMS {
            return Ok(ClassName::Atom(u16::try_from(address).unwrap_or(0)));
        }
        text().map(|name| ClassName::Name(name.to_lowercase()))
    }
}

impl Windows {
    fn class(&self, name: &ClassName) -> Option<(&String, &Class)> {
        match name {
            ClassName::Name(name) => self.classes.get_key_value(name),
            ClassName::Atom(atom) => self.classes.iter().find(|(_, class)| class.atom == *atom),
        }
    }

    fn place(&self, window: usize) -> Option<u16> {
        let (place, uses) = (window >> 2 & 0xffff, window >> 18);
        let found = self.places.get(place.checked_sub(1)?)?;
        (found.uses == uses && window.trailing_zeros() >= 2 && found.window.is_some())
            .then_some(u16::try_from(place).ok()?)
    }

    fn get(&self, window: usize) -> Result<&Window> {
        let place = self.place(window).ok_or(Code::INVALID_WINDOW_HANDLE)?;
        let found = self.places.get(usize::from(place) - 1).and_then(|place| place.window.as_ref());
        found.ok_or(Code::INVALID_WINDOW_HANDLE)
    }

    fn get_mut(&mut self, window: usize) -> Result<&mut Window> {
        let place = self.place(window).ok_or(Code::INVALID_WINDOW_HANDLE)?;
        let found = self.places.get_mut(usize::from(place) - 1).and_then(|place| place.window.as_mut());
        found.ok_or(Code::INVALID_WINDOW_HANDLE)
    }

    /// The window that now has a place.
    pub(crate) fn handle_at(&self, place: u16) -> Option<usize> {
        let found = self.places.get(usize::from(place).checked_sub(1)?)?;
        found.window.is_some().then_some((found.uses << 16 | usize::from(place)) << 2)
    }

    fn insert(&mut self, window: Window) -> Result<usize> {
        let room = self.places.len() < usize::from(u16::MAX) - 1;
        let resting = if room { RESTING } else { 0 };
        let place = match self.free.len() > resting {
            true => self.free.pop_front().unwrap_or(1),
            false if room => {
                self.places.push(Place::default());
                u16::try_from(self.places.len()).map_err(|_| Code::NOT_ENOUGH_MEMORY)?
            }
            false => return Err(Code::NOT_ENOUGH_MEMORY),
        };
        let found = self.places.get_mut(usize::from(place) - 1).ok_or(Code::NOT_ENOUGH_MEMORY)?;
        found.uses = found.uses % 0xfff + 1;
        found.window = Some(window);
        Ok((found.uses << 16 | usize::from(place)) << 2)
    }

    fn remove(&mut self, window: usize) {
        if let Some(place) = self.place(window) {
            if let Some(found) = self.places.get_mut(usize::from(place) - 1) {
                found.window = None;
            }
            self.free.push_back(place);
        }
    }

    /// A thread has ended, and its windows with it.
    pub(crate) fn remove_thread(&mut self, thread: u32) {
        self.threads.get_or_insert_default().remove(&thread);
        for (at, place) in self.places.iter_mut().enumerate() {
            if place.window.as_ref().is_some_and(|window| window.thread == thread) {
                place.window = None;
                self.free.extend(u16::try_from(at + 1).ok());
            }
        }
    }

    /// The number of a message, or of another thing, by its name: the same for the same name.
    pub(crate) fn atom_of(&mut self, name: &str) -> Result<u16> {
        let name = name.to_lowercase();
        let at = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        u16::try_from(at).ok().and_then(|at| FIRST_ATOM.checked_add(at)).ok_or(Code::NOT_ENOUGH_MEMORY)
    }
}

/// Registers a class; its atom.
pub(crate) fn register_class(name: ClassName, procedure: Option<WndProc>, extra: i32) -> Result<u16> {
    let ClassName::Name(name) = name else { return Err(Code::INVALID_PARAMETER) };
    let procedure = procedure.ok_or(Code::INVALID_PARAMETER)?;
    state::with_windows(|windows| {
        if windows.classes.contains_key(&name) {
            return Err(Code::CLASS_ALREADY_EXISTS);
        }
        windows.last_atom = windows.last_atom.wrapping_add(1) % 0x3fff;
        let atom = FIRST_ATOM + windows.last_atom;
        let extra = usize::try_from(extra).unwrap_or(0).min(4096);
        windows.classes.insert(name, Class { atom, procedure, extra });
        Ok(atom)
    })
}

pub(crate) fn unregister_class(name: &ClassName) -> Result<()> {
    state::with_windows(|windows| {
        let name = windows.class(name).ok_or(Code::CANNOT_FIND_WND_CLASS)?.0.clone();
        let used = windows.places.iter().flat_map(|place| &place.window).any(|window| window.class == name);
        if used {
            return Err(Code::CLASS_HAS_WINDOWS);
        }
        windows.classes.remove(&name);
        Ok(())
    })
}

/// Makes a window of this thread.
pub(crate) fn create(class: &ClassName, mut told: CreateStruct) -> Result<usize> {
    let (queue, thread) = (message::queue()?, message::this_thread());
    let window = state::with_windows(|windows| {
        let (name, class) = windows.class(class).ok_or(Code::CANNOT_FIND_WND_CLASS)?;
        let (name, procedure, extra) = (name.clone(), class.procedure, vec![0; class.extra]);
        windows.insert(Window { class: name, procedure, thread, queue, user_data: 0, extra, ending: false })
    })?;
    let told = (&raw mut told).expose_provenance().with_sign();
    if send(window, NCCREATE, 0, told)? == 0 {
        state::with_windows(|windows| windows.remove(window));
        return Err(Code::NOT_ENOUGH_MEMORY);
    }
    if send(window, CREATE, 0, told)? == -1 {
        destroy(window)?;
        return Err(Code::NOT_ENOUGH_MEMORY);
    }
    // Its procedure may have ended it.
    if exists(window) { Ok(window) } else { Err(Code::INVALID_WINDOW_HANDLE) }
}

/// Ends a window of this thread.
pub(crate) fn destroy(window: usize) -> Result<()> {
    let thread = state::with_windows(|windows| windows.get(window).map(|window| window.thread))?;
    if thread != message::this_thread() {
        return Err(Code::ACCESS_DENIED);
    }
    let ending = state::with_windows(|windows| {
        windows.get_mut(window).map(|window| std::mem::replace(&mut window.ending, true))
    })?;
    if ending {
        return Ok(());
    }
    send(window, DESTROY, 0, 0)?;
    send(window, NCDESTROY, 0, 0)?;
    state::with_windows(|windows| windows.remove(window));
    Ok(())
}

pub(crate) fn exists(window: usize) -> bool {
    state::see_windows(|windows| windows.place(window).is_some()).unwrap_or(false)
}

/// The queue of the thread that has a window, and the window's place.
pub(crate) fn queue_of(window: usize) -> Result<(MessageQueue, u16)> {
    state::with_windows(|windows| {
        let place = windows.place(window).ok_or(Code::INVALID_WINDOW_HANDLE)?;
        Ok((windows.get(window)?.queue.clone(), place))
    })
}

/// Calls a window's procedure, in the thread that has it.
pub(crate) fn send(window: usize, message: u32, w: usize, l: isize) -> Result<isize> {
    let (procedure, thread) =
        state::with_windows(|windows| windows.get(window).map(|window| (window.procedure, window.thread)))?;
    if thread != message::this_thread() {
        return Err(Code::NOT_SUPPORTED);
    }
    // SAFETY: the program gave a function of this type for the window's class; no lock of ours is held.
    Ok(unsafe { procedure(window, message, w, l) })
}

/// What becomes of a message that a procedure does not know.
pub(crate) fn default_procedure(window: usize, message: u32) -> Result<isize> {
    match message {
        NCCREATE => Ok(1),
        CLOSE => destroy(window).map(|()| 0),
        _ => Ok(0),
    }
}

/// A value that is kept with a window.
pub(crate) fn get_value(window: usize, index: i32) -> Result<isize> {
    state::with_windows(|windows| {
        let window = windows.get(window)?;
        match index {
            USER_DATA => Ok(window.user_data),
            PROCEDURE => Ok((window.procedure as usize).with_sign()),
            _ => {
                let at = usize::try_from(index).map_err(|_| Code::INVALID_PARAMETER)?;
                let bytes = window.extra.get(at..).and_then(|rest| rest.first_chunk());
                bytes.map(|bytes| isize::from_ne_bytes(*bytes)).ok_or(Code::INVALID_PARAMETER)
            }
        }
    })
}

/// Changes it; what it was before.
pub(crate) fn set_value(window: usize, index: i32, value: isize) -> Result<isize> {
    let before = get_value(window, index)?;
    state::with_windows(|windows| {
        let window = windows.get_mut(window)?;
        match index {
            USER_DATA => window.user_data = value,
            PROCEDURE => {
                let address: *const () = std::ptr::with_exposed_provenance(value.without_sign());
                if address.is_null() {
                    return Err(Code::INVALID_PARAMETER);
                }
                // SAFETY: the program gives the address of a window procedure, as the interface asks for.
                window.procedure = unsafe { std::mem::transmute::<*const (), WndProc>(address) };
            }
            _ => {
                let at = usize::try_from(index).map_err(|_| Code::INVALID_PARAMETER)?;
                let bytes = window.extra.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
                *bytes.ok_or(Code::INVALID_PARAMETER)? = value.to_ne_bytes();
            }
        }
        Ok(before)
    })
}
