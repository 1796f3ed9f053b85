//! Who holds a descriptor of an underlying socket, from `/proc`.

use crate::error::{Error, Result};
use crate::holders::Holder;
use crate::socket::Socket;
use std::fs;

/// The descriptors that can be seen, and how many processes cannot be looked at.
pub(crate) fn descriptors(socket: &Socket) -> Result<(Vec<Holder>, usize)> {
    let stat = rustix::fs::fstat(socket).map_err(Error::system("looking at a socket"))?;
    let wanted = format!("socket:[{}]", stat.st_ino);
    let (mut seen, mut hidden) = (Vec::new(), 0);
    for process in fs::read_dir("/proc").map_err(Error::io("reading /proc"))?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let descriptors = match fs::read_dir(process.path().join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) => {
                hidden += usize::from(error.kind() == std::io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        for entry in descriptors.flatten() {
            if fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()) {
                let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
                let Some(descriptor) = number else { continue };
                seen.push(Holder { pid, command: command.trim_end().to_owned(), descriptor });
            }
        }
    }
    seen.sort_by_key(|holder| (holder.pid, holder.descriptor));
    Ok((seen, hidden))
}
