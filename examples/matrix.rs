//! Shares a socket with a process in any language, or takes one: the program of Rust in `bindings/matrix/run`.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use sharesock::{Domain, Endpoint, ProtocolInfo};
    use std::io::Write;
    use std::os::fd::AsFd;

    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let endpoint = Endpoint::open(&Domain::open()?)?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["source", way, pid] => {
            let socket = sharesock::Socket::from(socket2::Socket::from(std::io::stdin().as_fd().try_clone_to_owned()?));
            if way == "info" {
                let info = endpoint.duplicate(&socket, pid.parse::<u32>()?)?;
                println!("{}", info.to_wide_bytes().map(|byte| format!("{byte:02x}")).concat());
            } else {
                endpoint.sender(pid.parse::<u32>()?)?.hand_off(socket)?;
            }
        }
        ["target", kind, way] => {
            let receiver = endpoint.receiver()?;
            println!("{}", std::process::id());
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            let mut socket = if way == "info" {
                let digits = line.trim().as_bytes().chunks(2);
                let bytes = digits.map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16));
                endpoint.redeem(&ProtocolInfo::from_bytes(&bytes.collect::<Result<Vec<_>, _>>()?)?)?
            } else {
                receiver.receive()?.into_parts().0
            };
            if kind == "listener" {
                socket = socket.accept()?.0;
            }
            (&socket).write_all(b"from the target\n")?;
        }
        _ => return Err("usage: matrix source WAY PID | matrix target KIND WAY".into()),
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The matrix of languages is for Linux.");
}
