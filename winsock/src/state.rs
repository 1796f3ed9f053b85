//! What a process has: how often Winsock was started, its handles, its domain and endpoint.
#![allow(unsafe_code)]

use crate::code::{Code, Result};
use crate::handle::{Handles, Object};
use crate::sock::{Memory, Sock};
use crate::system::window::Windows;
use sharesock::{Domain, Endpoint, Event};
use std::cell::UnsafeCell;
use std::os::fd::RawFd;
use std::sync::{Arc, MutexGuard, Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// So long a process that ends waits for targets to claim what it holds for them.
const FLUSH_AT_EXIT: Duration = Duration::from_secs(5);

/// The state of the process: Winsock has one for each.
#[derive(Debug)]
struct State {
    starts: u32,
    /// How often the endpoint was opened by the plain interface.
    opens: u32,
    handles: Handles,
    place: Option<Place>,
    windows: Option<Windows>,
}

/// Where this process meets others.
#[derive(Debug, Clone)]
struct Place {
    domain: Domain,
    endpoint: Endpoint,
}

static STATE: RwLock<State> =
    RwLock::new(State { starts: 0, opens: 0, handles: Handles::new(), place: None, windows: None });

fn read() -> RwLockReadGuard<'static, State> {
    STATE.read().unwrap_or_else(PoisonError::into_inner)
}

fn write() -> RwLockWriteGuard<'static, State> {
    STATE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Counts one more start.
///
/// The endpoint is opened here, so that what others duplicate for this process reaches it from now on. A program that
/// shares nothing runs without one: why there is none is told by the first call that needs it.
pub(crate) fn start() {
    hook();
    write().starts += 1;
    let _ = place();
}

/// Has the locks of the process held across `fork`, and what is held for others flushed at exit.
fn hook() {
    static HOOKS: Once = Once::new();
    HOOKS.call_once(|| {
        // SAFETY: the three functions have the type that is asked for, and stay as long as the library does.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) };
        // SAFETY: as above.
        unsafe { libc::atexit(at_exit) };
    });
}

/// Opens the endpoint of the process in the domain at `path`, or in the default one; counts one more user.
///
/// # Errors
/// [`sharesock::Error::EndpointOpen`] when it is open in another domain.
pub(crate) fn open(path: Option<&str>) -> sharesock::Result<()> {
    hook();
    let mut state = write();
    let asked = path.map(Domain::at).transpose()?;
    match (&state.place, asked) {
        (Some(open), Some(asked)) if open.domain.digest() != asked.digest() => {
            return Err(sharesock::Error::EndpointOpen { domain: open.domain.path().to_owned() });
        }
        (Some(_), _) => {}
        (None, asked) => state.place = Some(Place::open(asked)?),
    }
    state.opens += 1;
    Ok(())
}

/// One user less; the last closes the endpoint, unless Winsock has it.
pub(crate) fn close() {
    let closed = {
        let mut state = write();
        state.opens = state.opens.saturating_sub(1);
        if state.opens == 0 && state.starts == 0 { state.place.take() } else { None }
    };
    drop(closed);
}

/// Closes what this process inherited if it was forked, without opening anything of its own.
pub(crate) fn close_inherited() {
    if let Some(place) = &read().place {
        place.endpoint.close_inherited();
    }
}

/// The domain and endpoint of the process, opened if nobody has yet.
pub(crate) fn shared() -> sharesock::Result<(Domain, Endpoint)> {
    hook();
    place().map(|place| (place.domain, place.endpoint))
}

/// Counts one start less; the last closes all sockets.
pub(crate) fn clean_up() -> Result<()> {
    let closed = {
        let mut state = write();
        state.starts = state.starts.checked_sub(1).ok_or(Code::NOTINITIALISED)?;
        if state.starts == 0 { state.handles.remove_sockets() } else { Vec::new() }
    };
    closed.iter().for_each(|sock| sock.close());
    Ok(())
}

/// Refuses before the first start.
pub(crate) fn check_started() -> Result<()> {
    if read().starts > 0 { Ok(()) } else { Err(Code::NOTINITIALISED) }
}

fn started() -> Result<RwLockReadGuard<'static, State>> {
    let state = read();
    if state.starts > 0 { Ok(state) } else { Err(Code::NOTINITIALISED) }
}

pub(crate) fn socket(handle: usize) -> Result<Arc<Sock>> {
    match started()?.handles.get(handle) {
        Some(Object::Socket(sock)) => Ok(sock.clone()),
        _ => Err(Code::NOTSOCK),
    }
}

pub(crate) fn event(handle: usize) -> Result<Event> {
    match read().handles.get(handle) {
        Some(Object::Event(event)) => Ok(event.clone()),
        _ => Err(Code::INVALID_HANDLE),
    }
}

