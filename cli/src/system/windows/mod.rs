//! Windows.

use super::Asked;
use anyhow::{Context, Result};
use sharesock::Socket;
use std::io;
use std::path::PathBuf;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

/// The folder for what lives as long as this program.
pub(crate) fn folder_in_memory() -> PathBuf {
    std::env::temp_dir()
}

/// Opens a file to append to it; one that does not exist is made.
pub(crate) fn append_to(path: &std::path::Path) -> io::Result<std::fs::File> {
    std::fs::File::options().append(true).create(true).open(path)
}

/// Windows has no such limit.
pub(crate) fn raise_limit_of_descriptors() {}

/// How a person asks a server for what.
pub(crate) const ASKING: &str = "Ctrl-Break reloads, Ctrl-C ends";

/// What a console tells a server.
#[derive(Debug)]
pub(crate) struct Signals {
    reload: CtrlBreak,
    interrupt: CtrlC,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    pub(crate) fn watch() -> Result<Self> {
        let what = "watching the console";
        Ok(Signals {
            reload: ctrl_break().context(what)?,
            interrupt: ctrl_c().context(what)?,
            close: ctrl_close().context(what)?,
            shutdown: ctrl_shutdown().context(what)?,
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.reload.recv() => Asked::Reload,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.close.recv() => Asked::End,
            _ = self.shutdown.recv() => Asked::End,
        }
    }
}

/// Ctrl-C is not meant for the child (`CREATE_NEW_PROCESS_GROUP`); of all else it [keeps](keep_apart) itself apart.
pub(crate) fn set_apart(command: &mut tokio::process::Command) {
    command.creation_flags(0x200);
}

/// Handlers that keep a child apart.
pub(crate) type Apart = (CtrlBreak, CtrlClose, CtrlShutdown);

/// While what this returns lives, what the console tells every process on it does not end this one: its front hears it,
/// too.
pub(crate) fn keep_apart() -> Result<Apart> {
    let what = "watching the console";
    Ok((ctrl_break().context(what)?, ctrl_close().context(what)?, ctrl_shutdown().context(what)?))
}

/// An error with its causes on one line.
pub(crate) fn explained(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// Only TCP is served here.
pub(crate) type LocalStream = tokio::net::TcpStream;

pub(crate) fn local_stream(_: Socket) -> io::Result<LocalStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only TCP is served on Windows"))
}

pub(crate) fn local_socket(stream: LocalStream) -> io::Result<Socket> {
    Ok(stream.into_std()?.into())
}

/// None beside those that every system has.
pub(crate) fn other_kinds_of_sockets() -> Result<Vec<(&'static str, Socket)>> {
    Ok(Vec::new())
}
