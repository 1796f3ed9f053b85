//! An event loop as Winsock programs have it, over a hundred connections that two processes share.
//!
//! The first process registers all connections on one event object and answers what comes. Then the second one
//! registers them: from that moment the first is told nothing more, and the second answers.
//!
//! `cargo run --example event_loop`

use sharesock::{Domain, Endpoint, Event, NetworkEvents, ProtocolInfo, Socket, SpawnExt};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const CONNECTIONS: usize = 100;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("second") => second(),
        _ => first(),
    }
}

fn first() -> Result<()> {
    let domain = Domain::open()?;
    let endpoint = Endpoint::open(&domain)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (mut clients, mut sockets) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        clients.push(TcpStream::connect(listener.local_addr()?)?);
        sockets.push(Socket::from(listener.accept()?.0));
    }
    let event = Event::manual(&domain)?;
    for socket in &sockets {
        socket.event_select(&event, NetworkEvents::READ | NetworkEvents::CLOSE)?;
    }

    // The second process gets a descriptor of each, and takes the registrations when it is told to.
    let mut command = Command::new(std::env::current_exe()?);
    let mut child =
        command.arg("second").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn_with_endpoint(&endpoint)?;
    let mut input = child.stdin.take().ok_or("no input")?;
    for socket in &sockets {
        input.write_all(&endpoint.duplicate(socket, child.id())?.to_wide_bytes())?;
    }

    let clients = std::thread::spawn(move || -> std::io::Result<_> {
        let answers = ask(&mut clients)?;
        Ok((clients, answers))
    });
    answer(&event, &sockets, CONNECTIONS, "first")?;
    let (mut clients, answers) = clients.join().map_err(|_| "the clients failed")??;
    println!(
        "{} of {CONNECTIONS} were answered by the first process",
        answers.iter().filter(|by| *by == "first ").count()
    );

    input.write_all(b"!")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?; // it has registered all
    let answers = ask(&mut clients)?;
    println!(
        "{} of {CONNECTIONS} were answered by the second process",
        answers.iter().filter(|by| *by == "second").count()
    );
    println!(
        "the first process was told of {}",
        if event.wait(Some(Duration::ZERO))? { "something" } else { "nothing" }
    );
    drop(clients);
    child.wait()?;
    Ok(())
}

fn second() -> Result<()> {
    let domain = Domain::open()?;
    let endpoint = Endpoint::open(&domain)?;
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut bytes = [0; 628];
        std::io::stdin().read_exact(&mut bytes)?;
        sockets.push(endpoint.redeem(&ProtocolInfo::from_bytes(&bytes)?)?);
    }
    std::io::stdin().read_exact(&mut [0])?; // now
    let event = Event::manual(&domain)?;
    for socket in &sockets {
        socket.event_select(&event, NetworkEvents::READ | NetworkEvents::CLOSE)?;
    }
    println!("registered");
    answer(&event, &sockets, CONNECTIONS, "second")
}

/// The old-style loop: wait, ask each socket what has happened, act on it.
fn answer(event: &Event, sockets: &[Socket], mut left: usize, name: &str) -> Result<()> {
    while left > 0 {
        event.wait(None)?;
        event.reset()?; // before the sockets are asked: what happens from now on sets it again
        for mut socket in sockets {
            let occurred = socket.enum_network_events(None)?;
            if occurred.contains(NetworkEvents::READ) {
                let mut question = [0; 8];
                if socket.read(&mut question).is_ok_and(|length| length > 0) {
                    write!(socket, "{name:<6}")?;
                    left -= 1;
                }
            }
        }
    }
    Ok(())
}

/// Each client asks, then reads who answered.
fn ask(clients: &mut [TcpStream]) -> std::io::Result<Vec<String>> {
    for client in clients.iter_mut() {
        client.write_all(b"who?")?;
    }
    let mut answers = Vec::new();
    for client in clients.iter_mut() {
        let mut answer = [0; 6];
        client.read_exact(&mut answer)?;
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    Ok(answers)
}
