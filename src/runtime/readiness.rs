//! Supervision of a server's readiness by probes, the same for every runtime that probes by itself.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mai_contract::http::READY_PATH;
use tokio::sync::watch;

use super::probe::{self, Answer};
use crate::core::{Probe, Readiness};

/// Pause before the first probe of a server that is starting. Later pauses grow …
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// … up to this.
const LONGEST_START_PAUSE: Duration = Duration::from_millis(250);

/// Age below which a server was started by the reconciler that observes it; an older one was ready
/// before.
pub(super) const JUST_STARTED: Duration = Duration::from_secs(5);

/// Returns the probe of a server whose document is not known yet.
pub(super) fn default_probe() -> Probe {
    Probe { path: READY_PATH.to_owned(), interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }
}

/// Returns the readiness of a server that was not probed yet.
pub(super) fn just_started() -> Readiness {
    Readiness::Starting { detail: "it was only just started".to_owned() }
}

/// Where a server is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The address that people use.
    pub(super) address: SocketAddr,
    /// Its own address behind that one, where that is accessible from here.
    pub(super) behind: Option<SocketAddr>,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, behind: None }
    }
}

impl Target {
    /// Probes the address that people use. Where that does not answer and the server itself does,
    /// the answer says so.
    async fn ask(self, probe: &Probe) -> Answer {
        let Self { address, behind } = self;
        let detail = match probe::ask(address, probe).await {
            Answer::NotReady { detail } => detail,
            ready => return ready,
        };
        let Some(behind) = behind else { return Answer::NotReady { detail } };
        match probe::ask(behind, probe).await {
            Answer::NotReady { .. } => Answer::NotReady { detail },
            Answer::Ready { .. } => Answer::NotReady {
                detail: format!(
                    "the server answers inside its container, at {behind}, and not at {address}, where people reach it ({detail}); look at the firewall and at the port forwarding of the engine"
                ),
            },
        }
    }
}

/// Readiness of one run of a server, and how it is probed.
#[derive(Debug)]
pub(super) struct ReadinessMonitor {
    settings: watch::Sender<Settings>,
    readiness: watch::Sender<Readiness>,
    was_probed: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    target: Target,
    probe: Probe,
}

impl ReadinessMonitor {
    /// Returns the monitor of a server that was not probed yet.
    pub(super) fn new(target: impl Into<Target>, probe: Probe, assumed: Readiness) -> Self {
        Self {
            settings: watch::Sender::new(Settings { target: target.into(), probe }),
            readiness: watch::Sender::new(assumed),
            was_probed: AtomicBool::new(false),
        }
    }

    /// Returns the readiness after the last probe.
    pub(super) fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }

    /// Returns the address at which the server is probed.
    pub(super) fn address(&self) -> SocketAddr {
        self.settings.borrow().target.address
    }

    /// Sets where and how the server is probed. A change is used at once.
    pub(super) fn set_probe(&self, target: impl Into<Target>, probe: &Probe) {
        let target = target.into();
        self.settings.send_if_modified(|settings| {
            let is_changed = settings.target != target || settings.probe != *probe;
            settings.target = target;
            settings.probe.clone_from(probe);
            is_changed
        });
    }

    /// Probes now, unless the server was probed before.
    pub(super) async fn probe_first(&self) {
        if !self.was_probed.load(Ordering::Acquire) {
            self.probe().await;
        }
    }

    /// Returns the rounds of probes: soon and then ever later while the server starts, at the
    /// declared interval afterwards.
    pub(super) fn rounds(&self) -> ProbeRounds<'_> {
        let pause = match self.was_probed.load(Ordering::Acquire) {
            true => self.next_pause(FIRST_PAUSE),
            false => FIRST_PAUSE,
        };
        ProbeRounds { monitor: self, settings: self.settings.subscribe(), pause }
    }

    /// Probes once and returns whether the readiness is news.
    async fn probe(&self) -> bool {
        let Settings { target, probe } = self.settings.borrow().clone();
        let answer = target.ask(&probe).await;
        let is_news = self.readiness.send_if_modified(|known| {
            let (next, is_news) = after(known, answer);
            *known = next;
            is_news
        });
        self.was_probed.store(true, Ordering::Release);
        is_news
    }

    fn next_pause(&self, pause: Duration) -> Duration {
        match *self.readiness.borrow() {
            Readiness::Starting { .. } | Readiness::Waiting(_) => (pause * 3 / 2).min(LONGEST_START_PAUSE),
            Readiness::Ready { .. } | Readiness::Failing { .. } => self.settings.borrow().probe.interval,
        }
    }
}

