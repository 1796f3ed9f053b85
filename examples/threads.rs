//! Where a socket needs tight coordination, use threads of one process, not processes (R12).
//!
//! Here each request must be answered in two pieces that nothing may come between. Among threads that is a `Mutex`;
//! among processes it would be a [`sharesock::Turn`], two system calls and a wait in the kernel for each request.
//!
//! `cargo run --example threads`

use sharesock::Socket;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let connection = Socket::from(listener.accept()?.0);
    client.write_all(&[b'?'; 12])?;

    // One descriptor, valid in all threads: nothing is duplicated.
    let exchange = Mutex::new(());
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let (mut connection, exchange) = (&connection, &exchange);
            scope.spawn(move || {
                for _ in 0..4 {
                    let _turn = exchange.lock();
                    let answered = connection
                        .read_exact(&mut [0; 1])
                        .and_then(|()| write!(connection, "<{name}"))
                        .and_then(|()| write!(connection, "{name}> "));
                    if let Err(error) = answered {
                        return eprintln!("{error}");
                    }
                }
            });
        }
    });
    drop(connection);
    let mut answers = String::new();
    client.read_to_string(&mut answers)?;
    println!("{answers}");
    Ok(())
}
