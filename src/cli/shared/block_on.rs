//! The async runtime of a short-lived verb.

/// Runs a future to its end on this thread.
pub(in crate::cli) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
