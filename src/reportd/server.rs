//! Connections: accepted, bounded, ended.
//!
//! HTTP/1.1 without TLS, for a proxy or CDN to stand before. Every connection
//! has limits of its own, so that many slow ones cost little: ten seconds for the
//! head of a request, ten for a body, thirty for the other side to take anything
//! of an answer. There are only so many at a time; the rest wait unaccepted.
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service as _;

use super::api::Peer;
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

/// Accepts and answers until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    desk: Arc<Desk>,
    connections: u32,
    stop: impl Future<Output = ()>,
) {
    let room = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(room));
    let (stopping, stopped) = watch::channel(false);
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        if let Some((stream, peer, place)) = accepted {
            let (routes, desk) = (routes.clone(), Arc::clone(&desk));
            tokio::spawn(connection(
                stream,
                peer,
                routes,
                desk,
                stopped.clone(),
                place,
            ));
        }
    }
    drop(listener);
    desk.stopping.store(true, Ordering::Relaxed);
    stopping.send_replace(true);
    if timeout(DRAIN, places.acquire_many(connections))
        .await
        .is_err()
    {
        tracing::warn!("some requests were not done in time and are broken off");
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
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
    _place: OwnedSemaphorePermit,
) {
    // Answers are written whole; nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PATIENCE));
    let service = service_fn(|request: Request<Incoming>| {
        let (mut routes, desk) = (routes.clone(), Arc::clone(&desk));
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer.ip()));
            let response: Result<Response<Body>, Infallible> = routes.call(request).await;
            if let Ok(response) = &response {
                desk.metrics.answer(response.status().as_u16());
            }
            response
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(served);
    desk.metrics.connected();
    let told = async {
        // An error would mean that the server is gone already.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = told => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    desk.metrics.disconnected();
    if let Err(fault) = ended {
        // Never an address, and never what was sent.
        tracing::debug!(timed_out = fault.is_timeout(), "a connection broke off");
    }
}
