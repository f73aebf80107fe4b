//! One server process from lock to clean shutdown.

use std::{io, time::Duration};

use mai_listener::{Limits, raise_file_limit};
use rustix::fs::Mode;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{App, Config, ServeError, deferred_router::DeferredRouter, lock::DataDirectoryLock, router};

/// Time that streams have to end after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until SIGTERM, SIGINT or, when asked for, the end of standard input.
pub async fn run(config: Config) -> Result<(), ServeError> {
    let config = config.checked()?;
    // Whoever else has an account on the machine reads nothing that the server writes.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let stop = CancellationToken::new();
    listen_for_signals(&stop)?;
    if config.exit_with_stdin {
        stop_at_end_of_stdin(&stop)?;
    }

    let lock = DataDirectoryLock::acquire(&config.data_dir)?;
    lock.check_free_space(&config.data_dir)?;
    let listener = listen(&config).await?;
    let service = DeferredRouter::default();
    let limits = Limits::with_files(raise_file_limit());
    let serving = tokio::spawn(mai_listener::serve(listener, service.clone(), limits, stop.clone()));

    let app = App::start(config).await?;
    service.set(router(app.clone()));
    tracing::info!(name = %app.config.webui_name, "ready");

    stop.cancelled().await;
    tracing::info!("shutting down");
    app.closing.cancel();
    if tokio::time::timeout(GRACE, serving).await.is_err() {
        tracing::warn!("some answers did not end within {} s and are cut off", GRACE.as_secs());
    }
    app.close().await;
    Ok(())
}

async fn listen(config: &Config) -> Result<TcpListener, ServeError> {
    let (host, port) = (config.host.clone(), config.port);
    let listener = TcpListener::bind((host.as_str(), port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortTaken { host: host.clone(), port },
        _ => ServeError::Listen { host: host.clone(), port, source },
    })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening");
    }
    Ok(listener)
}

fn listen_for_signals(stop: &CancellationToken) -> Result<(), ServeError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals =
            signal(kind).map_err(|error| ServeError::Start(format!("can't listen for signals: {error}")))?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}

/// Uses a thread, because a read of standard input cannot be cancelled and would block the
/// runtime's shutdown.
fn stop_at_end_of_stdin(stop: &CancellationToken) -> Result<(), ServeError> {
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
            stop.cancel();
        })
        .map(drop)
        .map_err(|error| ServeError::Start(format!("can't watch standard input: {error}")))
}
