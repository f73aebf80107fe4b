//! Notices as a table: what happens in which second on the left, what is told on the right.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::api::{Conditions, Reason};

const TIMING: Timing = Timing { after: Duration::from_secs(60), reminder: Some(Duration::from_secs(86_400)) };

fn id(name: &str) -> InstanceId {
    InstanceId { namespace: "default".into(), name: name.into(), uid: format!("uid-{name}") }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn instance(name: &str, states: &[(ConditionKind, bool, Reason)]) -> Present {
    let mut conditions = Conditions::from_previous(&[], None, at(7));
    for (kind, holds, reason) in states {
        conditions.set(*kind, Some(*holds), *reason, "why");
    }
    Present { id: id(name), conditions: Some(conditions.into_vec()), limit: None }
}

fn ready(name: &str) -> Present {
    instance(name, &[(ConditionKind::Ready, true, Reason::Ready)])
}

fn crashing(name: &str) -> Present {
    instance(
        name,
        &[(ConditionKind::Ready, false, Reason::CrashLoop), (ConditionKind::Stalled, true, Reason::CrashLoop)],
    )
}

fn starting(name: &str) -> Present {
    instance(name, &[(ConditionKind::Ready, false, Reason::Restarting)])
}

/// A webhook that takes every notice while it works.
#[derive(Default)]
struct Webhook {
    told: NotifiedWebhook,
    pending: Pending,
    is_down: bool,
}

impl Webhook {
    /// Returns what is told at a moment, as `+name` of what turned bad, `-name` of what is good again
    /// and `name` of what is still bad.
    fn at(&mut self, second: u64, present: &[Present]) -> String {
        let clock = Clock { elapsed: Duration::from_secs(second), now: at(i64::try_from(second).unwrap()) };
        let step = decide(&self.told, &mut self.pending, present, clock, TIMING);
        let Some((notice, told)) = step.notice else { return String::new() };
        if !self.is_down {
            self.told = told;
        }
        let changes =
            notice.changes.iter().map(|item| format!("{}{}", if item.is_bad { '+' } else { '-' }, name(item)));
        let still_bad = notice.still_bad.iter().map(name);
        changes.chain(still_bad).collect::<Vec<_>>().join(" ")
    }

    /// Returns the webhook after a restart of the program.
    fn restarted(self) -> Self {
        Self { told: self.told, ..Self::default() }
    }
}

fn name(item: &Item) -> String {
    match item.topic {
        Topic::Condition(ConditionKind::Ready) => item.instance.name.clone(),
        topic => format!("{}.{}", item.instance.name, topic.name()),
    }
}

#[test]
fn edges_are_told_once_after_they_have_lasted() {
    let mut webhook = Webhook::default();
    for (second, present, told) in [
        (0, ready("a"), ""),
        (10, crashing("a"), ""),
        (40, starting("a"), ""),
        (69, crashing("a"), ""),
        (71, starting("a"), ""),
        (72, crashing("a"), "+a"),
        (80, crashing("a"), ""),
        (90, ready("a"), ""),
        // A moment of readiness is not the end of it.
        (100, crashing("a"), ""),
        (200, ready("a"), ""),
        (261, ready("a"), "-a"),
        (300, crashing("a"), ""),
        (320, ready("a"), ""),
        (400, ready("a"), ""),
    ] {
        assert_eq!(webhook.at(second, &[present]), told, "second {second}");
    }
}

#[test]
fn many_instances_are_told_together() {
    let mut webhook = Webhook::default();
    let names = ["a", "b", "c", "d"];
    let fleet = |crashed: usize| {
        names.iter().enumerate().map(|(n, name)| if n < crashed { crashing(name) } else { ready(name) }).collect()
    };
    let mut told = Vec::new();
    for (second, crashed) in [(0, 1), (20, 2), (30, 3), (50, 4), (60, 4), (109, 4), (110, 4)] {
        let present: Vec<Present> = fleet(crashed);
        told.push(webhook.at(second, &present));
    }
    assert_eq!(told, ["", "", "", "", "+a +b +c", "", "+d"]);
    let mixed = [ready("a"), ready("b"), instance("c", &[(ConditionKind::BackupHealthy, false, Reason::BackupFailed)])];
    assert_eq!(webhook.at(200, &mixed), "");
    // What turned bad comes first; a document that is gone ends its alarm.
    assert_eq!(webhook.at(260, &mixed), "+c.BackupHealthy -a -b -c -d");
    assert!(webhook.told.bad.keys().eq([&NotifiedInstance(id("c"))]), "{:?}", webhook.told);
}

#[test]
fn reminder_lists_what_is_still_bad_once_a_day() {
    let day = 86_400;
    let mut webhook = Webhook::default();
    let present = [crashing("a"), ready("b")];
    webhook.at(0, &present);
    assert_eq!(webhook.at(60, &present), "+a");
    let later = [crashing("a"), crashing("b")];
    assert_eq!(webhook.at(day - 10, &later), "");
    assert_eq!(webhook.at(day, &later), "");
    assert_eq!(webhook.at(day + 60, &later), "+b a");
    assert_eq!(webhook.at(day + 61, &later), "");
    // After a restart nothing is known for a moment, and nothing is repeated.
    let mut webhook = webhook.restarted();
    let unknown = [Present { conditions: None, ..crashing("a") }, crashing("b")];
    assert_eq!(webhook.at(day + 70, &unknown), "");
    assert_eq!(webhook.at(2 * day + 59, &unknown), "");
    assert_eq!(webhook.at(2 * day + 60, &unknown), "a b");
    let clock = Clock { elapsed: Duration::from_secs(1), now: at(4 * 86_400) };
    let step = decide(&webhook.told, &mut Pending::default(), &unknown, clock, TIMING);
    assert_eq!((step.notice, step.next), (None, Some(Duration::from_secs(59))), "it is not known yet how a is");
    // Nothing is reminded of once all is good.
    let good = [ready("a"), ready("b")];
    webhook.at(2 * day + 70, &good);
    assert_eq!(webhook.at(2 * day + 130, &good), "-a -b");
    assert_eq!((webhook.at(9 * day, &good).as_str(), webhook.told), ("", NotifiedWebhook::default()));
}

#[test]
fn untaken_notice_is_made_again_of_what_is_bad_then() {
    let mut webhook = Webhook { is_down: true, ..Webhook::default() };
    webhook.at(0, &[crashing("a"), crashing("b")]);
    assert_eq!(webhook.at(60, &[crashing("a"), crashing("b")]), "+a +b");
    assert_eq!(webhook.at(70, &[crashing("a"), ready("b")]), "+a");
    let mut webhook = webhook.restarted();
    assert_eq!(webhook.at(80, &[crashing("a")]), "");
    assert_eq!(webhook.at(140, &[crashing("a")]), "+a", "it is not lost by a restart");
    assert_eq!(webhook.restarted().at(300, &[crashing("a")]), "", "and not told twice");
}

#[test]
fn next_moment_is_that_of_the_next_notice() {
    let next = |told: &NotifiedWebhook, pending: &mut Pending, second: u64, present: &[Present]| {
        let clock = Clock { elapsed: Duration::from_secs(second), now: at(i64::try_from(second).unwrap()) };
        decide(told, pending, present, clock, TIMING).next.map(|next| next.as_secs())
    };
    let mut pending = Pending::default();
    let mut told = NotifiedWebhook::default();
    assert_eq!(next(&told, &mut pending, 0, &[ready("a")]), None);
    assert_eq!(next(&told, &mut pending, 5, &[crashing("a")]), Some(60));
    assert_eq!(next(&told, &mut pending, 35, &[crashing("a"), crashing("b")]), Some(30));
    told.bad.insert(NotifiedInstance(id("a")), ["Ready".to_owned()].into());
    told.reminded_at = Some(at(65));
    assert_eq!(next(&told, &mut pending, 100, &[crashing("a")]), Some(86_365));
    // A clock that was ahead when the last one was made delays none.
    told.reminded_at = Some(at(1_000_000));
    let clock = Clock { elapsed: Duration::from_secs(100), now: at(100) };
    let (notice, told) = decide(&told, &mut pending, &[crashing("a")], clock, TIMING).notice.unwrap();
    assert_eq!((notice.still_bad.len(), told.reminded_at), (1, Some(at(100))));
}

#[test]
fn item_has_what_an_administrator_needs() {
    let mut pending = Pending::default();
    let told = NotifiedWebhook::default();
    let mut clock = Clock { elapsed: Duration::ZERO, now: at(0) };
    decide(&told, &mut pending, &[crashing("a")], clock, TIMING);
    clock.elapsed = Duration::from_secs(60);
    let (notice, _) = decide(&told, &mut pending, &[crashing("a")], clock, TIMING).notice.unwrap();
    let expected = Item {
        instance: id("a"),
        topic: Topic::Condition(ConditionKind::Ready),
        is_bad: true,
        reason: "CrashLoop".into(),
        message: "why".into(),
        since: Some(at(7)),
    };
    assert_eq!(notice, Notice { changes: vec![expected], still_bad: Vec::new() });
}
