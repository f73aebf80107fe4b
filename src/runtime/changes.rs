//! The ids of instances of which something may have changed; each is held once, however often it is named before it is read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Notify;

use crate::lock::lock;
use crate::runtime::InstanceId;

/// Where changes are named and read.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pending: Mutex<BTreeSet<InstanceId>>,
    named: Notify,
}

impl Changes {
    /// Names an instance.
    pub(super) fn name(&self, id: &InstanceId) {
        lock(&self.pending).insert(id.clone());
        self.named.notify_one();
    }

    /// Reads the names as they come. For one reader.
    pub(super) fn read(self: Arc<Self>) -> BoxStream<'static, InstanceId> {
        futures::stream::unfold(self, |changes| async move {
            loop {
                let next = lock(&changes.pending).pop_first();
                if let Some(id) = next {
                    return Some((id, changes));
                }
                changes.named.notified().await;
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_instance_that_is_named_often_is_read_once() {
        let changes = Arc::new(Changes::default());
        let id =
            |name: &str| InstanceId { namespace: "default".to_owned(), name: name.to_owned(), uid: "1".to_owned() };
        for name in ["b", "a", "b", "b"] {
            changes.name(&id(name));
        }
        let mut stream = Arc::clone(&changes).read();
        let mut read = Vec::new();
        for _ in 0..2 {
            read.extend(stream.next().await.map(|id| id.name));
        }
        assert_eq!(read, ["a", "b"]);
        changes.name(&id("c"));
        assert_eq!(stream.next().await, Some(id("c")));
    }
}
