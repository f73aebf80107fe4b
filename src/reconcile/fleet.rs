//! The upgrades of all instances, by image: one instance gets an image first, and only after that
//! has been completed a few at a time do. Nothing here has to survive a restart: the status of each
//! instance tells how its upgrade ended.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::facts::FleetTurn;
use crate::api::{UpgradeStatus, UpgradeStep};
use crate::core::InstanceId;

/// Time after the start within which upgrades may be under way that have not been observed yet.
const DISCOVERY: Duration = Duration::from_secs(60);

/// The upgrades of all instances.
pub(super) struct Fleet {
    known: Mutex<Known>,
    started: Instant,
}

#[derive(Default)]
struct Known {
    /// By uid.
    upgrades: HashMap<String, Upgrade>,
    observed: HashSet<String>,
}

struct Upgrade {
    instance: InstanceId,
    image: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    UnderWay,
    Completed,
    Failed,
}

impl Fleet {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), started: Instant::now() }
    }

    /// Records the upgrade of an instance.
    pub(super) fn record(&self, id: &InstanceId, upgrade: Option<&UpgradeStatus>) {
        let state = upgrade.and_then(|upgrade| match upgrade.step {
            step if step.is_under_way() => Some(State::UnderWay),
            UpgradeStep::Completed => Some(State::Completed),
            _ => (upgrade.failures > 0).then_some(State::Failed),
        });
        let mut known = self.known.lock();
        known.observed.insert(id.uid.clone());
        match upgrade.zip(state) {
            Some((upgrade, state)) => {
                let upgrade = Upgrade { instance: id.clone(), image: upgrade.to.clone(), state };
                known.upgrades.insert(id.uid.clone(), upgrade);
            }
            None => {
                known.upgrades.remove(&id.uid);
            }
        }
    }

    /// Forgets an instance that is gone.
    pub(super) fn forget(&self, uid: &str) {
        let mut known = self.known.lock();
        known.upgrades.remove(uid);
        known.observed.remove(uid);
    }

    /// Returns whether it is the turn of an instance to get `image`. Of `all` instances those that
    /// are gone are forgotten, and just after the start each has to be observed first.
    pub(super) fn turn(
        &self,
        id: &InstanceId,
        image: &str,
        most: usize,
        all: impl FnOnce() -> HashSet<String>,
    ) -> FleetTurn {
        let mut known = self.known.lock();
        let all = all();
        known.observed.retain(|other| all.contains(other));
        known.upgrades.retain(|other, _| all.contains(other));
        if self.started.elapsed() < DISCOVERY && !all.is_subset(&known.observed) {
            return FleetTurn::Unknown;
        }
        known.turn(id, image, most)
    }

    /// Takes the turn that an instance had. Returns whether it still has it: another one may have
    /// taken it meanwhile.
    pub(super) fn reserve(&self, id: &InstanceId, image: &str, most: usize) -> bool {
        let mut known = self.known.lock();
        let has_turn = known.turn(id, image, most) == FleetTurn::Free;
        if has_turn {
            let upgrade = Upgrade { instance: id.clone(), image: image.to_owned(), state: State::UnderWay };
            known.upgrades.insert(id.uid.clone(), upgrade);
        }
        has_turn
    }
}

impl Known {
    fn turn(&self, id: &InstanceId, image: &str, most: usize) -> FleetTurn {
        let of_image = || self.upgrades.iter().filter(|(other, of)| **other != id.uid && of.image == image);
        let in_state = |state| of_image().filter(move |(_, of)| of.state == state).map(|(_, of)| &of.instance);
        if let Some(failed) = in_state(State::Failed).map(|other| seen_from(id, other)).min() {
            return FleetTurn::Failed(failed.to_owned());
        }
        let is_proved = in_state(State::Completed).next().is_some();
        let most = if is_proved { most } else { 1 };
        if in_state(State::UnderWay).count() < most {
            return FleetTurn::Free;
        }
        let busy = in_state(State::UnderWay).map(|other| seen_from(id, other)).min();
        FleetTurn::Busy { instance: busy.unwrap_or_default().to_owned(), is_proved }
    }
}

