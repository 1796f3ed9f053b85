//! Load on a server that is being restarted, which counts every connection that is lost.

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod count;
#[cfg(target_os = "linux")]
mod fill;
#[cfg(target_os = "linux")]
mod kill;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod program;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("sharesock-proof: it runs on Linux alone, as `sharesock run` does");
    std::process::exit(2);
}
