//! A prefork server: one process accepts connections and hands each off to one of its workers.
//!
//! `cargo run --example prefork` starts it on a free port, asks it a few times, and ends it.

use sharesock::{Domain, Endpoint, Sender};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => work(),
        _ => front(),
    }
}

/// Starts a worker, and waits until it can receive.
fn start(endpoint: &Endpoint) -> Result<(Child, Sender)> {
    let mut worker =
        Command::new(std::env::current_exe()?).arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(worker.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let sender = endpoint.sender(worker.id())?;
    Ok((worker, sender))
}

fn front() -> Result<()> {
    let endpoint = Endpoint::open(&Domain::open()?)?;
    let mut workers = [start(&endpoint)?, start(&endpoint)?];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    println!("listening on {address}");

    // Some clients, so that the example does something by itself.
    let clients = std::thread::spawn(move || {
        for n in 0..4 {
            let mut answer = String::new();
            match TcpStream::connect(address).and_then(|mut stream| stream.read_to_string(&mut answer)) {
                Ok(_) => println!("client {n}: {answer}"),
                Err(error) => println!("client {n}: {error}"),
            }
        }
    });

    for turn in 0..4 {
        let (connection, _) = listener.accept()?;
        // The worker is chosen here; it owns the connection from now on.
        workers[turn % 2].1.hand_off(sharesock::Socket::from(connection))?;
    }
    clients.join().map_err(|_| "the clients failed")?;
    for (worker, _) in &mut workers {
        drop(worker.stdin.take()); // its sign to end
        worker.wait()?;
    }
    Ok(())
}

fn work() -> Result<()> {
    let endpoint = Endpoint::open(&Domain::open()?)?;
    let receiver = endpoint.receiver()?;
    println!("ready");
    // The end of standard input is the end of the front.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0; 1]);
        std::process::exit(0);
    });
    for parcel in &receiver {
        let (mut connection, _) = parcel?.into_parts();
        write!(connection, "served by process {}", std::process::id())?;
    }
    Ok(())
}
