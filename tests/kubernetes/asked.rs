//! Promise: what is asked for an instance by a person is done: suspended, left alone, let go, removed with its namespace.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster;
use super::stage::Stage;

#[test]
fn a_suspended_instance_stops_and_goes_on_where_it_was() {
    let _shared = cluster::shared();
    let stage = Stage::new("suspended");
    let operator = stage.operator();
    stage.apply(&stage.fixture("abc", ""));
    stage.wait_ready(&operator, "abc");
    stage.patch("abc", &json!({"suspend": true}));
    stage.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    assert!(stage.pod("abc").is_none());
    assert!(stage.get("pvc/mai-abc-data").is_some() && stage.get("service/mai-abc").is_some());
    assert_eq!(stage.condition("abc", "Stalled").unwrap().0, "False", "it is as declared");
    let place = format!("{{namespace=\"{}\",name=\"abc\"}}", stage.namespace);
    assert_eq!(operator.figure(&format!("mai_instance_suspended{place}")), Some(1.0));
    assert_eq!(operator.figure(&format!("mai_instance_ready{place}")), Some(0.0));
    stage.patch("abc", &json!({"suspend": false}));
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.read("abc", "/starts").as_deref(), Some("abc\nabc\n"));
}

#[test]
fn what_is_beside_a_suspended_server_is_made_and_comes_back_and_nothing_is_started() {
    let _shared = cluster::shared();
    let stage = Stage::new("suspended-beside");
    let operator = stage.operator_with(&["--resync", "1s"]);
    stage.apply(
        &stage.fixture("abc", "  expose: {host: abc.example.com, ingress: {className: nginx}}\n  suspend: true\n"),
    );
    let kinds = || stage.children("abc").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    // One that is declared as suspended has all but its Deployment, so that data can be brought and certificates be issued.
    stage.wait_until(
        &operator,
        || format!("what is beside it; there is {:?}", kinds()),
        || (kinds().len() == 9).then_some(()),
    );
    stage.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    assert!(stage.get("deployment/mai-abc").is_none() && stage.pod("abc").is_none());

    stage.patch("abc", &json!({"suspend": false}));
    stage.wait_ready(&operator, "abc");
    stage.patch("abc", &json!({"suspend": true}));
    stage.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    let stands =
        || ["Ready", "Reconciling", "Stalled"].map(|kind| stage.condition("abc", kind).map(|(is, why, _)| (is, why)));
    let stood = stands();
    let declared = kinds();
    let uid = |what: &str| stage.get(what).unwrap()["metadata"]["uid"].clone();
    let deployment = uid("deployment/mai-abc");
    // A change of the server waits for its start.
    stage.patch("abc", &json!({"displayName": "next", "expose": {"labels": {"team": "sales"}}}));
    stage.kubectl(&["delete", "service,networkpolicy,ingress,poddisruptionbudget,serviceaccount", "mai-abc"]);
    stage.kubectl(&["delete", "pvc", "mai-abc-backups", "--wait=false"]);
    stage.kubectl(&["patch", "deployment/mai-abc", "--type=merge", "-p", r#"{"spec": {"revisionHistoryLimit": 9}}"#]);
    let history = || stage.get("deployment/mai-abc").unwrap()["spec"]["revisionHistoryLimit"].clone();
    let back = || (kinds() == declared && history() == 2).then_some(());
    stage.wait_until(&operator, || format!("all to come back; there is {:?}", kinds()), back);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((stage.pod("abc"), uid("deployment/mai-abc")), (None, deployment));
    assert_eq!(stands(), stood);

    // Started, it is as declared last.
    stage.patch("abc", &json!({"suspend": false}));
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.read("abc", "/name").as_deref(), Some("next"));
}

#[test]
fn a_paused_instance_is_left_alone_whatever_happens_to_it() {
    let _shared = cluster::shared();
    let stage = Stage::new("paused");
    let operator = stage.operator_with(&["--resync", "500ms"]);
    stage.apply(&stage.fixture("abc", ""));
    stage.wait_ready(&operator, "abc");
    stage.kubectl(&["annotate", "mai/abc", "mai.dev/paused=true"]);
    stage.wait_for_reason(&operator, "abc", "Ready", "Paused");
    stage.kubectl(&["delete", "service/mai-abc"]);
    stage.patch("abc", &json!({"displayName": "next"}));
    let pod = stage.pod("abc");
    std::thread::sleep(Duration::from_secs(2));
    assert!(stage.get("service/mai-abc").is_none(), "it was repaired");
    assert_eq!(stage.pod("abc"), pod, "it was replaced");
    stage.kubectl(&["annotate", "mai/abc", "mai.dev/paused-"]);
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.read("abc", "/name").as_deref(), Some("next"));
}

#[test]
fn a_deletion_that_hangs_can_be_let_go() {
    let _shared = cluster::shared();
    let stage = Stage::new("let-go");
    let operator = stage.operator();
    stage.apply(&stage.fixture("abc", "  server: {env: [{name: FIXTURE_IGNORE_TERM, value: 'true'}]}\n"));
    stage.wait_ready(&operator, "abc");
    stage.kubectl(&["delete", "mai/abc", "--wait=false"]);
    stage.wait_for_reason(&operator, "abc", "Ready", "Deleting");
    // Its server has a grace period of 15 seconds, and uses all of it.
    let since = Instant::now();
    stage.kubectl(&["annotate", "mai/abc", "mai.dev/skip-teardown=true"]);
    stage.kubectl(&["wait", "--for=delete", "mai/abc", "--timeout=60s"]);
    assert!(since.elapsed() < Duration::from_secs(10), "it took {:?}", since.elapsed());
    // The cluster collects what it owned, and the data is kept.
    let kept =
        ["PersistentVolumeClaim/mai-abc-backups", "PersistentVolumeClaim/mai-abc-data", "Secret/mai-abc-session"];
    stage.wait_until(
        &operator,
        || "only the data to be left".into(),
        || {
            let left: Vec<String> = stage.children("abc").into_iter().map(|(name, _)| name).collect();
            (left == kept).then_some(())
        },
    );
}

#[test]
fn a_namespace_goes_with_all_that_is_in_it_and_its_namesake_elsewhere_stays() {
    let _shared = cluster::shared();
    let (stage, other) = (Stage::new("namesake"), Stage::new("namesake-other"));
    let operator = stage.operator_with(&["--leader-election", "false", "--namespaces", &other.namespace]);
    stage.apply(&stage.fixture("abc", ""));
    other.apply(&other.fixture("abc", "").replace("displayName: abc", "displayName: other"));
    [&stage, &other].iter().for_each(|stage| stage.wait_ready(&operator, "abc"));
    assert_eq!((stage.read("abc", "/name"), other.read("abc", "/name")), (Some("abc".into()), Some("other".into())));

    // Each is looked after by itself.
    let pod = other.pod("abc");
    stage.patch("abc", &json!({"displayName": "next"}));
    stage.wait_ready(&operator, "abc");
    stage.kubectl(&["delete", "namespace", &stage.namespace, "--timeout=100s"]);
    assert_eq!(other.pod("abc"), pod);
    assert_eq!(other.read("abc", "/name").as_deref(), Some("other"));
    assert_eq!(other.condition("abc", "Ready").unwrap().0, "True");
}
