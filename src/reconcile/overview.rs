//! The present state of each instance as the loop knows it, for those who watch the loop: which
//! conditions it has, how much it is used, and when it was last observed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::api::{MaiInstance, MaiInstanceStatus, UsageStatus};
use crate::core::InstanceId;

/// Longest time that one reconciliation may take, such as the pull of an image.
const LONGEST_RECONCILIATION: Duration = Duration::from_secs(3600);

/// The present state of each instance that was reconciled by this program.
#[derive(Debug, Default)]
pub struct Overview {
    instances: Mutex<HashMap<String, Known>>,
    changed: watch::Sender<()>,
    listed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Known {
    conditions: Option<Vec<Condition>>,
    usage: Option<UsageStatus>,
    observed_at: Option<Instant>,
    /// Begin of the reconciliation that is under way.
    begun_at: Option<Instant>,
}

impl Overview {
    /// Returns the conditions of an instance; `None` before its first reconciliation.
    pub fn conditions(&self, uid: &str) -> Option<Vec<Condition>> {
        self.instances.lock().get(uid)?.conditions.clone()
    }

    /// Returns the use of an instance, as far as its status has it.
    pub fn usage(&self, uid: &str) -> Option<UsageStatus> {
        self.instances.lock().get(uid)?.usage.clone()
    }

    /// Waits until every document was read once. The store wakes only one who waits for that, which is
    /// the loop.
    pub async fn wait_until_listed(&self) {
        // It fails only where the sender is gone, which is in here.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Returns a receiver of changes of the conditions or the use of any instance.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns an instance among `all` that was not observed within `patience`. One that was, and is
    /// acted upon since, counts as observed for up to an hour.
    pub fn unobserved(&self, all: &[Arc<MaiInstance>], patience: Duration) -> Option<InstanceId> {
        let now = Instant::now();
        let within = |since: Option<Instant>, longest| since.is_some_and(|since| now.duration_since(since) <= longest);
        let known = self.instances.lock();
        let is_current = |instance: &&Arc<MaiInstance>| {
            let known = instance.uid().and_then(|uid| known.get(&uid));
            known.is_some_and(|known| {
                let is_acted_upon = known.begun_at.is_some() && known.begun_at <= known.observed_at;
                within(known.observed_at, patience) || is_acted_upon && within(known.begun_at, LONGEST_RECONCILIATION)
            })
        };
        let found = all.iter().find(|instance| !is_current(instance))?;
        InstanceId::try_from(found.as_ref()).ok()
    }

    pub(super) fn record_list(&self) {
        self.listed.send_replace(true);
    }

    pub(super) fn begin(&self, uid: &str) {
        self.instances.lock().entry(uid.to_owned()).or_default().begun_at = Some(Instant::now());
    }

    pub(super) fn end(&self, uid: &str) {
        if let Some(known) = self.instances.lock().get_mut(uid) {
            known.begun_at = None;
        }
    }

    pub(super) fn record_observation(&self, uid: &str) {
        self.instances.lock().entry(uid.to_owned()).or_default().observed_at = Some(Instant::now());
    }

    pub(super) fn record_status(&self, uid: &str, status: &MaiInstanceStatus) {
        let mut instances = self.instances.lock();
        let known = instances.entry(uid.to_owned()).or_default();
        if known.conditions.as_ref() != Some(&status.conditions) || known.usage != status.usage {
            known.conditions = Some(status.conditions.clone());
            known.usage.clone_from(&status.usage);
            self.changed.send_replace(());
        }
    }

    pub(super) fn forget(&self, uid: &str) {
        self.instances.lock().remove(uid);
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(uid: &str) -> Arc<MaiInstance> {
        let mut instance = MaiInstance::new("abc", crate::api::MaiInstanceSpec::named("A"));
        instance.metadata.uid = Some(uid.to_owned());
        instance.metadata.namespace = Some("default".to_owned());
        Arc::new(instance)
    }

    #[test]
    fn instance_is_unobserved_until_it_was_observed_lately() {
        let overview = Overview::default();
        let all = [instance("1"), instance("2")];
        let unobserved =
            |patience| overview.unobserved(&all, Duration::from_secs(patience)).map(|instance| instance.uid);
        overview.record_observation("1");
        assert_eq!(unobserved(60).as_deref(), Some("2"));
        overview.begin("2");
        assert_eq!(unobserved(60).as_deref(), Some("2"), "the observation may fail");
        overview.record_observation("2");
        assert_eq!((unobserved(60), unobserved(0).as_deref()), (None, Some("1")));
        overview.begin("1");
        overview.record_observation("1");
        assert_eq!(unobserved(0), None, "they are acted upon");
        overview.end("2");
        assert_eq!(unobserved(0).as_deref(), Some("2"));
        overview.forget("1");
        assert_eq!(unobserved(60).as_deref(), Some("1"));
    }
}
