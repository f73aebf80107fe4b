//! A rotated secret reaches its server, a missing one is reported and awaited, and none is shown.

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;

const FIRST: &str = "sk-or-v1-the-first-of-them";
const SECOND: &str = "sk-or-v1-the-second-of-them";

fn apply_secret(env: &Environment, value: &str) {
    env.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: upstream}}\nstringData: {{key: {value}}}\n"));
}

fn wait_for_value(env: &Environment, operator: &Operator, value: &str) {
    env.wait_until(
        operator,
        || format!("{value} to be served"),
        || env.read("abc", "/secret/OPENAI_API_KEY").filter(|served| served == value),
    );
    env.wait_ready(operator, "abc");
}

/// Returns the Secrets with the environment of servers of `abc`.
pub(super) fn instance_secrets(env: &Environment) -> Vec<String> {
    let names = env.children("abc").into_iter().map(|(name, _)| name);
    names.filter(|name| name.starts_with("Secret/mai-abc-env-")).collect()
}

#[test]
fn secret_is_awaited_rotated_and_missed_without_downtime() {
    let _shared = cluster::shared();
    let env = Environment::new("secrets");
    let operator = env.operator();
    env.apply(&env.fixture("abc", "  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n"));
    let message = env.wait_for_reason(&operator, "abc", "Stalled", "MissingSecret");
    assert!(message.contains("upstream"), "{message}");
    assert!(env.pod("abc").is_none());

    // A Secret without the key is reported with the keys that it has.
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=other=x"]);
    env.wait_until(
        &operator,
        || "the key to be missed".into(),
        || env.condition("abc", "Stalled").filter(|(_, _, message)| message.contains("other")),
    );
    apply_secret(&env, FIRST);
    wait_for_value(&env, &operator, FIRST);
    let secrets = instance_secrets(&env);

    // With a list of namespaces Secrets are watched, so a change is noticed without polling.
    apply_secret(&env, SECOND);
    wait_for_value(&env, &operator, SECOND);
    env.wait_until(
        &operator,
        || "the former values to be gone".into(),
        || (instance_secrets(&env).len() == 1).then_some(()),
    );
    assert_ne!(instance_secrets(&env), secrets);

    // A running server keeps running without it.
    let pod = env.pod("abc").unwrap();
    env.kubectl(&["delete", "secret/upstream"]);
    let message = env.wait_for_reason(&operator, "abc", "Stalled", "MissingSecret");
    assert!(message.contains("keeps running as declared before"), "{message}");
    apply_secret(&env, SECOND);
    env.wait_ready(&operator, "abc");
    assert_eq!(env.pod("abc"), Some(pod));

    // Everything that a user can read.
    let objects = env.kubectl(&["get", "mai,all,events,leases,serviceaccounts,persistentvolumeclaims", "-o", "yaml"]);
    let figures = operator.get("/metrics").unwrap().1;
    for value in [FIRST, SECOND] {
        assert!(
            !objects.contains(value) && !operator.output().contains(value) && !figures.contains(value),
            "{value} shows"
        );
    }
}
