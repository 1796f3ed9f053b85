//! Hidden windows: where Winsock posts messages, each with the thread that hears them.
#![allow(unsafe_code)]

use std::io;
use std::mem::ManuallyDrop;
use std::os::windows::io::AsRawHandle;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    ERROR_CLASS_ALREADY_EXISTS, ERROR_NOT_ENOUGH_QUOTA, HWND, LPARAM, LRESULT, WPARAM,
};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Threading::GetThreadId;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DefWindowProcW, DestroyWindow, GetMessageW, HWND_MESSAGE, MSG, PostMessageW, PostThreadMessageW,
    RegisterClassExW, WM_CLOSE, WM_QUIT, WM_USER, WNDCLASSEXW,
};

/// Numbers of messages that a window has for itself.
pub(crate) const NUMBERS: std::ops::RangeInclusive<u32> = WM_USER..=0xbfff;

/// A message that was posted to a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted {
    pub(crate) number: u32,
    pub(crate) first: usize,
    pub(crate) second: isize,
}

/// Whether posting failed because too many messages wait for the window.
pub(crate) fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_NOT_ENOUGH_QUOTA as i32)
}

/// A window that nobody sees, and its thread. Both are gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Window {
    handle: Handle,
    thread: ManuallyDrop<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Handle(HWND);

// SAFETY: the handle of a window is a number that has its meaning in all threads; what only the window's own thread may do
// with it, to destroy it, is done only there.
unsafe impl Send for Handle {}
// SAFETY: as above; a shared handle is only read.
unsafe impl Sync for Handle {}

impl Window {
    /// A window whose thread calls `hear` for every message with one of [`NUMBERS`], in the order of their posting.
    /// `hear` is dropped when there will be none any more.
    pub(crate) fn open(hear: impl FnMut(Posted) + Send + 'static) -> io::Result<Self> {
        let (tell, told) = sync_channel(1);
        let thread = Builder::new().name("sharesock queue".into()).spawn(move || live(&tell, hear))?;
        match told.recv() {
            Ok(Ok(handle)) => Ok(Window { handle, thread: ManuallyDrop::new(thread) }),
            Ok(Err(error)) => {
                let _ = thread.join();
                Err(error)
            }
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Posts a message to it, from any thread.
    pub(crate) fn post(&self, message: Posted) -> io::Result<()> {
        let Posted { number, first, second } = message;
        // SAFETY: a window is named by a number, and the message holds numbers.
        super::checked(unsafe { PostMessageW(self.handle.0, number, first, second) })
    }

    pub(super) fn handle(&self) -> HWND {
        self.handle.0
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: it is taken once, as this is the end.
        let thread = unsafe { ManuallyDrop::take(&mut self.thread) };
        // SAFETY: the thread's handle is open until it is joined, so that its id names no other.
        let id = unsafe { GetThreadId(thread.as_raw_handle()) };
        // It is refused while there are too many messages, which the thread is taking.
        // SAFETY: a thread is named by a number.
        while !thread.is_finished() && unsafe { PostThreadMessageW(id, WM_QUIT, 0, 0) } == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = thread.join();
    }
}

/// What the thread of a window does.
fn live(tell: &SyncSender<io::Result<Handle>>, mut hear: impl FnMut(Posted)) {
    let window = match create() {
        Ok(window) => window,
        Err(error) => {
            let _ = tell.send(Err(error));
            return;
        }
    };
    let _ = tell.send(Ok(Handle(window)));
    let mut message = MSG::default();
    // SAFETY: the structure is written before the call returns. What is sent to the window is dispatched within.
    while unsafe { GetMessageW(&raw mut message, std::ptr::null_mut(), 0, 0) } > 0 {
        if message.hwnd == window && NUMBERS.contains(&message.message) {
            hear(Posted { number: message.message, first: message.wParam, second: message.lParam });
        }
    }
    // SAFETY: this thread has made the window, and has not destroyed it.
    unsafe { DestroyWindow(window) };
}

fn create() -> io::Result<HWND> {
    // A class belongs to whoever has the function in its name: so two copies of this library in one process have two,
    // and all windows of one copy share one.
    let name: Vec<u16> = format!("sharesock {:p}\0", procedure as *const ()).encode_utf16().collect();
    // SAFETY: no name asks for the program itself, which is never unloaded.
    let module = unsafe { GetModuleHandleW(std::ptr::null()) };
    let class = WNDCLASSEXW {
        cbSize: size_of::<WNDCLASSEXW>() as u32,
        lpfnWndProc: Some(procedure),
        hInstance: module,
        lpszClassName: name.as_ptr(),
        ..WNDCLASSEXW::default()
    };
    register(&class)?;
    let none = std::ptr::null_mut();
    // SAFETY: the name ends with a zero and outlives the call; nothing is passed to the procedure.
    let window = unsafe {
        CreateWindowExW(0, name.as_ptr(), std::ptr::null(), 0, 0, 0, 0, 0, HWND_MESSAGE, none, module, std::ptr::null())
    };
    if window.is_null() { Err(io::Error::last_os_error()) } else { Ok(window) }
}

/// Registers a class, which may be registered already.
fn register(class: &WNDCLASSEXW) -> io::Result<()> {
    /// One thread at a time: Wine tells a second that the class exists before a window of it can be made.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the structure is complete, and its name ends with a zero and outlives the call.
    match super::checked(i32::from(unsafe { RegisterClassExW(class) })) {
        Err(error) if error.raw_os_error() != Some(ERROR_CLASS_ALREADY_EXISTS as i32) => Err(error),
        _ => Ok(()),
    }
}

/// What is sent, not posted, is nobody's business here; and nobody else closes the window.
unsafe extern "system" fn procedure(window: HWND, message: u32, first: WPARAM, second: LPARAM) -> LRESULT {
    if message == WM_CLOSE {
        return 0;
    }
    // SAFETY: these are the arguments with which the system called.
    unsafe { DefWindowProcW(window, message, first, second) }
}