pub(crate) fn insert_socket(sock: Arc<Sock>) -> Result<usize> {
    write().handles.insert(Object::Socket(sock))
}

pub(crate) fn insert_event(event: Event) -> Result<usize> {
    write().handles.insert(Object::Event(event)).map_err(|_| Code::NOT_ENOUGH_MEMORY)
}

/// Closes a socket.
pub(crate) fn close_socket(handle: usize) -> Result<()> {
    let closed = {
        let mut state = write();
        if state.starts == 0 {
            return Err(Code::NOTINITIALISED);
        }
        state.handles.remove(handle, |object| matches!(object, Object::Socket(_)))
    };
    match closed {
        Some(Object::Socket(sock)) => sock.close(),
        _ => return Err(Code::NOTSOCK),
    }
    Ok(())
}

/// Closes an event object.
pub(crate) fn close_event(handle: usize) -> Result<()> {
    let closed = write().handles.remove(handle, |object| matches!(object, Object::Event(_)));
    closed.map(drop).ok_or(Code::INVALID_HANDLE)
}

/// The handle of the socket with this descriptor.
pub(crate) fn handle_of(descriptor: RawFd) -> Option<usize> {
    read().handles.of_descriptor(descriptor)
}

/// Has `act` use the windows of the process. Nothing of the program's is called meanwhile.
pub(crate) fn with_windows<T>(act: impl FnOnce(&mut Windows) -> T) -> T {
    act(write().windows.get_or_insert_default())
}

/// The same to look at them alone.
pub(crate) fn see_windows<T>(act: impl FnOnce(&Windows) -> T) -> Option<T> {
    read().windows.as_ref().map(act)
}

impl Place {
    fn open(domain: Option<Domain>) -> sharesock::Result<Self> {
        let domain = domain.map_or_else(Domain::open, Ok)?;
        let endpoint = Endpoint::open(&domain)?;
        Ok(Place { domain, endpoint })
    }
}

fn place() -> sharesock::Result<Place> {
    if let Some(place) = &read().place {
        return Ok(place.clone());
    }
    let mut state = write();
    if let Some(place) = &state.place {
        return Ok(place.clone());
    }
    let place = Place::open(None)?;
    state.place = Some(place.clone());
    Ok(place)
}

/// The domain of this process.
pub(crate) fn domain() -> Result<Domain> {
    Ok(place()?.domain)
}

/// The endpoint of this process.
pub(crate) fn endpoint() -> Result<Endpoint> {
    Ok(place()?.endpoint)
}

/// Lets targets claim what is held for them, and removes the endpoint's name.
extern "C" fn at_exit() {
    // Another thread may be stopped in the middle of something: then the name is left for others to remove.
    let place = STATE.try_write().ok().and_then(|mut state| state.place.take());
    if let Some(place) = place {
        let _ = place.endpoint.flush(FLUSH_AT_EXIT);
    }
}

/// The locks of the process, held by the thread that forks from before until after: so the child, in which there is no
/// other thread, finds them free.
struct Forking(UnsafeCell<Option<Held>>);

struct Held {
    // First, for each is of the socket beside it.
    memories: Vec<(MutexGuard<'static, Memory>, Arc<Sock>)>,
    _state: RwLockWriteGuard<'static, State>,
    _names: MutexGuard<'static, ()>,
}

// SAFETY: only the thread that forks comes here, between `before_fork` and `after_fork`, and it holds the lock.
unsafe impl Sync for Forking {}

static FORKING: Forking = Forking(UnsafeCell::new(None));

extern "C" fn before_fork() {
    // In the order in which others take them.
    let names = crate::names::hosts::asking();
    let state = write();
    let hold = |sock: Arc<Sock>| {
        // SAFETY: the guard is dropped before the socket beside it, which does not move.
        let guard =
            unsafe { std::mem::transmute::<MutexGuard<'_, Memory>, MutexGuard<'static, Memory>>(sock.memory()) };
        (guard, sock)
    };
    let memories = state.handles.sockets().cloned().map(hold).collect();
    // SAFETY: the state's lock, which has just been taken, excludes every other thread from being here.
    unsafe { *FORKING.0.get() = Some(Held { memories, _state: state, _names: names }) };
}

extern "C" fn after_fork_in_parent() {
    // SAFETY: this thread has the locks since `before_fork`.
    drop(unsafe { (*FORKING.0.get()).take() });
}

extern "C" fn after_fork_in_child() {
    // SAFETY: the only thread of the child has the locks that its parent took.
    let held = unsafe { (*FORKING.0.get()).take() };
    // Those who wait are the parent's threads.
    held.into_iter().flat_map(|held| held.memories).for_each(|(mut memory, _)| memory.waiting.clear());
}
