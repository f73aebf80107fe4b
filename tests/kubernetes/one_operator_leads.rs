//! One operator leads at a time; another takes over when it ends, and completes its unfinished
//! work.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;

use crate::fixtures::compose::PATIENCE;

fn wait_for_lead(env: &Environment, operator: &Operator) {
    env.wait_until(operator, || "it to lead".into(), || operator.leads().then_some(()));
}

#[test]
fn interrupted_replacement_is_completed_by_next_operator() {
    let _shared = cluster::shared();
    let env = Environment::new("half-done");
    let alone = ["--leader-election", "false"];
    env.apply(&env.fixture("good", "").replace("startPeriod: 20s", "startPeriod: 90s"));
    env.apply(&env.fixture("bad", "").replace("startPeriod: 20s", "startPeriod: 12s"));
    let operator = env.operator_with(&alone);
    ["good", "bad"].iter().for_each(|name| env.wait_ready(&operator, name));
    let slow = |seconds: &str| json!({"displayName": "next", "server": {"env": [{"name": "FIXTURE_READY", "value": seconds}]}});
    env.patch("good", &slow("12"));
    env.patch("bad", &slow("never"));
    let former = |name: &str| {
        env.get(&format!("deployment/mai-{name}")).unwrap()["metadata"]["labels"]["mai.dev/former"].clone()
    };
    env.wait_until(
        &operator,
        || "both replacements".into(),
        || (former("good").is_string() && former("bad").is_string()).then_some(()),
    );
    operator.kill();

    let operator = env.operator_with(&alone);
    env.wait_for_reason(&operator, "bad", "Ready", "RolledBack");
    env.wait_ready(&operator, "good");
    env.wait_until(
        &operator,
        || "both to be served".into(),
        || {
            let served = |name: &str, what: &str| env.read(name, "/name").filter(|name| name == what);
            served("good", "next").and(served("bad", "bad"))
        },
    );
    assert!(former("good").is_null() && former("bad").is_null());
}

#[test]
fn standby_takes_over_after_a_kill_or_termination() {
    let _shared = cluster::shared();
    let env = Environment::new("take-over");
    let first = env.operator();
    wait_for_lead(&env, &first);
    let second = env.start_operator(&[]);
    env.wait_until(&second, || "it to stand by".into(), || second.output().contains("standing by").then_some(()));
    assert!(!second.leads());
    // A standby is ready: a rollout must not wait until it leads.
    assert!(second.is_ready(), "{:?}", second.get("/readyz"));

    first.kill();
    wait_for_lead(&env, &second);
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&second, "abc");

    let third = env.start_operator(&[]);
    env.wait_until(&third, || "it to stand by".into(), || third.output().contains("standing by").then_some(()));
    let holder = || env.get("lease/mai-operator").unwrap()["spec"]["holderIdentity"].clone();
    let former = holder();
    // As a renewal does whose answer is lost: the version that the leader knows is not the last.
    env.kubectl(&["annotate", "lease/mai-operator", "example.com/note=changed"]);
    second.stop();
    assert_ne!(holder(), former, "it was left to the end of the Lease");
    wait_for_lead(&env, &third);
    let lease = env.get("lease/mai-operator").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
}

#[test]
fn isolated_leader_exits_before_any_write() {
    let _shared = cluster::shared();
    let env = Environment::new("cut-off");
    env.apply(&env.fixture("abc", ""));
    let mut operator = env.operator();
    env.wait_ready(&operator, "abc");
    operator.send(Signal::STOP);
    // When it resumes, it finds all these changes at once, and no other operator has handled them.
    std::thread::sleep(Duration::from_secs(14));
    env.patch("abc", &json!({"displayName": "next", "expose": {"labels": {"team": "sales"}}}));
    env.kubectl(&["delete", "service/mai-abc"]);
    std::thread::sleep(Duration::from_secs(2));
    let children = env.children("abc");
    let (instance, lease) = (env.resource_version("mai/abc"), env.resource_version("lease/mai-operator"));
    operator.send(Signal::CONT);
    let until = Instant::now() + PATIENCE;
    let code = loop {
        if let Some(code) = operator.exit_code() {
            break code;
        }
        assert!(Instant::now() < until, "it goes on; it said:\n{}", operator.output());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, 1, "{}", operator.output());
    let why = "another operator may lead now";
    env.wait_until(&operator, || "it to say why".into(), || operator.output().contains(why).then_some(()));
    assert_eq!(env.children("abc"), children);
    assert_eq!((env.resource_version("mai/abc"), env.resource_version("lease/mai-operator")), (instance, lease));
}
