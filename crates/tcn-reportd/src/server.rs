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

use super::api::PeerAddress;
use super::connections::{ConnectionPermit, Connections, TrackedBody};
use super::state::ServerState;

/// How long the head of a request may take; also how long an idle connection
/// is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the client may take no byte of what is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests under way may still take after the server is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Bytes read ahead of a connection. The head of a request must fit.
const BUFFER: usize = 16 << 10;

/// The response on a connection over the limit.
const REFUSED_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: text/plain; charset=utf-8\r\nretry-after: 10\r\nconnection: close\r\n\
content-length: 69\r\n\r\n\
busy: too many connections of this address; close some or come later\n";

/// Accepts connections and answers requests until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    state: Arc<ServerState>,
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
        if let Some((stream, peer, permit)) = accepted {
            let (routes, state) = (routes.clone(), Arc::clone(&state));
            let (stopped, open) = (stopped.clone(), open.clone());
            tokio::spawn(async move {
                connection(stream, peer, routes, state, stopped, permit).await;
                drop(open);
            });
        }
    }
    drop((listener, open));
    state.stopping.store(true, Ordering::Relaxed);
    stopping.send_replace(true);
    if timeout(DRAIN, ended.recv()).await.is_err() {
        tracing::warn!("some requests did not end in time and are aborted");
    }
}

/// The next connection that gets a permit.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> Option<(TcpStream, SocketAddr, ConnectionPermit)> {
    match listener.accept().await {
        Ok((stream, peer)) => match connections.admit(peer.ip()).await {
            Some(permit) => Some((stream, peer, permit)),
            None => {
                // A client that does not take the response at once does not get it.
                let _ = stream.try_write(REFUSED_RESPONSE);
                None
            }
        },
        Err(error) => {
            // No file descriptors are left, or the client has disconnected already.
            tracing::debug!(fault = %error, "a connection was not accepted");
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
    state: Arc<ServerState>,
    mut stopped: watch::Receiver<bool>,
    permit: ConnectionPermit,
) {
    // Responses are written whole, so waiting for more data gains nothing.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service = service_fn(|request: Request<Incoming>| {
        let (mut routes, state) = (routes.clone(), Arc::clone(&state));
        let in_use = permit.begin_request();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(PeerAddress(peer.ip()));
            let response: Result<Response<Body>, Infallible> = routes.call(request).await;
            if let Ok(response) = &response {
                let status = response.status().as_u16();
                state.metrics.response(status, state.clock.now());
            }
            response.map(|response| {
                response.map(|body| TrackedBody {
                    body,
                    _in_use: in_use,
                })
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(served);
    state.metrics.connected(state.clock.now());
    let stop_requested = async {
        // An error would mean that the server has ended already.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ended = tokio::select! {
        ended = &mut served => ended,
        // The connection ends like one that was idle for too long.
        () = permit.revoked() => Ok(()),
        () = stop_requested => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    state.metrics.disconnected(state.clock.now());
    if let Err(error) = ended {
        // Logs neither an address nor sent data.
        tracing::debug!(timed_out = error.is_timeout(), "a connection broke off");
    }
}
