//! The state of a connection: the thing it waits for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Limits;

/// The thing that a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For the next request.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For the rest of a request's body.
    Body,
    /// For nothing of its caller: it is being answered.
    Answer,
}

const BITS: u32 = 2;

/// The thing that a connection waits for, and since when, in one word.
#[derive(Debug)]
pub(super) struct Phase {
    opened: Instant,
    word: AtomicU64,
}

impl Phase {
    /// The state of a new connection, whose caller is about to send the head of a request.
    pub(super) fn new() -> Self {
        let phase = Self { opened: Instant::now(), word: AtomicU64::new(0) };
        phase.enter(Waiting::Head);
        phase
    }

    pub(super) fn enter(&self, waiting: Waiting) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX >> BITS);
        self.word.store(since << BITS | waiting as u64, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> Waiting {
        Self::read(self.word.load(Ordering::Relaxed)).0
    }

    fn read(word: u64) -> (Waiting, Duration) {
        let waiting = match word & ((1 << BITS) - 1) {
            0 => Waiting::Idle,
            1 => Waiting::Head,
            2 => Waiting::Body,
            _ => Waiting::Answer,
        };
        (waiting, Duration::from_millis(word >> BITS))
    }

    /// Returns since when its caller keeps it waiting; `None` while it is being answered.
    pub(super) fn kept_waiting_since(&self) -> Option<Instant> {
        let (waiting, since) = Self::read(self.word.load(Ordering::Relaxed));
        (waiting != Waiting::Answer).then(|| self.opened + since)
    }

    /// The time at which it has waited long enough, or is to be looked at again.
    pub(super) fn deadline(&self, limits: &Limits) -> Deadline {
        let (waiting, since) = Self::read(self.word.load(Ordering::Relaxed));
        let most = match waiting {
            Waiting::Idle => limits.idle,
            Waiting::Head => limits.head,
            Waiting::Body => limits.body,
            Waiting::Answer => return Deadline::LookAgain(Instant::now() + limits.head),
        };
        let at = self.opened + since + most;
        if at <= Instant::now() { Deadline::Over } else { Deadline::LookAgain(at) }
    }
}

/// The end of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    Over,
    LookAgain(Instant),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_callers_who_keep_a_connection_waiting_run_out_of_time() {
        let limits = Limits { head: Duration::ZERO, idle: Duration::from_secs(60), ..Limits::with_files(1024) };
        let phase = Phase::new();
        assert_eq!((phase.waiting(), phase.deadline(&limits)), (Waiting::Head, Deadline::Over));
        for waiting in [Waiting::Idle, Waiting::Body] {
            phase.enter(waiting);
            assert!(phase.waiting() == waiting && phase.kept_waiting_since().is_some());
            assert!(matches!(phase.deadline(&limits), Deadline::LookAgain(_)), "{waiting:?}");
        }
        phase.enter(Waiting::Answer);
        assert_eq!(phase.kept_waiting_since(), None);
        assert!(matches!(phase.deadline(&limits), Deadline::LookAgain(_)));
    }
}
