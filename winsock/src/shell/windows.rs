//! Windows for messages, and the messages.
#![allow(unsafe_code)]

use crate::boundary::winsock;
use crate::code::{Code, Result};
use crate::layout::{CreateStruct, Msg, WndClass, WndClassEx};
use crate::memory::{In, Out};
use crate::sign::WithoutSign;
use crate::state;
use crate::system::message::{self, Wanted};
use crate::system::window::{self, ClassName};

/// `PM_REMOVE`.
const REMOVE: u32 = 1;
/// `WM_QUIT`.
const QUIT: u32 = 0x0012;

/// A name in either width of text.
trait Text: Copy {
    fn read(self) -> Result<String>;
    fn number(self) -> usize;
}

impl Text for In<i8> {
    fn read(self) -> Result<String> {
        self.text()
    }

    fn number(self) -> usize {
        self.address()
    }
}

impl Text for In<u16> {
    fn read(self) -> Result<String> {
        self.text()
    }

    fn number(self) -> usize {
        self.address()
    }
}

fn class_name(text: impl Text) -> Result<ClassName> {
    ClassName::of(text.number(), || text.read())
}

fn create(class: impl Text, mut told: CreateStruct) -> Result<usize> {
    told.class = class.number();
    window::create(&class_name(class)?, told)
}

/// 0 for `WM_QUIT`, or 1.
fn get(place: Out<Msg>, window: usize, first: u32, last: u32) -> Result<i32> {
    if place.is_null() {
        return Err(Code::INVALID_PARAMETER);
    }
    let message = message::get(Wanted { window, first, last })?;
    place.put(message)?;
    Ok((message.message != QUIT).into())
}

fn peek(place: Out<Msg>, window: usize, first: u32, last: u32, how: u32) -> Result<i32> {
    if place.is_null() {
        return Err(Code::INVALID_PARAMETER);
    }
    match message::peek(Wanted { window, first, last }, how & REMOVE != 0)? {
        Some(message) => place.put(message).map(|()| 1),
        None => Ok(0),
    }
}

fn dispatch(message: In<Msg>) -> Result<isize> {
    let message = message.get().map_err(|_| Code::INVALID_PARAMETER)?;
    if message.window == 0 {
        return Ok(0);
    }
    window::send(message.window, message.message, message.w, message.l)
}

fn register_message(name: &str) -> Result<u32> {
    state::with_windows(|windows| windows.atom_of(name)).map(u32::from)
}

macro_rules! both {
    ($text:ty, $letter:ty:
     $register:literal $register_ex:literal $unregister:literal $create:literal $message:literal,
     $f1:ident $f2:ident $f3:ident $f4:ident $f5:ident) => {
        winsock! {
            /// `RegisterClass`.
            $register fn $f1(class: In<WndClass<$letter>>) -> u16, else 0; {
                let class = class.get().map_err(|_| Code::INVALID_PARAMETER)?;
                let name = class_name(<$text>::from_raw(class.name.cast()))?;
                window::register_class(name, class.procedure, class.window_extra)
            }

            /// `RegisterClassEx`.
            $register_ex fn $f2(class: In<WndClassEx<$letter>>) -> u16, else 0; {
                let class = class.get().map_err(|_| Code::INVALID_PARAMETER)?;
                let name = class_name(<$text>::from_raw(class.name.cast()))?;
                window::register_class(name, class.procedure, class.window_extra)
            }

            /// `UnregisterClass`.
            $unregister fn $f3(name: $text, _instance: usize) -> i32, else 0; {
                window::unregister_class(&class_name(name)?)?;
                Ok(1)
            }

            /// `CreateWindowEx`: a window that nobody sees, whatever its style and parent.
            $create fn $f4(
                extended_style: u32, class: $text, name: $text, style: u32, x: i32, y: i32, width: i32, height: i32,
                parent: usize, menu: usize, instance: usize, parameter: usize,
            ) -> usize, else 0; {
                let (style, place) = (style.with_sign(), [height, width, y, x]);
                let name = name.address();
                create(class, CreateStruct { parameter, instance, menu, parent, place, style, name, class: 0, extended_style })
            }

            /// `RegisterWindowMessage`: the same number for the same name in this process.
            $message fn $f5(name: $text) -> u32, else 0; {
                register_message(&name.text().map_err(|_| Code::INVALID_PARAMETER)?)
            }
        }
    };
}

