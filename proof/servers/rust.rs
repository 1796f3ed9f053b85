//! A server made with hyper and listenfd: it takes its listener as any program of systemd's does.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    match server::run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proof-server: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() {
    eprintln!("proof-server: there is no LISTEN_FDS on this system");
    std::process::exit(2);
}

#[cfg(unix)]
mod server {
    use anyhow::{Context, Result};
    use http_body_util::channel::Channel;
    use hyper::body::{Bytes, Incoming};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response, StatusCode};
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::sync::{Notify, watch};
    use tokio::task::JoinSet;

    type Page = Response<Channel<Bytes>>;

    pub(crate) fn run() -> Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
    }

    async fn serve() -> Result<()> {
        let listener = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
        let listener = listener.context("no listener: start it as systemd does, with LISTEN_FDS")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut term = signal(SignalKind::terminate())?;
        let (drain, draining) = watch::channel(false);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = term.recv() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(connection(stream, draining.clone()))),
                    Err(error) => eprintln!("proof-server: accept: {error}"),
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        drain.send_replace(true);
        while connections.join_next().await.is_some() {}
        Ok(())
    }

    async fn connection(stream: TcpStream, mut draining: watch::Receiver<bool>) {
        // The page goes out in two parts, and neither is to wait for the other.
        drop(stream.set_nodelay(true));
        let asked = Arc::new(Notify::new());
        let service = service_fn(|request| {
            asked.notify_one();
            async move { Ok::<_, Infallible>(answer(&request)) }
        });
        let mut served = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = served.as_mut() => return,
            _ = draining.wait_for(|draining| *draining) => {}
        }
        // hyper would end a connection at once whose request is still on its way: whoever accepts it owes it an answer.
        tokio::select! {
            _ = served.as_mut() => return,
            () = asked.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        served.as_mut().graceful_shutdown();
        drop(served.await);
    }

    fn answer(request: &Request<Incoming>) -> Page {
        let (mut sender, body) = Channel::new(2);
        let Some(number) = request.uri().path().strip_prefix('/').and_then(|text| text.parse::<u64>().ok()) else {
            let mut page = Response::new(body);
            *page.status_mut() = StatusCode::NOT_FOUND;
            return page;
        };
        let mut first = Bytes::from(format!("{number}\n").repeat(1024));
        let mut page = Response::new(body);
        page.headers_mut().insert("content-length", first.len().into());
        page.headers_mut().insert("x-pid", std::process::id().into());
        let second = first.split_off(first.len() / 2);
        tokio::spawn(async move {
            let sent = sender.send_data(first).await;
            if number % 200 == 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            if sent.is_ok() {
                // The client may have gone.
                drop(sender.send_data(second).await);
            }
        });
        page
    }
}
