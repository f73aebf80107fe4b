//! Steps as a table: the scene on the left, the step on the right.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

use super::decide::{KeyFacts, KeyStep, KeyUse, after, next};
use super::hand::{KeyFailure, KeyOutcome, SeenKey, SeenKeys, is_name_of, name};
use super::state::state;
use super::wanted::{KeyWish, Wanted};
use crate::api::{Reason, SecretRef};
use crate::core::{CurrentKey, FormerKey, InstanceId, KeyPlace, KeyRecord, KeyValue};
use crate::openrouter::{ErrorKind, KeySettings, UpstreamError};

const NOW: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds_ago).unwrap()
}

fn place(base_url: &str) -> KeyPlace {
    let management = SecretRef { name: "management".into(), key: Some("key".into()) };
    KeyPlace { base_url: base_url.into(), management }
}

fn here() -> KeyPlace {
    place("https://here")
}

/// Knowledge of the keys of one instance.
#[derive(Clone)]
struct Scene {
    wanted: Wanted,
    record: KeyRecord,
    seen: Option<SeenKeys>,
    used: KeyUse,
    requests: BTreeSet<String>,
}

impl Scene {
    /// No key yet, and a limit of 20 USD.
    fn new() -> Self {
        let wish = KeyWish {
            place: here(),
            limit_usd: Some(20),
            suspended: false,
            longest_age: None,
            grace: Duration::from_secs(600),
        };
        Self {
            wanted: Wanted::Key(wish),
            record: KeyRecord::default(),
            seen: None,
            used: KeyUse::Nothing,
            requests: BTreeSet::new(),
        }
    }

    /// One key, which the server uses.
    fn settled() -> Self {
        let mut scene = Self::new().listed(&[("a", limited(20))]);
        scene.record.current = Some(key("a"));
        scene.used = KeyUse::Key("a".into());
        scene
    }

    fn listed(mut self, keys: &[(&str, Option<KeySettings>)]) -> Self {
        let keys = keys.iter().map(|(hash, settings)| SeenKey { hash: (*hash).into(), settings: *settings });
        self.seen = Some(SeenKeys { place: here(), at: at(0), keys: keys.collect() });
        self
    }

    fn unlisted(mut self) -> Self {
        self.seen = None;
        self
    }

    fn wish(mut self, change: impl FnOnce(&mut KeyWish)) -> Self {
        if let Wanted::Key(wish) = &mut self.wanted {
            change(wish);
        }
        self
    }

    fn wants(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }

    fn former(mut self, unused_for: Option<i64>, disabled: bool) -> Self {
        let former =
            FormerKey { hash: "f".into(), place: here(), created_at: None, unused_since: unused_for.map(at), disabled };
        self.record.former.push(former);
        self
    }

    fn uses(mut self, used: KeyUse) -> Self {
        self.used = used;
        self
    }

    fn asked(mut self, request: &str) -> Self {
        self.requests.insert(request.into());
        self
    }

    fn facts(&self) -> KeyFacts<'_> {
        KeyFacts {
            wanted: &self.wanted,
            record: &self.record,
            seen: self.seen.as_ref(),
            used: &self.used,
            requests: &self.requests,
            now: at(0),
        }
    }

    /// Takes steps until nothing is to be done, at an upstream with these keys. Returns the steps.
    fn run(&mut self, upstream: &mut Vec<(String, KeySettings)>) -> Vec<&'static str> {
        let mut taken = Vec::new();
        while taken.len() < 20 {
            let step = next(&self.facts());
            let mut outcome = KeyOutcome::Done;
            taken.push(match &step {
                KeyStep::Wait(_) => break,
                KeyStep::Record(_) => "record",
                KeyStep::List(place) => {
                    let seen = |(hash, settings): &(String, KeySettings)| SeenKey {
                        hash: hash.clone(),
                        settings: Some(*settings),
                    };
                    let keys = upstream.iter().map(seen).collect();
                    self.seen = Some(SeenKeys { place: place.clone(), at: at(0), keys });
                    "list"
                }
                KeyStep::Mint(_, limit_usd) => {
                    let hash = format!("new{}", upstream.len());
                    upstream.push((hash.clone(), KeySettings { limit_usd: *limit_usd, disabled: false }));
                    outcome = KeyOutcome::Minted { hash, value: KeyValue::new("sk".to_owned().into()) };
                    "mint"
                }
                KeyStep::Change(_, hash, settings) => {
                    upstream.iter_mut().filter(|key| key.0 == *hash).for_each(|key| key.1 = *settings);
                    "change"
                }
                KeyStep::Disable(_, hash) => {
                    upstream.iter_mut().filter(|key| key.0 == *hash).for_each(|key| key.1.disabled = true);
                    "disable"
                }
                KeyStep::Delete(_, hash) => {
                    upstream.retain(|key| key.0 != *hash);
                    "delete"
                }
            });
            let record = match &step {
                KeyStep::Record(record) => record.as_ref().clone(),
                step => after(&self.facts(), step, &outcome),
            };
            if !matches!(step, KeyStep::List(_) | KeyStep::Record(_)) {
                self.seen = None;
            }
            self.record = record;
        }
        taken
    }
}

