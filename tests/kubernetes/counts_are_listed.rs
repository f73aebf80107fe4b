//! `kubectl get mai` shows how much each client uses its instance.

use serde_json::json;

use super::cluster;
use super::environment::Environment;
use super::images;

#[test]
fn users_and_spend_are_listed_and_measured() {
    let _shared = cluster::shared();
    let env = Environment::new("counts");
    let operator = env.operator_with(&["--counts-interval", "500ms", "--resync", "1s"]);
    env.apply(&env.document("abc", &format!("  image: {}\n  openRouter: {{mock: true}}\n", images::own())));
    env.wait_ready(&operator, "abc");
    let person = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"}).to_string();
    assert_eq!(env.answer(&operator, "abc", "POST", "/api/v1/auths/signup", "", &person).0, 200);
    let listed = || env.kubectl(&["get", "mai"]);
    env.wait_until(
        &operator,
        || format!("an account in:\n{}", listed()),
        || {
            let listed = listed();
            let [head, row]: [Vec<&str>; 2] =
                listed.lines().map(|line| line.split_whitespace().collect()).collect::<Vec<_>>().try_into().ok()?;
            (head[4..6] == ["USERS", "SPEND"] && row[4..6] == ["1", "0.00"]).then_some(())
        },
    );
    let labels = format!("{{namespace=\"{}\",name=\"abc\"}}", env.namespace);
    let figure = |name: &str| operator.figure(&format!("mai_usage_{name}{labels}"));
    assert_eq!(
        (figure("accounts"), figure("month_cost_usd"), figure("key_accepted")),
        (Some(1.0), Some(0.0), Some(1.0))
    );
    assert_eq!(figure("limit_remaining_ratio"), None, "there is no limit");
    let usage = || env.get("mai/abc").unwrap()["status"]["usage"].clone();
    assert_eq!((&usage()["key"], &usage()["limitLevel"]), (&json!("Accepted"), &json!(null)));

    // Asked again and again, the object is not written.
    let version = env.wait_settled(&operator, || env.resource_version("mai/abc"));
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(env.resource_version("mai/abc"), version);
}
