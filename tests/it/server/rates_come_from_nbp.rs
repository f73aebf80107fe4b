//! Exchange rates come from NBP in the background, stay known without it, and freeze with a month.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::civil::date;
use serde_json::{Value, json};

use crate::fixtures::clock::starting_at;
use crate::fixtures::compose::PATIENCE;
use crate::fixtures::nbp::{Behaviour, Nbp, mid, number};
use crate::fixtures::serve::{PASSWORD, Server};

/// Starts a server at a moment, with settings beside those of its upstream.
async fn start_at(data_dir: &Path, moment: &str, settings: &[(&'static str, &str)]) -> Server {
    let clock = starting_at(moment);
    let clock = clock.iter().map(|(name, value)| (*name, value.as_str()));
    let fixed = [("MAI_MOCK_UPSTREAM", "true"), ("MAI_TIME_ZONE", "Europe/Warsaw")];
    let settings: Vec<_> = clock.chain(fixed).chain(settings.iter().copied()).collect();
    Server::start_in(data_dir, &settings).await
}

async fn ask(server: &Server, token: &str) {
    let body = json!({ "model": "openai/gpt-5", "messages": [{ "role": "user", "content": "Why is the sky blue?" }] });
    let (status, answer) = server.post("/api/v1/chat/completions", token, body).await;
    assert_eq!(status, 200, "{answer}");
}

/// Waits until the rate of a month is the one that `expected` names.
async fn wait_rate(server: &Server, token: &str, month: &str, expected: [&str; 4]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, rate) = server.get(&format!("/api/v1/usage/rate?month={month}"), token).await;
        let found = ["basis", "source", "date", "mid"].map(|field| rate[field].as_str().unwrap_or_default().to_owned());
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{rate}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the rate of a day as it is shown.
fn shown(day: jiff::civil::Date) -> String {
    format!("{}.{:04}", mid(day) / 10_000, mid(day) % 10_000)
}

async fn type_in(server: &Server, token: &str, day: &str, mid: &str) -> (u16, Value) {
    let rate = json!({ "date": day, "mid": mid, "table": "212/A/NBP/2026" });
    let (status, answer) = server.post("/api/v1/usage/rate", token, rate).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn closed_month_keeps_the_rate_before_its_last_day() {
    let nbp = Nbp::start(date(2026, 10, 30)).await;
    let directory = tempfile::tempdir().unwrap();
    let url = [("MAI_NBP_URL", nbp.url.as_str())];

    // Saturday, the last day of October. Nobody is asked before a model was used.
    let mut server = start_at(directory.path(), "2026-10-31T10:00:00Z", &url).await;
    let token = server.admin().await;
    assert_eq!(server.get("/api/v1/usage/rate", &token).await.0, 404);
    assert_eq!(nbp.asked(), [""; 0]);
    ask(&server, &token).await;
    let friday = shown(date(2026, 10, 30));
    wait_rate(&server, &token, "2026-10", ["newest", "nbp", "2026-10-30", &friday]).await;
    server.terminate().await;

    // Without NBP the last known rate stays, with its date.
    nbp.behave(Behaviour::Page);
    let mut server = start_at(directory.path(), "2026-11-02T10:00:00Z", &url).await;
    wait_rate(&server, &token, "2026-11", ["newest", "nbp", "2026-10-30", &friday]).await;
    wait_rate(&server, &token, "2026-10", ["provisional", "nbp", "2026-10-30", &friday]).await;
    server.terminate().await;

    nbp.behave(Behaviour::Documented);
    nbp.publish(date(2026, 11, 2));
    let mut server = start_at(directory.path(), "2026-11-02T12:00:00Z", &url).await;
    let monday = shown(date(2026, 11, 2));
    wait_rate(&server, &token, "2026-11", ["newest", "nbp", "2026-11-02", &monday]).await;
    wait_rate(&server, &token, "2026-10", ["frozen", "nbp", "2026-10-30", &friday]).await;
    let (_, rate) = server.get("/api/v1/usage/rate?month=2026-10", &token).await;
    assert_eq!((&rate["table"], number(date(2026, 10, 30)).as_str()), (&json!("212/A/NBP/2026"), "212/A/NBP/2026"));
    server.terminate().await;

    // A clock that was set back, and another rate in the document, change nothing of it.
    let other = ("MAI_EXCHANGE_RATES", "2026-10-30 4.0000 212/A/NBP/2026");
    let server = start_at(directory.path(), "2026-10-20T10:00:00Z", &[url[0], other]).await;
    wait_rate(&server, &token, "2026-10", ["frozen", "nbp", "2026-10-30", &friday]).await;
    for asked in nbp.asked() {
        assert!(asked.starts_with("/api/exchangerates/rates/a/usd/2026-"), "{asked}");
    }
}

#[tokio::test]
async fn month_ends_well_without_tables_for_ten_days() {
    let nbp = Nbp::start(date(2026, 10, 28)).await;
    let directory = tempfile::tempdir().unwrap();
    let url = [("MAI_NBP_URL", nbp.url.as_str())];
    let mut server = start_at(directory.path(), "2026-10-28T12:00:00Z", &url).await;
    let token = server.admin().await;
    ask(&server, &token).await;
    let known = shown(date(2026, 10, 28));
    wait_rate(&server, &token, "2026-10", ["newest", "nbp", "2026-10-28", &known]).await;
    server.terminate().await;

    nbp.behave(Behaviour::NoTables);
    let mut server = start_at(directory.path(), "2026-11-09T12:00:00Z", &url).await;
    wait_rate(&server, &token, "2026-10", ["provisional", "nbp", "2026-10-28", &known]).await;
    // What NBP has given cannot be replaced, and a day ahead is no day of a table.
    for (day, mid, status) in [("2026-10-28", "4", 409), ("2026-12-01", "4", 400), ("2026-10-29", "4,1", 400)] {
        let (found, answer) = type_in(&server, &token, day, mid).await;
        assert_eq!(found, status, "{answer}");
    }
    server.terminate().await;

    // Ten days after its end the month takes the last rate that is known.
    let server = start_at(directory.path(), "2026-11-11T12:00:00Z", &url).await;
    wait_rate(&server, &token, "2026-10", ["frozen", "nbp", "2026-10-28", &known]).await;
    wait_rate(&server, &token, "2026-11", ["newest", "nbp", "2026-10-28", &known]).await;
}

#[tokio::test]
async fn rates_are_typed_in_or_declared_without_nbp() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = start_at(directory.path(), "2026-10-31T10:00:00Z", &[]).await;
    let token = server.admin().await;
    ask(&server, &token).await;
    let (status, _) = type_in(&server, &token, "2026-10-30", "3.6123").await;
    assert_eq!(status, 200);
    wait_rate(&server, &token, "2026-10", ["newest", "manual", "2026-10-30", "3.6123"]).await;
    let (_, entries) = server.get("/api/v1/audit", &token).await;
    assert!(entries.to_string().contains(r#""action":"rate_entered""#), "{entries}");
    server.terminate().await;

    // The document wins.
    let declared = [("MAI_EXCHANGE_RATES", "2026-10-29 3.7 211/A/NBP/2026")];
    let mut server = start_at(directory.path(), "2026-11-01T10:00:00Z", &declared).await;
    let (_, body) = server.sign_in("admin@example.com", PASSWORD).await;
    let token = body["token"].as_str().unwrap().to_owned();
    wait_rate(&server, &token, "2026-10", ["frozen", "document", "2026-10-29", "3.7000"]).await;
    assert_eq!(type_in(&server, &token, "2026-10-29", "4").await.0, 409);
    server.terminate().await;

    for (name, value) in [("MAI_NBP_URL", "nbp"), ("MAI_EXCHANGE_RATES", "2026-10-29 3,7 211/A/NBP/2026")] {
        let child = crate::fixtures::serve::command(directory.path(), &[(name, value)]).spawn().unwrap();
        let (code, message) = crate::fixtures::serve::wait_failure(child).await;
        assert!(code == 2 && message.contains(name), "{code} {message}");
    }
}