fn key(hash: &str) -> CurrentKey {
    CurrentKey {
        hash: hash.into(),
        value: KeyValue::new("sk-or-v1-a".to_owned().into()),
        place: here(),
        created_at: at(DAY),
    }
}

fn limited(limit: i64) -> Option<KeySettings> {
    Some(KeySettings { limit_usd: Some(limit), disabled: false })
}

fn delete(hash: &str) -> KeyStep {
    KeyStep::Delete(here(), hash.into())
}

fn change(limit_usd: Option<i64>, disabled: bool) -> KeyStep {
    KeyStep::Change(here(), "a".into(), KeySettings { limit_usd, disabled })
}

#[test]
fn key_follows_the_document() {
    let list = KeyStep::List(here());
    let mint = KeyStep::Mint(here(), Some(20));
    let hour = KeyStep::Wait(Some(Duration::from_secs(3600)));
    let suspended = || Scene::settled().wish(|wish| wish.suspended = true);
    let is_off = Some(KeySettings { limit_usd: Some(20), disabled: true });
    for (what, scene, step) in [
        ("new: list first, a key may have been lost", Scene::new(), list.clone()),
        ("none is there", Scene::new().listed(&[]), mint.clone()),
        ("one was lost", Scene::new().listed(&[("x", limited(20))]), delete("x")),
        ("two were lost", Scene::settled().listed(&[("a", limited(20)), ("x", None)]), delete("x")),
        ("just started", Scene::settled().unlisted(), list.clone()),
        ("as declared", Scene::settled(), hour.clone()),
        ("another limit", Scene::settled().wish(|wish| wish.limit_usd = Some(30)), change(Some(30), false)),
        ("no limit", Scene::settled().wish(|wish| wish.limit_usd = None), change(None, false)),
        ("changed by hand", Scene::settled().listed(&[("a", None)]), change(Some(20), false)),
        ("suspended", suspended(), change(Some(20), true)),
        ("suspended and off", suspended().listed(&[("a", is_off)]), hour.clone()),
        ("suspended from the start", Scene::new().wish(|wish| wish.suspended = true), KeyStep::Wait(None)),
        ("resumed", Scene::settled().listed(&[("a", is_off)]), change(Some(20), false)),
        ("young", Scene::settled().wish(|wish| wish.longest_age = Some(Duration::from_secs(86_401))), {
            KeyStep::Wait(Some(Duration::from_secs(1)))
        }),
        ("old", Scene::settled().wish(|wish| wish.longest_age = Some(Duration::from_secs(86_400))), mint.clone()),
        ("asked", Scene::settled().asked("r"), mint.clone()),
        ("asked while suspended", suspended().listed(&[("a", is_off)]).asked("r"), hour),
        ("paused", Scene::new().wants(Wanted::AsIs), KeyStep::Wait(None)),
        ("not declared", Scene::new().wants(Wanted::None), KeyStep::Wait(None)),
        ("deleted", Scene::settled().wants(Wanted::Gone(Some(here()))), delete("a")),
        ("deleted without a key", Scene::new().wants(Wanted::Gone(Some(here()))), list),
        ("deleted, and gone", Scene::new().listed(&[]).wants(Wanted::Gone(Some(here()))), KeyStep::Wait(None)),
        (
            "deleted, and one was lost",
            Scene::new().listed(&[("x", None)]).wants(Wanted::Gone(Some(here()))),
            delete("x"),
        ),
        ("deleted, never declared", Scene::new().wants(Wanted::Gone(None)), KeyStep::Wait(None)),
    ] {
        assert_eq!(next(&scene.facts()), step, "{what}");
    }
    let mut handled = Scene::settled().asked("r");
    handled.record.handled.insert("r".into());
    assert!(matches!(next(&handled.facts()), KeyStep::Wait(_)), "a request counts once");
}

