//! Shares one live connection with a child process, the classic way: 628 bytes over the child's standard input.
//!
//! `cargo run --example hand_to_child`

use sharesock::{Domain, Endpoint, ProtocolInfo, Socket, SpawnExt};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("child") => child(),
        _ => parent(),
    }
}

fn parent() -> Result<()> {
    let endpoint = Endpoint::open(&Domain::open()?)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let connection = Socket::from(listener.accept()?.0);

    // The child has its endpoint from birth: what is duplicated for it is delivered at once.
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg("child").stdin(Stdio::piped()).spawn_with_endpoint(&endpoint)?;
    let info = endpoint.duplicate(&connection, child.id())?;
    child.stdin.take().ok_or("no input")?.write_all(&info.to_wide_bytes())?;

    // Both hold the connection now; this process lets go of its descriptor, and the connection lives on.
    (&connection).write_all(b"hello from the parent, ")?;
    drop(connection);
    child.wait()?;
    let mut read = String::new();
    client.read_to_string(&mut read)?;
    println!("the client read: {read}");
    Ok(())
}

fn child() -> Result<()> {
    let endpoint = Endpoint::open(&Domain::open()?)?;
    let mut bytes = [0; 628];
    std::io::stdin().read_exact(&mut bytes)?;
    let mut connection = endpoint.redeem(&ProtocolInfo::from_bytes(&bytes)?)?;
    connection.write_all(b"and from the child")?;
    Ok(())
}