/// Probes of a server, one after the other.
#[derive(Debug)]
pub(super) struct ProbeRounds<'a> {
    monitor: &'a ReadinessMonitor,
    settings: watch::Receiver<Settings>,
    pause: Duration,
}

impl ProbeRounds<'_> {
    /// Waits for the next round, probes and returns whether the readiness is news.
    pub(super) async fn next(&mut self) -> bool {
        // A change ends the pause. The sender lives as long as the monitor.
        let _ = tokio::time::timeout(self.pause, self.settings.changed()).await;
        self.settings.mark_unchanged();
        let is_news = self.monitor.probe().await;
        self.pause = self.monitor.next_pause(self.pause);
        is_news
    }
}

/// Returns the readiness after a probe, and whether it is news: another kind, another version, or
/// one more failure in a row.
fn after(known: &Readiness, answer: Answer) -> (Readiness, bool) {
    match (known, answer) {
        (Readiness::Ready { version: known }, Answer::Ready { version }) => {
            let is_news = *known != version;
            (Readiness::Ready { version }, is_news)
        }
        (_, Answer::Ready { version }) => (Readiness::Ready { version }, true),
        (Readiness::Starting { .. } | Readiness::Waiting(_), Answer::NotReady { detail }) => {
            (Readiness::Starting { detail }, false)
        }
        (Readiness::Ready { .. }, Answer::NotReady { detail }) => (Readiness::Failing { probes: 1, detail }, true),
        (Readiness::Failing { probes, .. }, Answer::NotReady { detail }) => {
            (Readiness::Failing { probes: probes.saturating_add(1), detail }, true)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn change_of_kind_and_each_further_failure_are_news() {
        let ready = || Answer::Ready { version: None };
        let not = |detail: &str| Answer::NotReady { detail: detail.to_owned() };
        let mut known = Readiness::Starting { detail: String::new() };
        let mut news = Vec::new();
        for answer in [not("a"), not("b"), ready(), ready(), not("c"), not("d"), ready(), not("e")] {
            let (next, is_news) = after(&known, answer);
            known = next;
            news.push(is_news);
        }
        assert_eq!(news, [false, false, true, false, true, true, true, true]);
        assert_eq!(known, Readiness::Failing { probes: 1, detail: "e".to_owned() });
    }

    #[tokio::test]
    async fn server_that_answers_elsewhere_alone_is_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                // A request that was not read would reset the connection.
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await;
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            }
        });
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        let said = async |address, behind| match (Target { address, behind }).ask(&default_probe()).await {
            Answer::Ready { .. } => "ready".to_owned(),
            Answer::NotReady { detail } => detail,
        };
        assert_eq!(said(behind, Some(closed)).await, "ready");
        assert!(
            said(closed, Some(behind))
                .await
                .starts_with(&format!("the server answers inside its container, at {behind}"))
        );
        assert_eq!(said(closed, Some(closed)).await, said(closed, None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_while_starting_and_a_changed_probe_is_immediate() {
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        let monitor = ReadinessMonitor::new(closed, default_probe(), just_started());
        let mut rounds = monitor.rounds();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(rounds.pause.as_millis());
            assert!(!rounds.next().await);
        }
        assert_eq!(pauses, [20, 30, 45, 67, 101, 151, 227, 250]);
        let probe = Probe { path: "/health".to_owned(), ..default_probe() };
        monitor.set_probe(closed, &probe);
        let before = tokio::time::Instant::now();
        rounds.next().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