#[test]
fn former_key_works_until_no_server_uses_it() {
    let disable = KeyStep::Disable(here(), "f".into());
    let seconds = |seconds| KeyStep::Wait(Some(Duration::from_secs(seconds)));
    let with = |unused_for, disabled| {
        Scene::settled().former(unused_for, disabled).listed(&[("a", limited(20)), ("f", limited(20))])
    };
    for (what, scene, step) in [
        ("not known", with(None, false).uses(KeyUse::Unknown), seconds(3600)),
        ("still used", with(None, false).uses(KeyUse::Key("f".into())), seconds(3600)),
        ("grace period", with(Some(599), false), seconds(1)),
        ("grace period is over", with(Some(600), false), disable.clone()),
        ("disabled", with(Some(600), true), seconds(600)),
        ("disabled for long", with(Some(1200), true), delete("f")),
        (
            "suspended",
            with(Some(1), false)
                .wish(|wish| wish.suspended = true)
                .listed(&[("a", Some(KeySettings { limit_usd: Some(20), disabled: true })), ("f", limited(20))]),
            disable,
        ),
        ("no management key any more", Scene::new().wants(Wanted::None).former(Some(1200), true), delete("f")),
    ] {
        assert_eq!(next(&scene.facts()), step, "{what}");
    }
    for used in [KeyUse::Nothing, KeyUse::Key("a".into())] {
        let KeyStep::Record(record) = next(&with(None, false).uses(used).facts()) else { panic!("no step") };
        assert_eq!(record.former[0].unused_since, Some(at(0)));
    }
    let undeletable = Scene::new().wants(Wanted::None).former(Some(8 * DAY), false);
    let KeyStep::Record(record) = next(&undeletable.facts()) else { panic!("no step") };
    assert!(record.is_empty(), "it is forgotten");
}

#[test]
fn ways_end_where_nothing_is_left_to_do() {
    let settings = |limit| KeySettings { limit_usd: Some(limit), disabled: false };
    for (what, mut scene, upstream, steps, left) in [
        ("a new instance", Scene::new(), vec![], vec!["list", "mint", "list"], vec!["new0"]),
        (
            "killed between making and recording, twice",
            Scene::new(),
            vec!["lost", "lost too"],
            vec!["list", "delete", "list", "delete", "list", "mint", "list"],
            vec!["new0"],
        ),
        (
            "killed while rotating",
            Scene::settled().unlisted().asked("r"),
            vec!["a", "lost"],
            vec!["list", "delete", "list", "mint", "list"],
            vec!["a", "new1"],
        ),
        ("deleted by hand", Scene::settled().unlisted(), vec![], vec!["list", "record", "mint", "list"], vec!["new0"]),
        (
            "deleted while rotating",
            Scene::settled().former(None, false).wants(Wanted::Gone(Some(here()))),
            vec!["a", "f", "lost"],
            vec!["delete", "delete", "list", "delete", "list"],
            vec![],
        ),
        (
            "moved to another upstream",
            Scene::settled().wish(|wish| wish.place = place("https://there")).uses(KeyUse::Unknown),
            vec![],
            vec!["record", "list", "mint", "list"],
            vec!["new0"],
        ),
    ] {
        let mut upstream = upstream.into_iter().map(|hash| (hash.to_owned(), settings(20))).collect();
        assert_eq!(scene.run(&mut upstream), steps, "{what}");
        let hashes: Vec<&str> = upstream.iter().map(|(hash, _)| hash.as_str()).collect();
        assert_eq!(hashes, left, "{what}");
        let current = scene.record.current.map(|key| key.hash);
        assert_eq!(current.as_deref(), left.last().copied(), "{what}");
    }
}

