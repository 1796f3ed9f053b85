//! Metrics over HTTP, for who asks.

use super::{Answer, Client, Request};
use crate::address::resolve;
use crate::system::explain_bind;
use anyhow::{Context, Result};
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Most clients that are answered at a time.
const MOST_CLIENTS: usize = 8;
/// Time for a request and its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes the address.
pub(crate) fn bind(address: &str) -> Result<std::net::TcpListener> {
    resolve(address)
        .and_then(|addresses| std::net::TcpListener::bind(&addresses[..]))
        .map_err(|error| explain_bind(error, address))
        .with_context(|| format!("cannot answer for metrics at {address}"))
}

/// Answers `GET /metrics`, until the task is stopped.
pub(crate) fn serve(
    listener: std::net::TcpListener,
    ask: UnboundedSender<(Request, Client)>,
) -> Result<(SocketAddr, JoinHandle<()>)> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let bound = listener.local_addr()?;
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    let task = tokio::task::spawn_local(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let ask = ask.clone();
            tokio::task::spawn_local(async move {
                let _place = place;
                let service = service_fn(|request| {
                    respond(request.method() == Method::GET, request.uri().path() == "/metrics", ask.clone())
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                let connection =
                    http.timer(TokioTimer::new()).keep_alive(false).serve_connection(TokioIo::new(stream), service);
                let _ = timeout(CLIENT_TIMEOUT, connection).await;
            });
        }
    });
    Ok((bound, task))
}

async fn respond(
    get: bool,
    known: bool,
    ask: UnboundedSender<(Request, Client)>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (get, known) {
        (false, _) => (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_owned()),
        (_, false) => (StatusCode::NOT_FOUND, "there is /metrics\n".to_owned()),
        _ => match figures(&ask).await {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")),
        },
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Asks the supervisor the way everybody does.
async fn figures(ask: &UnboundedSender<(Request, Client)>) -> Result<String> {
    let (ours, theirs) = UnixStream::pair()?;
    ask.send((Request::Status { lines: 0, brief: false }, Client(theirs))).ok().context("the supervisor has ended")?;
    let mut line = String::new();
    timeout(CLIENT_TIMEOUT, BufReader::new(ours).read_line(&mut line)).await.context("the supervisor is busy")??;
    match serde_json::from_str(&line)? {
        Answer::Status(status) => Ok(crate::views::prometheus(&status)),
        answer => anyhow::bail!("the answer is not understood: {answer:?}"),
    }
}
