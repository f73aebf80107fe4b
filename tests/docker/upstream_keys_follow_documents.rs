//! A client in a container has a key of its own at the upstream, which is limited, rotated and deleted as its document says.

use std::time::Duration;

use crate::fixtures::account::{Account, MANAGEMENT};

use super::engine;
use super::environment::{Environment, inspect};

#[test]
fn key_is_made_rotated_and_deleted_with_the_container() {
    let _shared = engine::shared();
    let (env, account) = (Environment::new("keyed"), Account::open(Duration::ZERO));
    env.workspace.write_secret("management", "key", MANAGEMENT);
    let own_key = format!(
        "{{baseUrl: '{}', managementKeySecretRef: {{name: management, key: key}}, monthlyLimitUsd: 5, keyRotation: {{gracePeriod: 1s}}}}",
        account.base_url()
    );
    let document = env.document("fixture:1", "");
    let document = document.replace("{apiKeySecretRef: {name: upstream, key: key}}", &own_key);
    assert!(document.contains("managementKeySecretRef"));
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    env.wait_up();
    let first = account.wait_for_key("is limited", |key| key["limit"] == 5);
    let value = env.get("/secret/OPENAI_API_KEY");
    let shown = serde_json::to_string(&inspect(&env.container()).unwrap()).unwrap();
    assert!(
        value.starts_with("sk-or-v1-") && !shown.contains(&value) && !shown.contains(MANAGEMENT),
        "an inspection of the container shows a key"
    );

    let before = env.run().unwrap();
    let (code, out, err) = env.mai("rotate-key", &[]);
    assert_eq!(code, 0, "{out}{err}");
    env.wait_for_another(&before);
    let second = account.wait_for_key("is another", |key| key["hash"] != first["hash"]);
    assert_ne!(env.get("/secret/OPENAI_API_KEY"), value);

    // A container that is removed by hand comes back with the same key.
    let before = env.run().unwrap();
    engine::with_docker(async |docker| super::environment::remove(&docker, &env.container()).await);
    env.wait_for_another(&before);
    assert_eq!(account.wait_for_key("is the same", |_| true)["hash"], second["hash"]);

    env.workspace.remove("instance.yaml");
    compose.wait_for_line(&["keyed", "gone"]);
    assert!(account.keys().is_empty());
    assert!(!compose.output().contains("sk-or-v1-"), "{}", compose.output());
}
