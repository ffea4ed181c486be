//! Requests to a task or a thread, and the way back of the answers.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::Unavailable;

/// Where the answer to a request goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Unavailable>>;

/// Sends a request and waits for the answer. It does not wait for room in the queue.
pub(crate) async fn ask<R, T>(
    requests: &mpsc::Sender<R>,
    request: impl FnOnce(Reply<T>) -> R,
) -> Result<T, Unavailable> {
    let (reply, replied) = oneshot::channel();
    let sent = requests.try_send(request(reply));
    sent.map_err(|error| match error {
        TrySendError::Full(_) => Unavailable::Busy,
        TrySendError::Closed(_) => Unavailable::Stopping,
    })?;
    replied.await.unwrap_or(Err(Unavailable::Stopping))
}

/// Gives all these requests the same answer. Clients may have gone away meanwhile.
pub(crate) fn answer_all<T: Copy>(
    replies: impl IntoIterator<Item = Reply<T>>,
    answer: Result<T, Unavailable>,
) {
    for reply in replies {
        let _ = reply.send(answer);
    }
}
