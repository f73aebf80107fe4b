//! What a short-lived verb runs on.

/// Does a verb's work on the thread it was called on.
pub(in crate::cli) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
