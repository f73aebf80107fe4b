//! An instance can be suspended, paused, released from a hanging deletion and removed with its
//! namespace.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster;
use super::environment::Environment;

#[test]
fn suspended_instance_stops_and_resumes_on_its_data() {
    let _shared = cluster::shared();
    let env = Environment::new("suspended");
    let operator = env.operator();
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    env.patch("abc", &json!({"suspend": true}));
    env.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    env.wait_no_pod(&operator, "abc");
    assert!(env.get("pvc/mai-abc-data").is_some() && env.get("service/mai-abc").is_some());
    assert_eq!(env.condition("abc", "Stalled").unwrap().0, "False", "it is as declared");
    let labels = format!("{{namespace=\"{}\",name=\"abc\"}}", env.namespace);
    let figures = || ["suspended", "ready"].map(|figure| operator.figure(&format!("mai_instance_{figure}{labels}")));
    env.wait_until(
        &operator,
        || format!("its figures: {:?}", figures()),
        || (figures() == [Some(1.0), Some(0.0)]).then_some(()),
    );
    env.patch("abc", &json!({"suspend": false}));
    env.wait_ready(&operator, "abc");
    env.wait_served(&operator, "abc", "/starts", "abc\nabc\n");
}

#[test]
fn suspended_instance_has_auxiliary_objects_and_no_pod() {
    let _shared = cluster::shared();
    let env = Environment::new("suspended-beside");
    let operator = env.operator_with(&["--resync", "1s"]);
    env.apply(&env.fixture("abc", "  expose: {host: abc.example.com, ingress: {className: nginx}}\n  suspend: true\n"));
    let kinds = || env.children("abc").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    // A new suspended instance has everything except its Deployment, so that data can be restored
    // and certificates issued.
    env.wait_until(
        &operator,
        || format!("what is beside it; there is {:?}", kinds()),
        || (kinds().len() == 9).then_some(()),
    );
    env.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    assert!(env.get("deployment/mai-abc").is_none() && env.pod("abc").is_none());

    env.patch("abc", &json!({"suspend": false}));
    env.wait_ready(&operator, "abc");
    env.patch("abc", &json!({"suspend": true}));
    env.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    let stands =
        || ["Ready", "Reconciling", "Stalled"].map(|kind| env.condition("abc", kind).map(|(is, why, _)| (is, why)));
    let stood = stands();
    let declared = kinds();
    let uid = |what: &str| env.get(what).unwrap()["metadata"]["uid"].clone();
    let deployment = uid("deployment/mai-abc");
    // A change of the server is applied at its next start.
    env.patch("abc", &json!({"displayName": "next", "expose": {"labels": {"team": "sales"}}}));
    env.kubectl(&["delete", "service,networkpolicy,ingress,poddisruptionbudget,serviceaccount", "mai-abc"]);
    env.kubectl(&["delete", "pvc", "mai-abc-backups", "--wait=false"]);
    env.kubectl(&["patch", "deployment/mai-abc", "--type=merge", "-p", r#"{"spec": {"revisionHistoryLimit": 9}}"#]);
    let history = || env.get("deployment/mai-abc").unwrap()["spec"]["revisionHistoryLimit"].clone();
    let back = || (kinds() == declared && history() == 10).then_some(());
    env.wait_until(&operator, || format!("all to come back; there is {:?}", kinds()), back);
    env.wait_passes(&operator, 3.0);
    assert_eq!((env.pod("abc"), uid("deployment/mai-abc")), (None, deployment));
    assert_eq!(stands(), stood);

    // The started server has the last declared settings.
    env.patch("abc", &json!({"suspend": false}));
    env.wait_ready(&operator, "abc");
    env.wait_served(&operator, "abc", "/name", "next");
}

#[test]
fn paused_instance_is_not_reconciled() {
    let _shared = cluster::shared();
    let env = Environment::new("paused");
    let operator = env.operator_with(&["--resync", "500ms"]);
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    env.kubectl(&["annotate", "mai/abc", "mai.dev/paused=true"]);
    env.wait_for_reason(&operator, "abc", "Ready", "Paused");
    env.kubectl(&["delete", "service/mai-abc"]);
    env.patch("abc", &json!({"displayName": "next"}));
    let pod = env.pod("abc");
    std::thread::sleep(Duration::from_secs(2));
    assert!(env.get("service/mai-abc").is_none(), "it was repaired");
    assert_eq!(env.pod("abc"), pod, "it was replaced");
    env.kubectl(&["annotate", "mai/abc", "mai.dev/paused-"]);
    env.wait_ready(&operator, "abc");
    env.wait_served(&operator, "abc", "/name", "next");
}

#[test]
fn hanging_deletion_can_be_released() {
    let _shared = cluster::shared();
    let env = Environment::new("let-go");
    let operator = env.operator();
    env.apply(&env.fixture("abc", "  server: {env: [{name: FIXTURE_IGNORE_TERM, value: 'true'}]}\n"));
    env.wait_ready(&operator, "abc");
    let since = Instant::now();
    env.kubectl(&["delete", "mai/abc", "--wait=false"]);
    env.wait_for_reason(&operator, "abc", "Ready", "Deleting");
    env.kubectl(&["annotate", "mai/abc", "mai.dev/skip-teardown=true"]);
    env.kubectl(&["wait", "--for=delete", "mai/abc", "--timeout=3m"]);
    // The server uses all of its grace period of 15 seconds.
    assert!(env.pod("abc").is_some() || since.elapsed() > Duration::from_secs(14), "its end was awaited");
    // The cluster deletes the owned objects; the data is kept.
    let kept =
        ["PersistentVolumeClaim/mai-abc-backups", "PersistentVolumeClaim/mai-abc-data", "Secret/mai-abc-session"];
    env.wait_until(
        &operator,
        || "only the data to be left".into(),
        || {
            let left: Vec<String> = env.children("abc").into_iter().map(|(name, _)| name).collect();
            (left == kept).then_some(())
        },
    );
}

#[test]
fn deleted_namespace_leaves_same_name_elsewhere() {
    let _shared = cluster::shared();
    let (env, other) = (Environment::new("namesake"), Environment::new("namesake-other"));
    let operator = env.operator_with(&["--leader-election", "false", "--namespaces", &other.namespace]);
    env.apply(&env.fixture("abc", ""));
    other.apply(&other.fixture("abc", "").replace("displayName: abc", "displayName: other"));
    [&env, &other].iter().for_each(|env| env.wait_ready(&operator, "abc"));
    env.wait_served(&operator, "abc", "/name", "abc");
    other.wait_served(&operator, "abc", "/name", "other");

    // Each is reconciled independently.
    let pod = other.pod("abc");
    env.patch("abc", &json!({"displayName": "next"}));
    env.wait_ready(&operator, "abc");
    env.kubectl(&["delete", "namespace", &env.namespace, "--timeout=3m"]);
    assert_eq!(other.pod("abc"), pod);
    other.wait_served(&operator, "abc", "/name", "other");
    assert_eq!(other.condition("abc", "Ready").unwrap().0, "True");
}