#[test]
fn condition_tells_how_the_key_stands() {
    let failure =
        KeyFailure { reason: Reason::ManagementKeyRejected, message: "User not found".into(), retry_after: None };
    let rotating = Scene::settled().former(None, false).uses(KeyUse::Unknown);
    for (what, scene, failure, expected) in [
        ("new", Scene::new(), None, Some((None, Reason::KeyPending))),
        ("as declared", Scene::settled(), None, Some((Some(true), Reason::KeyReady))),
        (
            "being replaced",
            rotating.listed(&[("a", limited(20)), ("f", None)]),
            None,
            Some((None, Reason::KeyRotating)),
        ),
        ("refused", Scene::settled(), Some(&failure), Some((Some(false), Reason::ManagementKeyRejected))),
        ("paused", Scene::settled().wants(Wanted::AsIs), None, Some((None, Reason::Paused))),
        ("not declared", Scene::new().wants(Wanted::None), None, None),
    ] {
        let verdict = state(&scene.facts(), failure).verdict;
        assert_eq!(verdict.map(|verdict| (verdict.holds, verdict.reason)), expected, "{what}");
    }
    let gone = |scene: Scene| scene.wants(Wanted::Gone(Some(here())));
    let left = |scene: &Scene, failure| state(&scene.facts(), failure).left;
    assert!(left(&gone(Scene::settled()), Some(&failure)).unwrap().contains("(hash a)"));
    assert!(left(&gone(Scene::new()), None).is_some(), "one may have been lost");
    assert_eq!(left(&gone(Scene::new()), Some(&failure)), None, "none is known, and nobody can ask");
    assert_eq!(left(&gone(Scene::new().listed(&[])), None), None);
    assert_eq!(left(&Scene::settled(), None), None);
}

#[test]
fn refusals_of_the_upstream_get_reasons_of_their_own() {
    let refused = |code: u16, kind| UpstreamError::Refused {
        origin: "https://here".into(),
        status: StatusCode::from_u16(code).unwrap(),
        message: "in its words".into(),
        kind,
        retry_after: Some(Duration::from_secs(7)),
    };
    for (code, kind, reason, wait) in [
        (401, ErrorKind::KeyRejected, Reason::ManagementKeyRejected, None),
        (403, ErrorKind::NotAllowed, Reason::ManagementKeyForbidden, None),
        (429, ErrorKind::RateLimited, Reason::UpstreamBusy, Some(7)),
        (500, ErrorKind::Unknown, Reason::UpstreamUnreachable, Some(7)),
        (503, ErrorKind::Unavailable, Reason::UpstreamUnreachable, Some(7)),
        (400, ErrorKind::BadRequest, Reason::UpstreamRefused, Some(7)),
    ] {
        let failure = KeyFailure::from(refused(code, kind));
        assert_eq!((failure.reason, failure.retry_after.map(|wait| wait.as_secs())), (reason, wait), "{code}");
        assert!(failure.message.contains("in its words"), "{}", failure.message);
    }
}

#[test]
fn key_belongs_to_the_instance_whose_uid_it_has() {
    let id = |uid: &str| InstanceId { namespace: "default".into(), name: "abc".into(), uid: uid.into() };
    let own = name(&id("1-2"));
    assert_eq!(own, "mai default/abc 1-2");
    assert!(is_name_of(&own, &id("1-2")) && is_name_of("mai default/renamed 1-2", &id("1-2")));
    for other in ["mai default/abc 1-23", "other default/abc 1-2", "1-2", "mai", ""] {
        assert!(!is_name_of(other, &id("1-2")), "{other}");
    }
}
