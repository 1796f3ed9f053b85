//! Options of sockets by name, as text: for those that are set in one process and asked for in another.

use anyhow::{Result, bail};
use sharesock::Socket;
use std::io;
use std::time::Duration;

/// Options of a TCP socket with two values each.
pub(crate) const OF_TCP: [(&str, [&str; 2]); 8] = [
    ("keepalive", ["true", "false"]),
    ("no-delay", ["true", "false"]),
    ("linger", ["7", "off"]),
    ("oob-inline", ["true", "false"]),
    ("receive-timeout", ["3", "off"]),
    ("send-timeout", ["4", "off"]),
    ("reuse-address", ["true", "false"]),
    ("ttl", ["42", "43"]),
];

/// The same of a socket for datagrams.
pub(crate) const OF_UDP: [(&str, [&str; 2]); 3] =
    [("broadcast", ["true", "false"]), ("multicast-loop", ["false", "true"]), ("ttl", ["42", "43"])];

/// What the socket has for the option.
pub(crate) fn get(socket: &Socket, option: &str) -> Result<io::Result<String>> {
    let socket = socket.as_socket();
    let seconds = |time: Option<Duration>| time.map_or("off".to_owned(), |time| time.as_secs().to_string());
    Ok(match option {
        "keepalive" => socket.keepalive().map(|on| on.to_string()),
        "no-delay" => socket.tcp_nodelay().map(|on| on.to_string()),
        "linger" => socket.linger().map(seconds),
        "oob-inline" => socket.out_of_band_inline().map(|on| on.to_string()),
        "receive-timeout" => socket.read_timeout().map(seconds),
        "send-timeout" => socket.write_timeout().map(seconds),
        "reuse-address" => socket.reuse_address().map(|on| on.to_string()),
        "broadcast" => socket.broadcast().map(|on| on.to_string()),
        "multicast-loop" => socket.multicast_loop_v4().map(|on| on.to_string()),
        "ttl" => socket.ttl_v4().map(|ttl| ttl.to_string()),
        _ => bail!("no option {option}"),
    })
}

/// Sets the option.
pub(crate) fn set(socket: &Socket, option: &str, value: &str) -> Result<io::Result<()>> {
    let socket = socket.as_socket();
    let on = value == "true";
    let seconds = || value.parse().ok().map(Duration::from_secs);
    Ok(match option {
        "keepalive" => socket.set_keepalive(on),
        "no-delay" => socket.set_tcp_nodelay(on),
        "linger" => socket.set_linger(seconds()),
        "oob-inline" => socket.set_out_of_band_inline(on),
        "receive-timeout" => socket.set_read_timeout(seconds()),
        "send-timeout" => socket.set_write_timeout(seconds()),
        "reuse-address" => socket.set_reuse_address(on),
        "broadcast" => socket.set_broadcast(on),
        "multicast-loop" => socket.set_multicast_loop_v4(on),
        "ttl" => socket.set_ttl_v4(value.parse()?),
        _ => bail!("no option {option}"),
    })
}