both! {
    In<i8>, i8:
    "sharesock_RegisterClassA" "sharesock_RegisterClassExA" "sharesock_UnregisterClassA"
    "sharesock_CreateWindowExA" "sharesock_RegisterWindowMessageA",
    register_class_a register_class_ex_a unregister_class_a create_window_ex_a register_window_message_a
}

both! {
    In<u16>, u16:
    "sharesock_RegisterClassW" "sharesock_RegisterClassExW" "sharesock_UnregisterClassW"
    "sharesock_CreateWindowExW" "sharesock_RegisterWindowMessageW",
    register_class_w register_class_ex_w unregister_class_w create_window_ex_w register_window_message_w
}

/// Functions whose two forms are the same, for no text goes through them.
macro_rules! twice {
    ($($a:literal $w:literal fn $fa:ident $fw:ident($($argument:ident: $type:ty),*) -> $result:ty, else $failed:expr; $body:block)+) => {
        winsock! {
            $(
                /// A function of windows and messages.
                $a fn $fa($($argument: $type),*) -> $result, else $failed; $body
                /// Its wide form.
                $w fn $fw($($argument: $type),*) -> $result, else $failed; $body
            )+
        }
    };
}

twice! {
    "sharesock_DefWindowProcA" "sharesock_DefWindowProcW"
    fn def_window_proc_a def_window_proc_w(window: usize, number: u32, _w: usize, _l: isize) -> isize, else 0; {
        window::default_procedure(window, number)
    }
    "sharesock_GetMessageA" "sharesock_GetMessageW"
    fn get_message_a get_message_w(place: Out<Msg>, window: usize, first: u32, last: u32) -> i32, else -1; {
        get(place, window, first, last)
    }
    "sharesock_PeekMessageA" "sharesock_PeekMessageW"
    fn peek_message_a peek_message_w(place: Out<Msg>, window: usize, first: u32, last: u32, how: u32) -> i32, else 0; {
        peek(place, window, first, last, how)
    }
    "sharesock_DispatchMessageA" "sharesock_DispatchMessageW"
    fn dispatch_message_a dispatch_message_w(message: In<Msg>) -> isize, else 0; {
        dispatch(message)
    }
    "sharesock_PostMessageA" "sharesock_PostMessageW"
    fn post_message_a post_message_w(window: usize, number: u32, w: usize, l: isize) -> i32, else 0; {
        message::post(window, number, w, l)?;
        Ok(1)
    }
    "sharesock_SendMessageA" "sharesock_SendMessageW"
    fn send_message_a send_message_w(window: usize, number: u32, w: usize, l: isize) -> isize, else 0; {
        window::send(window, number, w, l)
    }
    "sharesock_PostThreadMessageA" "sharesock_PostThreadMessageW"
    fn post_thread_message_a post_thread_message_w(thread: u32, number: u32, w: usize, l: isize) -> i32, else 0; {
        message::post_to_thread(thread, number, w, l)?;
        Ok(1)
    }
    "sharesock_GetWindowLongPtrA" "sharesock_GetWindowLongPtrW"
    fn get_window_long_ptr_a get_window_long_ptr_w(window: usize, index: i32) -> isize, else 0; {
        window::get_value(window, index)
    }
    "sharesock_SetWindowLongPtrA" "sharesock_SetWindowLongPtrW"
    fn set_window_long_ptr_a set_window_long_ptr_w(window: usize, index: i32, value: isize) -> isize, else 0; {
        window::set_value(window, index, value)
    }
}

winsock! {
    /// `DestroyWindow`.
    "sharesock_DestroyWindow" fn destroy_window(window: usize) -> i32, else 0; {
        window::destroy(window)?;
        Ok(1)
    }

    /// `IsWindow`.
    "sharesock_IsWindow" fn is_window(window: usize) -> i32, else 0; {
        Ok(window::exists(window).into())
    }

    /// `TranslateMessage`: there is no keyboard.
    "sharesock_TranslateMessage" fn translate_message(_message: In<Msg>) -> i32, else 0; {
        Ok(0)
    }

    /// `PostQuitMessage`.
    "sharesock_PostQuitMessage" fn post_quit_message(code: i32) -> (), else (); {
        message::quit(code)
    }
}
