//! The use that servers tell reaches status and webhooks, and a server that tells nonsense, or nothing,
//! costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mai_operator::contract::InternalToken;
use mai_operator::core::InstanceId;
use mai_operator::fleet::{CountedServer, CountsMonitor, CountsOptions, InternalClient, InternalError};
use serde_json::{Value, json};

use crate::fixtures::compose::{PERSON, Workspace, http, sign_up, wait_ready, wait_until};
use crate::fixtures::ports::free_port;
use crate::fixtures::upstream::{Canned, Reply};
use crate::fixtures::webhook::Webhook;

/// Cost of each answer is a quarter of a dollar, of 30 cents that the key may spend.
async fn upstream() -> Canned {
    Canned::scripted(|request, _| {
        let usage = r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.25}"#;
        let answer = format!(
            r#"{{"id":"gen-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"a"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        );
        match request.target() {
            "/v1/chat/completions" => Some(Reply::json(answer)),
            "/v1/key" => {
                let key = r#"{"data":{"limit":0.3,"limit_remaining":0.05,"limit_reset":"monthly"}}"#;
                Some(Reply::json(key))
            }
            _ => None,
        }
    })
    .await
}

fn usage(workspace: &Workspace) -> Option<Value> {
    let usage = workspace.status().first()?["status"]["usage"].clone();
    usage.is_object().then_some(usage)
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_client_are_shown_and_its_limit_is_told() {
    let (workspace, webhook, upstream) = (Workspace::new(), Webhook::start(), upstream().await);
    let port = free_port();
    workspace.write_secret("upstream", "key", "sk-or-v1-test");
    workspace.write(
        "a.yaml",
        &format!(
            "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: alpha}}\nspec:\n  displayName: A\n  openRouter: {{baseUrl: '{}', markup: '2', apiKeySecretRef: {{name: upstream, key: key}}}}\n  expose: {{port: {port}}}\n",
            upstream.base_url
        ),
    );
    let url = webhook.url();
    let arguments = ["--counts-interval", "100ms", "--notify-url", &url, "--notify-name", "example"];
    let compose = workspace.compose(&arguments);
    wait_ready(port);
    let wait_for = |what: &str, pointer: &str, expected: Value| {
        wait_until(
            || format!("{what}: {:?}", usage(&workspace)),
            || usage(&workspace).filter(|usage| usage.pointer(pointer) == Some(&expected)),
        )
    };
    let first = wait_for("the first counts", "/key", json!("Accepted"));
    assert_eq!(
        (&first["accounts"], &first["costUsd"], &first["priceUsd"]),
        (&json!(0), &json!("0.00"), &json!("0.00"))
    );
    assert_eq!((&first["limitUsd"], &first["limitLevel"]), (&json!("0.30"), &json!(75)), "the upstream's own books");
    let told = webhook.wait_for(0, || compose.output());
    assert_eq!(told.changes(), ["+alpha.MonthlyLimit"]);
    let message = told.json()["changes"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("75 % of the limit of 0.30 USD in "), "{message}");

    sign_up(port);
    let (_, signed_in) = http("POST", port, "/api/v1/auths/signin", "", PERSON).unwrap();
    let token = serde_json::from_str::<Value>(&signed_in).unwrap()["token"].as_str().unwrap().to_owned();
    let question = r#"{"model":"canned/model","messages":[{"role":"user","content":"hi"}]}"#;
    let header = format!("authorization: Bearer {token}\r\n");
    assert_eq!(http("POST", port, "/api/v1/chat/completions", &header, question).unwrap().0, 200);
    wait_for("an account", "/accounts", json!(1));
    let spent = wait_for("its cost", "/costUsd", json!("0.25"));
    assert_eq!((&spent["activePeople"], &spent["priceUsd"]), (&json!(1), &json!("0.50")));
    let (_, table, _) = workspace.mai("status", &[]);
    assert!(table.contains("USERS") && table.contains("SPEND") && table.contains("$0.25"), "{table}");
    let (_, events, _) = workspace.mai("status", &["alpha"]);
    assert!(events.contains("LimitUsed"), "{events}");

    // Asked again and again, the status does not change.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(usage(&workspace), Some(spent.clone()));
    assert_eq!(webhook.received().len(), 1, "each part of the limit is told once");
    compose.stop();
    assert_eq!(usage(&workspace), Some(spent));
    let compose = workspace.compose(&arguments);
    wait_ready(port);
    wait_for("a third one", "/accounts", json!(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(webhook.received().len(), 1, "a restart tells nothing again");
    compose.stop();
}

const COUNTS: &str = r#"{"version":1,"accounts":7,"max_accounts":20,"active_today":2,"active_30_days":5,"chats":40,
    "month":{"month":"2026-11","requests":9,"cost_nano_usd":1,"price_nano_usd":null,"unknown_costs":0},
    "key":{"state":"ok","checked_at":null,"expires_at":null,"limit_nano_usd":null,"limit_left_nano_usd":null,
    "limit_is_monthly":false}}"#;

fn server(canned: &Canned) -> CountedServer {
    let address = url::Url::parse(&canned.base_url).unwrap().socket_addrs(|| None).unwrap()[0];
    let token = InternalToken::from_session_key(&"key".to_owned().into()).unwrap();
    CountedServer { address, token, limit_usd: None, account: None }
}

type IsExpected = fn(&InternalError) -> bool;

#[tokio::test]
async fn answer_that_is_no_counts_is_an_error() {
    let whole = |status, body: &str| Reply::whole(status, "application/json", body);
    let large = format!("{}{COUNTS}", " ".repeat(10 << 20));
    let cases: Vec<(&str, Reply, IsExpected)> = vec![
        ("10 MB", whole(200, &large), |error| matches!(error, InternalError::Invalid(_))),
        ("a page", whole(200, "<!doctype html>"), |error| matches!(error, InternalError::Invalid(_))),
        ("nothing", whole(200, ""), |error| matches!(error, InternalError::Invalid(_))),
        (
            "half of it",
            Reply::raw(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"version\":1".into()]).cut(),
            |error| matches!(error, InternalError::Invalid(_)),
        ),
        ("no HTTP", Reply::raw(vec![b"hello\r\n\r\n".into()]), |error| matches!(error, InternalError::Unreachable(_))),
        ("404", whole(404, "{}"), |error| *error == InternalError::NotServed),
        ("a redirect", whole(303, ""), |error| *error == InternalError::NotServed),
        ("401", whole(401, "{}"), |error| *error == InternalError::Refused),
        ("503", whole(503, "{}"), |error| matches!(error, InternalError::Unreachable(_))),
    ];
    for (what, reply, is_expected) in cases {
        let reply = Arc::new(std::sync::Mutex::new(Some(reply)));
        let canned = Canned::scripted(move |_, _| reply.lock().unwrap().take()).await;
        let server = server(&canned);
        let error = InternalClient::new(server.address, &server.token).counts().await.unwrap_err();
        assert!(is_expected(&error), "{what}: {error:?}");
    }
    let good = server(&Canned::scripted(|_, _| Some(Reply::json(COUNTS))).await);
    assert_eq!(InternalClient::new(good.address, &good.token).counts().await.unwrap().accounts, 7);
}

#[tokio::test]
async fn server_that_hangs_keeps_its_last_counts_and_delays_nobody() {
    let monitor =
        CountsMonitor::new(CountsOptions { interval: Duration::from_millis(100), ..CountsOptions::default() });
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    // It answers once, and then with nonsense.
    let failing = Canned::scripted(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Some(Reply::json(COUNTS)),
        _ => Some(Reply::json("{}")),
    })
    .await;
    let hanging = Canned::scripted(|_, _| Some(Reply::raw(Vec::new()))).await;
    let healthy = Canned::scripted(|_, _| Some(Reply::json(COUNTS))).await;
    let without = Canned::scripted(|_, _| None).await;
    let id = |name: &str| InstanceId { namespace: "default".into(), name: name.into(), uid: name.into() };
    for number in 0..7 {
        monitor.follow(&id(&format!("hanging-{number}")), Some(server(&hanging)));
    }
    for (name, canned) in [("failing", &failing), ("healthy", &healthy), ("without", &without)] {
        monitor.follow(&id(name), Some(server(canned)));
    }
    let deadline = Instant::now() + crate::fixtures::compose::PATIENCE;
    let known = loop {
        if let Some(known) = monitor.reported("failing").filter(|known| known.unknown_since.is_some()) {
            break known;
        }
        assert!(Instant::now() < deadline, "{:?}", monitor.reported("failing"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(known.counts.unwrap().0.accounts, 7, "the last known ones stay");
    assert_eq!(monitor.newest("healthy").unwrap().0.accounts, 7);
    assert_eq!(monitor.newest("hanging-0"), None, "unknown is not zero");
    assert_eq!(monitor.reported("without"), None);
    monitor.follow(&id("failing"), None);
    let asked = answered.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(answered.load(Ordering::SeqCst) <= asked + 1, "one that does not serve is not asked");
    assert!(monitor.reported("failing").is_some());
    monitor.forget("failing");
    assert_eq!(monitor.reported("failing"), None);
}
