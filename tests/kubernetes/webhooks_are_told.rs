//! Webhooks are told once what turns bad and good again in a cluster, whichever operator leads.

use super::cluster;
use super::environment::Environment;

use crate::fixtures::webhook::Webhook;

#[test]
fn edges_are_told_once_across_operators() {
    let _shared = cluster::shared();
    let env = Environment::new("told");
    let webhook = Webhook::start();
    let url = webhook.url();
    let arguments = ["--notify-url", &url, "--notify-after", "1s", "--resync", "1s", "--heartbeat-url", &url];
    let operator = env.operator_with(&arguments);
    env.apply(&env.fixture("abc", "  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n"));
    let posts = || webhook.received().into_iter().filter(|one| one.target.starts_with("POST ")).collect::<Vec<_>>();
    let told = |operator: &_, number: usize| {
        env.wait_until(operator, || format!("notice {number} of {:?}", posts()), || posts().get(number).cloned())
    };
    assert_eq!(told(&operator, 0).changes(), ["+abc.Ready"]);
    let stored = || env.get("configmap/mai-operator-notifications");
    env.wait_until(&operator, || "the record".into(), || stored().map(drop));
    let count =
        |operator: &super::operator::Operator| operator.figure("mai_operator_notifications_total{outcome=\"ok\"}");
    env.wait_until(
        &operator,
        || format!("one notice to be counted: {:?}", count(&operator)),
        || (count(&operator) == Some(1.0)).then_some(()),
    );
    env.wait_until(
        &operator,
        || "a heartbeat".into(),
        || webhook.received().iter().any(|one| one.target.starts_with("GET ")).then_some(()),
    );
    operator.kill();

    let operator = env.operator_with(&arguments);
    env.wait_for_reason(&operator, "abc", "Ready", "MissingSecret");
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-test"]);
    assert_eq!(told(&operator, 1).changes(), ["-abc.Ready"]);
    let logged = || operator.output().contains("was told of 1 condition").then_some(());
    env.wait_until(&operator, || "the notice in the log".into(), logged);
    assert!(!operator.output().contains("hidden"), "{}", operator.output());
}
