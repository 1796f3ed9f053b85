//! A front and a worker, both on tokio: the front accepts and reads a line, the worker answers on the same connection.
//!
//! `cargo run --features tokio --example front_and_worker` starts both, asks a few times, and ends. (Linux.)

#[cfg(unix)]
use sharesock::{AsyncSender, Domain, Endpoint, Parcel, Socket, SpawnExt};
#[cfg(unix)]
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
#[cfg(unix)]
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[cfg(not(unix))]
fn main() {
    println!("hand off from a thread here: AsyncSender is of Linux");
}

#[cfg(unix)]
fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match std::env::args().nth(1).as_deref() {
        Some("worker") => runtime.block_on(work()),
        _ => runtime.block_on(front()),
    }
}

#[cfg(unix)]
async fn front() -> Result<()> {
    let endpoint = Endpoint::open(&Domain::open()?)?;
    // It has its endpoint from birth: nobody has to wait until it is ready.
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    let mut worker = command.arg("worker").kill_on_drop(true).spawn_with_endpoint(&endpoint)?;
    let sender = AsyncSender::new(endpoint.sender(&worker)?)?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    for n in 0..3 {
        let client = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(format!("request {n}\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let served = async {
            let (stream, _) = listener.accept().await?;
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            // What was read goes along with the connection.
            let socket = Socket::try_from(stream.into_inner())?;
            Ok::<_, Box<dyn std::error::Error>>(sender.hand_off(Parcel::new(socket).with_bytes(line)).await?)
        };
        let (answer, handed_off) = tokio::join!(client, served);
        handed_off?;
        print!("{}", answer?);
    }
    sender.flush().await?;
    worker.kill().await?;
    Ok(())
}

#[cfg(unix)]
async fn work() -> Result<()> {
    let endpoint = Endpoint::open(&Domain::open()?)?;
    let mut parcels = endpoint.receiver()?.into_stream()?;
    loop {
        let (socket, line) = parcels.receive().await?.into_parts();
        let mut stream = TcpStream::try_from(socket)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        stream.write_all(format!("the worker has: {line}").as_bytes()).await?;
    }
}
