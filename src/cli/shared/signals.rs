//! Signals that end a long-running verb.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first Ctrl-C or SIGTERM; a second one ends the program at once, which attached
/// servers notice and follow.
pub(in crate::cli) fn stop() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
        next().await;
        // The receiver is only gone when the end is under way already.
        let _ = sender.send(());
        next().await;
        std::process::exit(130);
    });
    Ok(async {
        let _ = receiver.await;
    })
}
