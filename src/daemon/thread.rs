//! Work on reports, on threads of its own.

use std::io::Read;
use std::ops::ControlFlow;

use tcn_protocol::file::{self, FileError, Item};
use tokio::sync::oneshot;

use super::refusal::Refusal;

/// Runs `work` on a new thread of this name. If the thread cannot be started, the
/// receiver gets an error.
pub(super) fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (result, received) = oneshot::channel();
    let work = move || {
        // The one who waits may have gone.
        let _ = result.send(work());
    };
    let thread = std::thread::Builder::new().name(name.to_owned());
    if let Err(fault) = thread.spawn(work) {
        tracing::error!(%fault, name, "a thread cannot be started");
    }
    received
}

/// Reads the items of a report file until `take` refuses one. The inner result is that of
/// the file.
pub(super) fn read_items(
    source: impl Read,
    mut take: impl FnMut(Item) -> Result<(), Refusal>,
) -> Result<Result<(), FileError>, Refusal> {
    let mut refused = Ok(());
    let read = file::read(source, |_, item| {
        refused = take(item);
        match refused {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    refused.map(|()| read.map(|_| ()))
}
