//! Notifies systemd of the state of this program, over the socket of `Type=notify`, if there is
//! one.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager of this program, if it expects notifications.
#[derive(Debug)]
pub(in crate::cli) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Interval of watchdog notifications.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as sd_notify(3) and
    /// sd_watchdog_enabled(3) have them.
    pub(in crate::cli) fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok();
        Self::new(std::env::var_os("NOTIFY_SOCKET"), text("WATCHDOG_USEC"), text("WATCHDOG_PID"))
    }

    fn new(address: Option<OsString>, microseconds: Option<String>, pid: Option<String>) -> Self {
        let address = address.and_then(|address| match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            [b'/', ..] => SocketAddr::from_pathname(&address).ok(),
            _ => None,
        });
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let for_us = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        // Twice as often as it has to be, as sd_watchdog_enabled(3) advises.
        let watchdog = microseconds
            .filter(|_| for_us && socket.is_some())
            .and_then(|microseconds| Some(Duration::from_micros(microseconds.parse::<u64>().ok()? / 2)))
            .filter(|interval| !interval.is_zero());
        Self { socket, watchdog }
    }

    /// Notifies that this program is ready.
    pub(in crate::cli) fn ready(&self) {
        self.notify("READY=1");
    }

    /// Notifies that this program is stopping.
    pub(in crate::cli) fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    /// Says again and again that this program is alive; never returns. It lives in a task of the
    /// runtime that does the work, so that a runtime which gets nowhere is noticed.
    pub(in crate::cli) async fn keep_alive(&self) {
        let Some(interval) = self.watchdog else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(interval);
        loop {
            ticks.tick().await;
            self.notify("WATCHDOG=1");
        }
    }

    fn notify(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!("systemd could not be notified of {state}: {error}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn service_manager_gets_state_and_watchdog_messages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let own = std::process::id().to_string();
        let manager = ServiceManager::new(Some(path.into_os_string()), Some("2000000".to_owned()), Some(own));
        assert_eq!(manager.watchdog, Some(Duration::from_secs(1)));
        manager.ready();
        assert_eq!(read(&socket), "READY=1");
        tokio::time::timeout(Duration::from_millis(2500), manager.keep_alive()).await.unwrap_err();
        for _ in 0..3 {
            assert_eq!(read(&socket), "WATCHDOG=1");
        }
        manager.stopping();
        assert_eq!(read(&socket), "STOPPING=1");
    }

    #[test]
    fn no_notification_without_a_socket_or_for_another_pid() {
        let name = format!("mai-notify-{}", std::process::id());
        let listening = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        listening.set_nonblocking(true).unwrap();
        let of_another =
            ServiceManager::new(Some(format!("@{name}").into()), Some("2000000".to_owned()), Some("1".to_owned()));
        assert_eq!(of_another.watchdog, None, "the signs of life are wanted of another process");
        of_another.ready();
        assert_eq!(read(&listening), "READY=1");
        for address in [None, Some("".into()), Some("unix:/x".into())] {
            let alone = ServiceManager::new(address, Some("2000000".to_owned()), None);
            alone.ready();
            assert_eq!(alone.watchdog, None);
        }
        assert!(listening.recv(&mut [0; 8]).is_err());
    }
}
