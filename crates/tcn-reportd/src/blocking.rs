//! Work that waits for a disk.

/// Runs work that waits for a disk on a thread where it blocks no other task.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(end) => std::panic::resume_unwind(end.into_panic()),
    }
}
