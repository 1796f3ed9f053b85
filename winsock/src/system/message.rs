//! The messages of a thread: those about network events, which its queue makes when they are asked for, and posted ones.

use super::window;
use crate::code::{Code, Result};
use crate::layout::Msg;
use crate::sign::{WithSign, WithoutSign};
use crate::state;
use sharesock::{Message, MessageQueue};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

/// `WM_QUIT`.
const QUIT: u32 = 0x0012;

/// What a thread has of messages.
#[derive(Debug)]
struct Thread {
    process: u32,
    id: u32,
    queue: MessageQueue,
    /// What was taken from the queue and did not fit what was asked for.
    waiting: VecDeque<Msg>,
    quit: Option<i32>,
}

thread_local! {
    static THREAD: RefCell<Option<Thread>> = const { RefCell::new(None) };
}

impl Drop for Thread {
    fn drop(&mut self) {
        state::with_windows(|windows| windows.remove_thread(self.id));
    }
}

/// The id of the thread that runs.
pub(crate) fn this_thread() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().without_sign()
}

/// Has `act` use what this thread has, which is made at first use.
fn with_thread<T>(act: impl FnOnce(&mut Thread) -> Result<T>) -> Result<T> {
    let done = THREAD.try_with(|thread| {
        let mut thread = thread.try_borrow_mut().map_err(|_| Code::SYSCALLFAILURE)?;
        let process = std::process::id();
        if let Some(thread) = thread.as_mut().filter(|thread| thread.process == process) {
            return act(thread);
        }
        let (id, queue) = (this_thread(), MessageQueue::new(&state::domain()?)?);
        // A forked child has none of its parent's windows.
        drop(thread.take());
        state::with_windows(|windows| windows.threads.get_or_insert_default().insert(id, queue.clone()));
        act(thread.insert(Thread { process, id, queue, waiting: VecDeque::new(), quit: None }))
    });
    // A thread that is ending has no messages any more.
    done.unwrap_or(Err(Code::SYSCALLFAILURE))
}

/// The queue of this thread.
pub(crate) fn queue() -> Result<MessageQueue> {
    with_thread(|thread| Ok(thread.queue.clone()))
}

/// What a caller wants of its messages: of one window or of all, and of which numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) window: usize,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// A window that stands for messages of the thread alone.
const OF_THE_THREAD: usize = usize::MAX;

impl Wanted {
    fn fits(&self, message: &Msg) -> bool {
        let all = (self.first, self.last) == (0, 0);
        let window = match self.window {
            0 => true,
            OF_THE_THREAD => message.window == 0,
            window => message.window == window,
        };
        window && (all || (self.first..=self.last).contains(&message.message))
    }
}

/// Milliseconds that pass, from a moment that means nothing.
pub(crate) fn ticks() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.without_sign().wrapping_mul(1000).wrapping_add(time.tv_nsec.without_sign() / 1_000_000)
}

/// What a message of the queue is to a program; nothing when it is about a window or socket that is not there any more.
fn translate(message: &Message) -> Option<Msg> {
    let (id, w, l) = match message {
        Message::Network { id, descriptor, event, code, .. } => {
            let (event, code) = (isize::try_from(event.bits()).ok()?, isize::try_from(*code).ok()?);
            (*id, state::handle_of(*descriptor)?, code << 16 | event)
        }
        Message::Posted { id, first, second } => (*id, *first, second.with_sign()),
        _ => return None,
    };
    let place = u16::try_from(id >> 16).ok()?;
    let window = if place == 0 { 0 } else { state::see_windows(|windows| windows.handle_at(place))?? };
    let time = u32::try_from(ticks() & u64::from(u32::MAX)).unwrap_or(0);
    Some(Msg { window, message: id & 0xffff, w, l, time, ..Msg::default() })
}

/// The next message that fits, if there is one now; it stays when it is only to be looked at.
pub(crate) fn peek(wanted: Wanted, remove: bool) -> Result<Option<Msg>> {
    check(wanted)?;
    with_thread(|thread| thread.next(wanted, remove))
}

/// The next message that fits, waiting for it.
pub(crate) fn get(wanted: Wanted) -> Result<Msg> {
    check(wanted)?;
    loop {
        if let Some(message) = with_thread(|thread| thread.next(wanted, true))? {
            return Ok(message);
        }
        // The thread's own state is not in use while it waits.
        let message = queue()?.get()?;
        with_thread(|thread| {
            thread.waiting.extend(translate(&message));
            Ok(())
        })?;
    }
}

fn check(wanted: Wanted) -> Result<()> {
    let known = matches!(wanted.window, 0 | OF_THE_THREAD) || window::exists(wanted.window);
    if known { Ok(()) } else { Err(Code::INVALID_WINDOW_HANDLE) }
}

impl Thread {
    fn next(&mut self, wanted: Wanted, remove: bool) -> Result<Option<Msg>> {
        loop {
            // Windows may have gone since.
            self.waiting.retain(|message| message.window == 0 || window::exists(message.window));
            if let Some(at) = self.waiting.iter().position(|message| wanted.fits(message)) {
                return Ok(if remove { self.waiting.remove(at) } else { self.waiting.get(at).copied() });
            }
            match self.queue.try_get()? {
                Some(message) => self.waiting.extend(translate(&message)),
                None => break,
            }
        }
        let quit = if remove { self.quit.take() } else { self.quit };
        Ok(quit.map(|code| {
            let w = usize::try_from(code.without_sign()).unwrap_or(0);
            Msg { message: QUIT, w, ..Msg::default() }
        }))
    }
}

/// Whether this thread has a message.
pub(crate) fn is_waiting() -> Result<bool> {
    Ok(peek(Wanted { window: 0, first: 0, last: 0 }, false)?.is_some())
}

/// Posts a message to a window, or to this thread.
pub(crate) fn post(window: usize, message: u32, w: usize, l: isize) -> Result<()> {
    let (queue, place) = match window {
        0 => (queue()?, 0),
        window => window::queue_of(window)?,
    };
    post_to(&queue, place, message, w, l)
}

/// Posts a message to a thread that has a queue.
pub(crate) fn post_to_thread(thread: u32, message: u32, w: usize, l: isize) -> Result<()> {
    let found = state::with_windows(|windows| windows.threads.get_or_insert_default().get(&thread).cloned());
    post_to(&found.ok_or(Code::INVALID_THREAD_ID)?, 0, message, w, l)
}

fn post_to(queue: &MessageQueue, place: u16, message: u32, w: usize, l: isize) -> Result<()> {
    let message = u16::try_from(message).map_err(|_| Code::INVALID_PARAMETER)?;
    Ok(queue.post(u32::from(place) << 16 | u32::from(message), w, l.without_sign())?)
}

/// This thread's loop is to end, when it has done with its other messages.
pub(crate) fn quit(code: i32) -> Result<()> {
    with_thread(|thread| {
        thread.quit = Some(code);
        Ok(())
    })
}

/// `Sleep`: for ever when all bits are set.
pub(crate) fn sleep(milliseconds: u32) {
    let time = Duration::from_millis(milliseconds.into());
    loop {
        std::thread::sleep(time);
        if milliseconds != u32::MAX {
            return;
        }
    }
}
