//! A month that is over is closed a day later, once, and its statement does not change.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::civil::date;
use mai_contract::InternalToken;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::fixtures::clock::starting_at;
use crate::fixtures::compose::PATIENCE;
use crate::fixtures::nbp::{self, Nbp, mid};
use crate::fixtures::serve::{Server, send};

const SECRET: &str = "a session key of an instance";

async fn start_at(data_dir: &Path, moment: &str, nbp: &str) -> Server {
    let clock = starting_at(moment);
    let settings = [
        ("MAI_MOCK_UPSTREAM", "true"),
        ("MAI_TIME_ZONE", "Europe/Warsaw"),
        ("MAI_MARKUP", "1.3"),
        ("MAI_NBP_URL", nbp),
        ("WEBUI_SECRET_KEY", SECRET),
    ];
    let settings: Vec<_> = clock.iter().map(|(name, value)| (*name, value.as_str())).chain(settings).collect();
    Server::start_in(data_dir, &settings).await
}

async fn ask(server: &Server, token: &str) {
    let body = json!({ "model": "openai/gpt-5", "messages": [{ "role": "user", "content": "Why is the sky blue?" }] });
    let (status, answer) = server.post("/api/v1/chat/completions", token, body).await;
    assert_eq!(status, 200, "{answer}");
}

/// Returns the statement of a month for the provider.
async fn of_provider(server: &Server, month: &str) -> Value {
    let token = InternalToken::from_session_key(&SECRET.into()).unwrap().text();
    let request = server.request(Method::GET, &format!("/internal/statements/{month}"));
    let (status, statement) = send(request.bearer_auth(token.expose_secret())).await;
    assert_eq!(status, 200, "{statement}");
    statement
}

/// Waits until the rate of the statement is frozen.
async fn closed(server: &Server, token: &str, month: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, statement) = server.get(&format!("/api/v1/usage/statements/{month}"), token).await;
        if status == 200 && statement["rate"]["basis"] == "frozen" {
            return statement;
        }
        assert!(Instant::now() < deadline, "{status} {statement}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn month_is_closed_when_the_clock_has_moved() {
    let bank = Nbp::start(date(2026, 11, 30)).await;
    let directory = tempfile::tempdir().unwrap();
    let mut server = start_at(directory.path(), "2026-11-30T20:00:00Z", &bank.url).await;
    let token = server.admin().await;
    let (id, user) = server.user(&token, "=jan@example.com").await;
    for token in [&token, &user, &user] {
        ask(&server, token).await;
    }
    // Ten minutes to midnight by the clocks of the client.
    server.terminate().await;
    let mut server = start_at(directory.path(), "2026-12-01T22:50:00Z", &bank.url).await;
    let (status, refusal) = server.get("/api/v1/usage/statements/2026-11", &token).await;
    assert_eq!(status, 404, "{refusal}");
    assert!(refusal["detail"].as_str().unwrap().contains("not closed yet"), "{refusal}");
    let (_, summary) = server.get("/api/v1/usage/summary?month=2026-11", &token).await;
    server.terminate().await;

    let mut server = start_at(directory.path(), "2026-12-01T23:10:00Z", &bank.url).await;
    let statement = closed(&server, &token, "2026-11").await;
    let total = &statement["total"];
    assert_eq!((&total["requests"], &total["price_nano_usd"]), (&json!(3), &summary["cost_nano_usd"]));
    assert!(summary["cost_nano_usd"].as_i64() > Some(0), "{summary}");
    let number = |field: &str| total[field].as_i64().unwrap();
    assert_eq!(statement["rate"]["date"], "2026-11-27", "the last day of the month is a Monday");
    let groszy = i128::from(number("price_nano_usd")) * i128::from(mid(date(2026, 11, 27)));
    let groszy = (2 * groszy + 100_000_000_000).div_euclid(200_000_000_000);
    assert_eq!(total["price_pln"], format!("{}.{:02}", groszy / 100, groszy % 100));
    assert_eq!(statement["seats"].as_array().unwrap().len(), 1, "{}", statement["seats"]);
    assert_eq!((&statement["seats"][0]["day"], &statement["seats"][0]["count"]), (&json!("2026-11-30"), &json!(2)));

    // The client sees prices alone, on its page, as JSON and as CSV.
    let csv = server.request(Method::GET, "/api/v1/usage/statements/2026-11?format=csv").bearer_auth(&token);
    let csv = csv.send().await.unwrap().text().await.unwrap();
    let page = server.request(Method::GET, "/usage/statements").header("cookie", format!("token={token}"));
    let page = page.send().await.unwrap().text().await.unwrap();
    for text in [&statement.to_string(), &csv, &page] {
        assert!(!text.contains("margin") && !text.contains("cost_usd") && !text.contains("cost_nano_usd"), "{text}");
    }
    assert!(csv.contains(",'=jan@example.com,") && csv.contains("\r\ntotal,2026-11,"), "{csv}");
    let (nano, number_of_table) = (number("price_nano_usd"), nbp::number(date(2026, 11, 27)));
    assert!(csv.contains(&format!(",{}.{:09},", nano / 1_000_000_000, nano % 1_000_000_000)), "{csv}");
    assert!(page.contains(&number_of_table) && page.contains("=jan@example.com"), "{page}");
    assert_eq!(server.get("/api/v1/usage/statements/2026-11", &user).await.0, 403);

    // The provider sees cost and margin as well, and no names.
    let seen = of_provider(&server, "2026-11").await;
    let number = |field: &str| seen["total"][field].as_i64().unwrap();
    assert_eq!(number("price_nano_usd"), nano);
    assert_eq!(number("margin_nano_usd"), nano - number("cost_nano_usd"));
    assert!(number("margin_nano_usd") > 0 && !seen.to_string().contains("example.com"), "{seen}");

    // Neither the removal of a person nor a clock that is set back changes it, and it is made once.
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &token).await.0, 200);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let server = start_at(directory.path(), "2026-11-30T20:30:00Z", &bank.url).await;
    assert_eq!(closed(&server, &token, "2026-11").await, statement);
    assert_eq!(server.get("/api/v1/usage/statements", &token).await.1, json!({ "months": ["2026-11"] }));
}
