//! Promise: a rotated secret reaches its server, a missing one is told and waited for, and none shows anywhere.

use super::cluster;
use super::operator::Operator;
use super::stage::Stage;

const FIRST: &str = "sk-or-v1-the-first-of-them";
const SECOND: &str = "sk-or-v1-the-second-of-them";

fn put(stage: &Stage, value: &str) {
    stage.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: upstream}}\nstringData: {{key: {value}}}\n"));
}

fn wait_for_value(stage: &Stage, operator: &Operator, value: &str) {
    stage.wait_until(
        operator,
        || format!("{value} to be served"),
        || stage.read("abc", "/secret/OPENAI_API_KEY").filter(|served| served == value),
    );
    stage.wait_ready(operator, "abc");
}

/// The Secrets with what servers of `abc` are told.
pub(super) fn own_secrets(stage: &Stage) -> Vec<String> {
    let names = stage.children("abc").into_iter().map(|(name, _)| name);
    names.filter(|name| name.starts_with("Secret/mai-abc-env-")).collect()
}

#[test]
fn a_secret_is_waited_for_rotated_and_missed_without_a_pause() {
    let _shared = cluster::shared();
    let stage = Stage::new("secrets");
    let operator = stage.operator();
    stage.apply(&stage.fixture("abc", "  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n"));
    let message = stage.wait_for_reason(&operator, "abc", "Stalled", "MissingSecret");
    assert!(message.contains("upstream"), "{message}");
    assert!(stage.pod("abc").is_none());

    // One without the key is as good as none, and the keys that it has are named.
    stage.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=other=x"]);
    stage.wait_until(
        &operator,
        || "the key to be missed".into(),
        || stage.condition("abc", "Stalled").filter(|(_, _, message)| message.contains("other")),
    );
    put(&stage, FIRST);
    wait_for_value(&stage, &operator, FIRST);
    let secrets = own_secrets(&stage);

    // In a namespace of its own it is watched, so nothing has to be asked for.
    put(&stage, SECOND);
    wait_for_value(&stage, &operator, SECOND);
    stage.wait_until(
        &operator,
        || "the former values to be gone".into(),
        || (own_secrets(&stage).len() == 1).then_some(()),
    );
    assert_ne!(own_secrets(&stage), secrets);

    // A server that runs goes on without it.
    let pod = stage.pod("abc").unwrap();
    stage.kubectl(&["delete", "secret/upstream"]);
    let message = stage.wait_for_reason(&operator, "abc", "Stalled", "MissingSecret");
    assert!(message.contains("goes on with what was declared before"), "{message}");
    put(&stage, SECOND);
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.pod("abc"), Some(pod));

    // All that people may look at, and more than they usually do.
    let seen = stage.kubectl(&["get", "mai,all,events,leases,serviceaccounts,persistentvolumeclaims", "-o", "yaml"]);
    let figures = operator.get("/metrics").unwrap().1;
    for value in [FIRST, SECOND] {
        assert!(
            !seen.contains(value) && !operator.output().contains(value) && !figures.contains(value),
            "{value} shows"
        );
    }
}
