//! Connections: accepted, bounded, ended.
//!
//! HTTP/1.1 without TLS, for a proxy or CDN to stand before. Every connection
//! has limits of its own, so that many slow ones cost little: ten seconds for the
//! head of a request, ten for a body, thirty for the other side to take anything
//! of an answer. There are only so many at a time, and of one address
//! (`connections`).
//!
//! Told to stop, the server accepts no more, ends idle connections at once,
//! and gives requests under way ten seconds.

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

/// How long the other side may take nothing of what is sent.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long requests under way are given at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// Bytes read ahead of a connection; a head must fit.
const BUFFER: usize = 16 << 10;

/// What a connection is told for which there is no room.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: text/plain; charset=utf-8\r\nretry-after: 10\r\nconnection: close\r\n\
content-length: 69\r\n\r\n\
busy: too many connections of this address; close some or come later\n";

/// Accepts and answers until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    desk: Arc<Desk>,
    connections: Arc<Connections>,
    stop: impl Future<Output = ()>,
) {
    // Each connection holds a sender: when none is left, all have ended.
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

/// The next connection that there is a place for.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> Option<(TcpStream, SocketAddr, Place)> {
    match listener.accept().await {
        Ok((stream, peer)) => match connections.admit(peer.ip()).await {
            Some(place) => Some((stream, peer, place)),
            None => {
                // What it does not take at once it is not told.
                let _ = stream.try_write(NO_ROOM);
                None
            }
        },
        Err(fault) => {
            // Out of file descriptors, or the other side has gone already.
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
    // Answers are written whole; nothing is gained by waiting for more.
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
        // An error would mean that the server is gone already.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ended = tokio::select! {
        ended = &mut served => ended,
        // It goes as a connection does that was idle for too long.
        () = place.taken_away() => Ok(()),
        () = told => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    desk.metrics.disconnected(desk.clock.now());
    if let Err(fault) = ended {
        // Never an address, and never what was sent.
        tracing::debug!(timed_out = fault.is_timeout(), "a connection broke off");
    }
}
