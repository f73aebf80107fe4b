//! Promise: one operator works at a time, another takes over when it ends, and whatever it left half done is finished.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::cluster;
use super::operator::Operator;
use super::stage::Stage;

fn wait_for_lead(stage: &Stage, operator: &Operator) -> Duration {
    let since = Instant::now();
    stage.wait_until(operator, || "it to lead".into(), || operator.leads().then_some(()));
    since.elapsed()
}

#[test]
fn a_replacement_is_finished_by_the_next_operator_whatever_the_first_was_at() {
    let _shared = cluster::shared();
    let stage = Stage::new("half-done");
    let alone = ["--leader-election", "false"];
    stage.apply(&stage.fixture("good", ""));
    stage.apply(&stage.fixture("bad", "").replace("startPeriod: 20s", "startPeriod: 6s"));
    let operator = stage.operator_with(&alone);
    ["good", "bad"].iter().for_each(|name| stage.wait_ready(&operator, name));
    let slow = |seconds: &str| json!({"displayName": "next", "server": {"env": [{"name": "FIXTURE_READY", "value": seconds}]}});
    stage.patch("good", &slow("3"));
    stage.patch("bad", &slow("never"));
    let former = |name: &str| {
        stage.get(&format!("deployment/mai-{name}")).unwrap()["metadata"]["labels"]["mai.dev/former"].clone()
    };
    stage.wait_until(
        &operator,
        || "both replacements".into(),
        || (former("good").is_string() && former("bad").is_string()).then_some(()),
    );
    operator.kill();

    let operator = stage.operator_with(&alone);
    stage.wait_for_reason(&operator, "bad", "Ready", "RolledBack");
    stage.wait_ready(&operator, "good");
    stage.wait_until(
        &operator,
        || "both to be served".into(),
        || {
            let served = |name: &str, what: &str| stage.read(name, "/name").filter(|name| name == what);
            served("good", "next").and(served("bad", "bad"))
        },
    );
    assert!(former("good").is_null() && former("bad").is_null());
}

#[test]
fn another_takes_over_soon_after_a_kill_and_at_once_when_one_is_told_to_end() {
    let _shared = cluster::shared();
    let stage = Stage::new("take-over");
    let first = stage.operator();
    wait_for_lead(&stage, &first);
    let second = stage.start_operator(&[]);
    stage.wait_until(&second, || "it to stand by".into(), || second.output().contains("standing by").then_some(()));
    assert!(!second.leads());
    // One that stands by is ready: a rollout must not wait for it to lead.
    assert!(second.is_ready(), "{:?}", second.get("/readyz"));

    first.kill();
    let took = wait_for_lead(&stage, &second);
    assert!(took < Duration::from_secs(25), "it took {took:?}");
    stage.apply(&stage.fixture("abc", ""));
    stage.wait_ready(&second, "abc");

    let third = stage.start_operator(&[]);
    stage.wait_until(&third, || "it to stand by".into(), || third.output().contains("standing by").then_some(()));
    let since = Instant::now();
    second.stop();
    wait_for_lead(&stage, &third);
    assert!(since.elapsed() < Duration::from_secs(5), "it took {:?}", since.elapsed());
    let lease = stage.get("lease/mai-operator").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
}

#[test]
fn a_leader_that_was_cut_off_ends_before_it_writes_anything() {
    let _shared = cluster::shared();
    let stage = Stage::new("cut-off");
    stage.apply(&stage.fixture("abc", ""));
    let mut operator = stage.operator();
    stage.wait_ready(&operator, "abc");
    operator.send(Signal::STOP);
    // It finds all of this at once when it goes on, and nobody else has done anything about it.
    std::thread::sleep(Duration::from_secs(14));
    stage.patch("abc", &json!({"displayName": "next", "expose": {"labels": {"team": "sales"}}}));
    stage.kubectl(&["delete", "service/mai-abc"]);
    std::thread::sleep(Duration::from_secs(2));
    let children = stage.children("abc");
    let (instance, lease) = (stage.resource_version("mai/abc"), stage.resource_version("lease/mai-operator"));
    operator.send(Signal::CONT);
    let until = Instant::now() + Duration::from_secs(10);
    let code = loop {
        if let Some(code) = operator.exit_code() {
            break code;
        }
        assert!(Instant::now() < until, "it goes on; it said:\n{}", operator.output());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, 1, "{}", operator.output());
    let why = "another operator may be at work now";
    stage.wait_until(&operator, || "it to say why".into(), || operator.output().contains(why).then_some(()));
    assert_eq!(stage.children("abc"), children);
    assert_eq!((stage.resource_version("mai/abc"), stage.resource_version("lease/mai-operator")), (instance, lease));
}