/// Returns the name of another instance for the status of one. Who may read a namespace may not
/// learn from it which clients other namespaces have.
fn seen_from<'a>(id: &InstanceId, other: &'a InstanceId) -> &'a str {
    if other.namespace == id.namespace { &other.name } else { "an instance of another namespace" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(name: &str) -> InstanceId {
        InstanceId { namespace: "default".into(), name: name.into(), uid: name.into() }
    }

    fn upgrade(to: &str, step: &str, failures: i32) -> UpgradeStatus {
        serde_json::from_value(json!({
            "from": "a:1", "to": to, "step": step, "stepSince": "2026-11-30T02:00:00Z", "failures": failures,
        }))
        .unwrap()
    }

    fn turn(fleet: &Fleet, uid: &str) -> FleetTurn {
        fleet.turn(&id(uid), "a:2", 2, || ["a", "b", "c", "d"].map(str::to_owned).into())
    }

    #[test]
    fn one_instance_goes_first_and_then_a_few() {
        let fleet = Fleet::new();
        fleet.record(&id("a"), None);
        assert_eq!(turn(&fleet, "a"), FleetTurn::Unknown, "the others were not observed yet");
        for name in ["b", "c", "d"] {
            fleet.record(&id(name), None);
        }
        assert!(fleet.reserve(&id("a"), "a:2", 2) && !fleet.reserve(&id("b"), "a:2", 2));
        assert!(fleet.reserve(&id("b"), "a:3", 2), "another image has a first one of its own");
        fleet.record(&id("b"), None);
        assert_eq!(turn(&fleet, "a"), FleetTurn::Free, "it does not wait for itself");
        let busy = |instance: &str, is_proved| FleetTurn::Busy { instance: instance.to_owned(), is_proved };
        assert_eq!(turn(&fleet, "b"), busy("a", false));
        fleet.record(&id("a"), Some(&upgrade("a:2", "Completed", 0)));
        assert!(fleet.reserve(&id("b"), "a:2", 2) && fleet.reserve(&id("c"), "a:2", 2));
        assert_eq!(turn(&fleet, "d"), busy("b", true));
        fleet.forget("b");
        assert_eq!(turn(&fleet, "d"), FleetTurn::Unknown, "it is among all, and not observed");
        fleet.record(&id("b"), None);
        assert_eq!(turn(&fleet, "d"), FleetTurn::Free);
    }

    #[test]
    fn failure_anywhere_holds_up_the_others() {
        for (step, failures) in [("RolledBack", 1), ("Failed", 1), ("BreakerOpen", 2), ("WaitingForWindow", 1)] {
            let fleet = Fleet::new();
            for name in ["b", "c", "d"] {
                fleet.record(&id(name), None);
            }
            fleet.record(&id("a"), Some(&upgrade("a:2", step, failures)));
            assert_eq!(turn(&fleet, "b"), FleetTurn::Failed("a".to_owned()), "{step}");
            assert_eq!(turn(&fleet, "a"), FleetTurn::Free, "{step}: its own failure is its breaker's");
            fleet.record(&id("a"), Some(&upgrade("a:2", "Replacing", failures)));
            assert_eq!(turn(&fleet, "b"), FleetTurn::Busy { instance: "a".to_owned(), is_proved: false });
            fleet.record(&id("a"), Some(&upgrade("a:3", step, failures)));
            assert_eq!(turn(&fleet, "b"), FleetTurn::Free, "{step}: it failed with another image");
        }
    }
    #[test]
    fn instance_of_another_namespace_is_not_named() {
        let fleet = Fleet::new();
        fleet.record(&id("a"), Some(&upgrade("a:2", "RolledBack", 1)));
        let stranger = InstanceId { namespace: "client-b".into(), ..id("b") };
        fleet.record(&stranger, None);
        let seen = fleet.turn(&stranger, "a:2", 2, || ["a", "b"].map(str::to_owned).into());
        assert_eq!(seen, FleetTurn::Failed("an instance of another namespace".to_owned()));
    }
}
