//! A client's own key at the upstream follows its object: made, limited, rotated and deleted; its value
//! is in Secrets alone.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;
use crate::fixtures::account::{Account, MANAGEMENT};

fn spec(account: &Account) -> String {
    format!(
        "  openRouter: {{baseUrl: \"{}\", managementKeySecretRef: {{name: account, key: key}}, monthlyLimitUsd: 5, keyRotation: {{gracePeriod: 1s}}}}\n",
        account.base_url()
    )
}

/// Waits until the server has the key that the status names, and returns its hash and its value.
fn wait_for_served(env: &Environment, operator: &Operator, former: &str) -> (String, String) {
    let hash = env.wait_until(
        operator,
        || format!("another key than {former:?}"),
        || {
            let status = env.get("maiinstance/abc")?["status"].clone();
            let hash = status["openRouterKey"]["hash"].as_str()?.to_owned();
            let is_ready = env.condition("abc", "KeyHealthy").is_some_and(|(_, reason, _)| reason == "KeyReady");
            (hash != former && is_ready).then_some(hash)
        },
    );
    env.wait_ready(operator, "abc");
    let value = env.read("abc", "/secret/OPENAI_API_KEY").unwrap();
    (hash, value)
}

#[test]
fn key_is_made_limited_rotated_and_deleted_in_a_cluster() {
    let _shared = cluster::shared();
    let env = Environment::new("upstream-keys");
    let account = Account::open(Duration::ZERO);
    let operator = env.operator();
    env.apply(&env.fixture("abc", &spec(&account)));
    env.wait_for_reason(&operator, "abc", "Stalled", "MissingSecret");
    env.kubectl(&["create", "secret", "generic", "account", &format!("--from-literal=key={MANAGEMENT}")]);
    let (first, value) = wait_for_served(&env, &operator, "");
    assert!(value.starts_with("sk-or-v1-") && value != MANAGEMENT, "{value}");
    let key = account.wait_for_key("is limited", |key| key["limit"] == 5);
    let uid = env.get("maiinstance/abc").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(key["name"], format!("mai {}/abc {uid}", env.namespace));

    env.patch("abc", &json!({"openRouter": {"monthlyLimitUsd": 7}}));
    account.wait_for_key("has the new limit", |key| key["limit"] == 7);

    // The next operator finds the key with its value.
    drop(operator);
    let operator = env.operator();
    assert_eq!(wait_for_served(&env, &operator, ""), (first.clone(), value.clone()));
    env.kubectl(&["annotate", "maiinstance/abc", "mai.dev/key-rotation-requested=now"]);
    let (second, other) = wait_for_served(&env, &operator, &first);
    assert_ne!(value, other);
    account.wait_for_key("is the second", |key| key["hash"] == second);

    let objects = env.kubectl(&["get", "mai,all,events", "-o", "yaml"]);
    for value in [&value, &other, &MANAGEMENT.to_owned()] {
        assert!(!objects.contains(value.as_str()) && !operator.output().contains(value.as_str()), "{value} shows");
    }
    env.kubectl(&["delete", "maiinstance/abc", "--wait=false"]);
    env.wait_until(
        &operator,
        || format!("the end of all keys; there are {:#?}", account.keys()),
        || (account.keys() == Vec::<Value>::new()).then_some(()),
    );
    env.wait_until(&operator, || "the end of abc".into(), || env.get("maiinstance/abc").is_none().then_some(()));
}
