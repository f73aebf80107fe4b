//! The bill of the upstream for a client's own key is compared with the client's ledger, and what the
//! ledger does not have is told.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixtures::account::{Account, MANAGEMENT};
use crate::fixtures::compose::{PERSON, Workspace, http, sign_up, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

/// Returns the key that the server of the instance was started with.
fn own_key(workspace: &Workspace) -> String {
    let environment = fs::read(format!("/proc/{}/environ", workspace.pid("alpha").unwrap())).unwrap();
    let mut variables = environment.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    variables.find_map(|text| text.strip_prefix("OPENAI_API_KEY=").map(str::to_owned)).unwrap()
}

#[test]
fn calls_beside_the_server_are_unattributed() {
    let (workspace, account, port) = (Workspace::new(), Account::open(Duration::ZERO), free_port());
    workspace.write_secret("management", "key", MANAGEMENT);
    workspace.write(
        "a.yaml",
        &format!(
            "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: alpha}}\nspec:\n  displayName: A\n  openRouter:\n    baseUrl: {}\n    managementKeySecretRef: {{name: management, key: key}}\n    keyRotation: {{gracePeriod: 1s}}\n  expose: {{port: {port}}}\n",
            account.base_url()
        ),
    );
    let compose = workspace.compose(&["--counts-interval", "100ms", "--bill-interval", "300ms"]);
    wait_ready(port);
    let bill = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        let bill = || Some(workspace.status().first()?["status"]["usage"]["bill"].clone());
        wait_until(|| format!("{what}: {:?}{}", bill(), compose.output()), || bill().filter(|bill| holds(bill)))
    };
    let ask = |port: u16, path: &str, key: &str, length: usize| {
        let question = json!({
            "model": "anthropic/claude-sonnet-4.5", "max_tokens": 20,
            "messages": [{"role": "user", "content": "word ".repeat(length)}],
        });
        let header = format!("authorization: Bearer {key}\r\n");
        let (status, answer) = http("POST", port, path, &header, &question.to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
    };

    sign_up(port);
    let (_, signed_in) = http("POST", port, "/api/v1/auths/signin", "", PERSON).unwrap();
    let token = serde_json::from_str::<Value>(&signed_in).unwrap()["token"].as_str().unwrap().to_owned();
    ask(port, "/api/v1/chat/completions", &token, 4_000);
    bill("an equal bill", &|bill| bill["unattributedUsd"] == "0.00" && bill["differences"].is_null());

    // The key of a client in other hands, which are not the server's.
    let upstream = account.base_url();
    let upstream_port: u16 = upstream.split([':', '/']).nth(4).unwrap().parse().unwrap();
    let key = own_key(&workspace);
    ask(upstream_port, "/api/v1/chat/completions", &key, 20_000);
    let told = bill("a difference", &|bill| bill["unattributedUsd"] != "0.00");
    let difference = told["differences"][0].as_str().unwrap();
    let today = jiff::Timestamp::now().to_string()[..10].to_owned();
    assert_eq!(told["comparedThrough"], today.as_str());
    assert!(difference.starts_with(&format!("{today} anthropic/claude-sonnet-4.5: $0.")), "{difference}");
    let (_, events, _) = workspace.mai("status", &["alpha"]);
    assert!(events.contains("BillDiffers"), "{events}");
    let amount = told["unattributedUsd"].clone();

    // A key that is not there any more was billed all the same.
    let (code, out, err) = workspace.mai("rotate-key", &["alpha"]);
    assert_eq!(code, 0, "{out}{err}");
    account.wait_for_key("is the only one", |_| true);
    ask(upstream_port, "/api/v1/chat/completions", &own_key(&workspace), 20_000);
    let cents = |amount: &Value| amount.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    bill("both keys", &|bill| !bill.is_null() && cents(&bill["unattributedUsd"]) >= 2 * cents(&amount) - 1);
    compose.stop();
}
