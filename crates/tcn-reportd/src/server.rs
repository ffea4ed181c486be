//! Connections: how they are accepted, limited and ended.
//!
//! HTTP/1.1 without TLS, to be used behind a proxy or CDN. Every connection has its own
//! limits, so that many slow ones cost little: ten seconds for the head of a request,
//! ten for a body, and thirty in which the client takes no byte of a response. The
//! number of connections is limited, in all and for each address (`connections`).
//!
//! When asked to stop, the server accepts no more, ends idle connections at once, and
//! gives requests under way ten seconds.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service as _;

use super::api::Peer;
use super::connections::{Answer, Connections, Place};
use super::desk::Desk;

/// How long the head of a request may take; also how long an idle connection
/// is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long the client may take no byte of what is sent.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long requests under way may still take after the server is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Bytes read ahead of a connection. The head of a request must fit.
const BUFFER: usize = 16 << 10;

/// The response on a connection that is refused for want of a place.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: text/plain; charset=utf-8\r\nretry-after: 10\r\nconnection: close\r\n\
content-length: 69\r\n\r\n\
busy: too many connections of this address; close some or come later\n";

/// Accepts connections and answers requests until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    desk: Arc<Desk>,
    connections: Arc<Connections>,
    stop: impl Future<Output = ()>,
) {
    // Each connection holds a sender: when no sender is left, all connections have
    // ended.
    let (open, mut ended) = mpsc::channel::<()>(1);
    let (stopping, stopped) = watch::channel(false);
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        if let Some((stream, peer, place)) = accepted {
            let (routes, desk) = (routes.clone(), Arc::clone(&desk));
            let (stopped, open) = (stopped.clone(), open.clone());
            tokio::spawn(async move {
                connection(stream, peer, routes, desk, stopped, place).await;
                drop(open);
            });
        }
    }
    drop((listener, open));
    desk.stopping.store(true, Ordering::Relaxed);
    stopping.send_replace(true);
    if timeout(DRAIN, ended.recv()).await.is_err() {
        tracing::warn!("some requests were not done in time and are broken off");
    }
}

/// The next connection for which there is a place.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> Option<(TcpStream, SocketAddr, Place)> {
    match listener.accept().await {
        Ok((stream, peer)) => match connections.admit(peer.ip()).await {
            Some(place) => Some((stream, peer, place)),
            None => {
                // A client that does not take the response at once does not get it.
                let _ = stream.try_write(NO_ROOM);
                None
            }
        },
        Err(fault) => {
            // No file descriptors are left, or the client has disconnected already.
            tracing::debug!(%fault, "a connection was not accepted");
            let pause = std::future::pending::<()>();
            let _ = timeout(Duration::from_millis(50), pause).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<bool>,
    place: Place,
) {
    // Responses are written whole, so waiting for more data gains nothing.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PATIENCE));
    let service = service_fn(|request: Request<Incoming>| {
        let (mut routes, desk) = (routes.clone(), Arc::clone(&desk));
        let in_use = place.begin();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer.ip()));
            let response: Result<Response<Body>, Infallible> = routes.call(request).await;
            if let Ok(response) = &response {
                let status = response.status().as_u16();
                desk.metrics.answer(status, desk.clock.now());
            }
            response.map(|response| {
                response.map(|body| Answer {
                    body,
                    _in_use: in_use,
                })
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(served);
    desk.metrics.connected(desk.clock.now());
    let told = async {
        // An error would mean that the server has ended already.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ended = tokio::select! {
        ended = &mut served => ended,
        // The connection ends like one that was idle for too long.
        () = place.taken_away() => Ok(()),
        () = told => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    desk.metrics.disconnected(desk.clock.now());
    if let Err(fault) = ended {
        // Logs neither an address nor sent data.
        tracing::debug!(timed_out = fault.is_timeout(), "a connection broke off");
    }
}
