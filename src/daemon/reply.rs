//! Answers to requests, sent at once or from a task.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::oneshot;

use super::refusal::Refusal;

/// Where the answer to a request goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// An answer that takes time, or a refusal at once.
pub(super) type Later<T> =
    Result<Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send>>, Refusal>;

/// Sends the answer to a request. The client may have gone away meanwhile.
pub(super) fn respond<T>(reply: Reply<T>, answer: Result<T, Refusal>) {
    let _ = reply.send(answer);
}

/// Sends the answer to a request from a task of its own.
pub(super) fn respond_async<T: Send + 'static>(
    reply: Reply<T>,
    answer: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) {
    tokio::spawn(async move { respond(reply, answer.await) });
}

/// Sends a refusal at once, and any other answer from a task of its own.
pub(super) fn respond_later<T: Send + 'static>(reply: Reply<T>, answer: Later<T>) {
    match answer {
        Ok(answer) => respond_async(reply, answer),
        Err(refusal) => respond(reply, Err(refusal)),
    }
}
