//! Ids of instances of which something may have changed, each once until it is read.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::core::InstanceId;

/// Instances with changes that were not read yet.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Least time between two reads of one instance.
    gap: Duration,
    names: Mutex<Names>,
    named: Notify,
}

#[derive(Debug, Default)]
struct Names {
    /// By the earliest time to read them.
    pending: BTreeSet<(Instant, InstanceId)>,
    /// Earliest time to read an instance that is pending or was just read.
    from: HashMap<InstanceId, Instant>,
    /// Instances that were just read, the oldest first.
    read: VecDeque<(Instant, InstanceId)>,
}

impl Changes {
    /// Returns changes that are read at once and then at most once in `gap` for each instance.
    pub(crate) fn spaced(gap: Duration) -> Self {
        Self { gap, ..Self::default() }
    }

    /// Adds an instance.
    pub(crate) fn name(&self, id: &InstanceId) {
        self.names.lock().name(id, Instant::now());
        self.named.notify_one();
    }

    /// Returns the stream of instances, for one reader.
    pub(crate) fn read(self: Arc<Self>) -> BoxStream<'static, InstanceId> {
        futures::stream::unfold(self, |changes| async move {
            loop {
                let next = changes.names.lock().next(Instant::now(), changes.gap);
                match next {
                    Ok(id) => return Some((id, changes)),
                    Err(None) => changes.named.notified().await,
                    Err(Some(due)) => tokio::select! {
                        () = changes.named.notified() => {}
                        () = sleep_until(due) => {}
                    },
                }
            }
        })
        .boxed()
    }
}

impl Names {
    fn name(&mut self, id: &InstanceId, now: Instant) {
        let from = *self.from.entry(id.clone()).or_insert(now);
        self.pending.insert((from, id.clone()));
    }

    /// Returns an instance to read now, or the time of the next one.
    fn next(&mut self, now: Instant, gap: Duration) -> Result<InstanceId, Option<Instant>> {
        while let Some((_, id)) = self.read.pop_front_if(|(until, _)| *until <= now) {
            // Named again since, it is pending, and read later.
            if self.from.get(&id).is_some_and(|from| !self.pending.contains(&(*from, id.clone()))) {
                self.from.remove(&id);
            }
        }
        if let Some((due, _)) = self.pending.first().filter(|(due, _)| *due > now) {
            return Err(Some(*due));
        }
        let (_, id) = self.pending.pop_first().ok_or(None)?;
        self.from.insert(id.clone(), now + gap);
        self.read.push_back((now + gap, id.clone()));
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> InstanceId {
        InstanceId { namespace: "default".to_owned(), name: name.to_owned(), uid: "1".to_owned() }
    }

    #[tokio::test]
    async fn an_instance_that_is_named_often_is_read_once() {
        let changes = Arc::new(Changes::default());
        for name in ["b", "a", "b", "b"] {
            changes.name(&id(name));
        }
        let mut stream = Arc::clone(&changes).read();
        let read: BTreeSet<_> = [stream.next().await, stream.next().await].into_iter().flatten().collect();
        assert_eq!(read, [id("a"), id("b")].into());
        changes.name(&id("c"));
        assert_eq!(stream.next().await, Some(id("c")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_soon_after_is_read_together_and_later() {
        let gap = Duration::from_millis(500);
        let changes = Arc::new(Changes::spaced(gap));
        let mut stream = Arc::clone(&changes).read();
        let began = Instant::now();
        changes.name(&id("a"));
        assert_eq!((stream.next().await, began.elapsed()), (Some(id("a")), Duration::ZERO));
        changes.name(&id("a"));
        changes.name(&id("a"));
        changes.name(&id("b"));
        assert_eq!((stream.next().await, began.elapsed()), (Some(id("b")), Duration::ZERO), "nobody waits for another");
        assert_eq!(stream.next().await, Some(id("a")));
        assert!((gap..gap * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        tokio::time::sleep(gap).await;
        let later = Instant::now();
        changes.name(&id("a"));
        assert_eq!((stream.next().await, later.elapsed()), (Some(id("a")), Duration::ZERO), "it was quiet meanwhile");
        assert!(changes.names.lock().pending.is_empty());
        tokio::time::sleep(gap * 2).await;
        changes.name(&id("c"));
        assert_eq!(stream.next().await, Some(id("c")));
        let names = changes.names.lock();
        assert_eq!((names.from.len(), names.read.len()), (1, 1), "nothing piles up");
    }
}
