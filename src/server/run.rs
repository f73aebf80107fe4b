//! One server process from lock to clean shutdown.

use std::{io, net::SocketAddr, time::Duration};

use axum::{extract::Request, serve::ListenerExt};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{App, Config, ServeError, deferred_router::DeferredRouter, lock::DataDirectoryLock, router};

/// How long streams may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until SIGTERM, SIGINT or, when asked for, the end of standard input.
pub async fn run(config: Config) -> Result<(), ServeError> {
    let config = config.checked()?;
    let stop = CancellationToken::new();
    listen_for_signals(&stop)?;
    if config.exit_with_stdin {
        stop_at_end_of_stdin(&stop)?;
    }

    let lock = DataDirectoryLock::acquire(&config.data_dir)?;
    lock.check_free_space(&config.data_dir)?;
    let listener = listen(&config).await?;
    let gate = DeferredRouter::default();
    let serving = tokio::spawn(serve(listener, gate.clone(), stop.clone()));

    let app = App::start(config).await?;
    gate.open(router(app.clone()));
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

async fn serve(listener: TcpListener, gate: DeferredRouter, stop: CancellationToken) {
    // Streamed words are small packets; Nagle would hold them back.
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let service = axum::ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(gate);
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await.ok();
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

/// A thread of its own, because a read of standard input can't be called off and would hold up the runtime's end.
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
