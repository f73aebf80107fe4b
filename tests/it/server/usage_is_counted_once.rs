//! Every token of usage is counted once: streamed, whole, cancelled, failed or cut off by a crash.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{Server, client};
use crate::fixtures::upstream::{Canned, KEY, Mock, Reply};

/// Returns the cost in micro-USD of 12 prompt tokens and `answered` completion tokens of gpt-5, at
/// $1.25 and $10 a million.
fn cost(answered: u64) -> u64 {
    (12 * 1_250_000 + answered * 10_000_000_u64 + 500_000) / 1_000_000
}

fn settings(mock: &Mock) -> Vec<(&'static str, String)> {
    vec![("OPENAI_API_BASE_URL", mock.base_url()), ("OPENAI_API_KEY", KEY.to_owned())]
}

async fn start_in(directory: &std::path::Path, settings: &[(&'static str, String)]) -> Server {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start_in(directory, &settings).await
}

struct Setup {
    mock: Mock,
    server: Server,
    token: String,
    _directory: tempfile::TempDir,
}

async fn setup() -> Setup {
    let mock = Mock::start().await;
    let directory = tempfile::tempdir().unwrap();
    let server = start_in(directory.path(), &settings(&mock)).await;
    let token = server.admin().await;
    Setup { mock, server, token, _directory: directory }
}

async fn ask(server: &Server, token: &str, settings: &str, stream: bool) -> Response {
    let body = json!({
        "model": "openai/gpt-5", "stream": stream,
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "metadata": {"mock": settings}
    });
    server.request(Method::POST, "/api/v1/chat/completions").bearer_auth(token).json(&body).send().await.unwrap()
}

/// Reads `chunks` chunks with text and returns the rest of the stream, which cancels the request
/// when dropped.
async fn read_some(response: Response, chunks: usize) -> impl Stream {
    let mut seen = String::new();
    let mut stream = Box::pin(response.bytes_stream());
    while seen.matches("\"content\":\"word").count() < chunks {
        seen.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
    }
    stream
}

async fn summary(server: &Server, token: &str) -> Value {
    server.get("/api/v1/usage/summary", token).await.1
}

/// Waits until no generation runs and no cost is unknown.
async fn settled(server: &Server, token: &str, requests: u64) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let summary = summary(server, token).await;
        if summary["requests"] == requests && summary["running"] == 0 && summary["unknown_cost"] == 0 {
            return summary;
        }
        assert!(Instant::now() < deadline, "the books do not close: {summary}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns what the upstream has charged, in micro-USD.
async fn charged(mock: &Mock) -> u64 {
    let response = client().get(format!("{}/key", mock.base_url())).bearer_auth(KEY).send().await.unwrap();
    let key: Value = response.json().await.unwrap();
    (key["data"]["usage"].as_f64().unwrap() * 1e6).round() as u64
}

async fn statuses(server: &Server) -> Vec<(String, Option<String>)> {
    let path = server.data_dir_of_test();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path.join("mai.db")).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query_as("SELECT status, source FROM generation ORDER BY id").fetch_all(&pool).await.unwrap()
}

async fn wait_statuses(server: &Server, are: impl Fn(&Vec<(String, Option<String>)>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !are(&statuses(server).await) {
        assert!(Instant::now() < deadline, "{:?}", statuses(server).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for these numbers of requests and of those whose cost is unknown, and for this cost.
async fn wait_summary(server: &Server, token: &str, expected: [u64; 3]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let summary = summary(server, token).await;
        let found = ["requests", "unknown_cost", "cost_micro_usd"].map(|field| summary[field].as_u64().unwrap());
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{summary}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

trait DataDir {
    fn data_dir_of_test(&self) -> std::path::PathBuf;
}

impl DataDir for Server {
    /// Read from the environment of the process, because the server does not own its directory
    /// here.
    fn data_dir_of_test(&self) -> std::path::PathBuf {
        let environment = std::fs::read(format!("/proc/{}/environ", self.child.id())).unwrap();
        let environment = String::from_utf8(environment).unwrap();
        environment.split('\0').find_map(|entry| entry.strip_prefix("DATA_DIR=")).unwrap().into()
    }
}

fn pair(status: &str, source: Option<&str>) -> (String, Option<String>) {
    (status.to_owned(), source.map(str::to_owned))
}

#[tokio::test]
async fn complete_answers_are_counted_from_their_usage() {
    let Setup { mock, server, token, _directory } = setup().await;
    ask(&server, &token, "chunks=4", false).await.bytes().await.unwrap();
    ask(&server, &token, "chunks=7", true).await.bytes().await.unwrap();
    let summary = settled(&server, &token, 2).await;
    assert_eq!(summary["cost_micro_usd"], cost(4) + cost(7));
    assert_eq!((&summary["prompt_tokens"], &summary["completion_tokens"]), (&json!(24), &json!(11)));
    assert_eq!(charged(&mock).await, cost(4) + cost(7));
    // Longer than the upstream takes to record them: they are not looked up as well.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(settled(&server, &token, 2).await["cost_micro_usd"], cost(4) + cost(7));
    assert_eq!(statuses(&server).await, [pair("completed", Some("usage")), pair("completed", Some("usage"))]);
}

#[tokio::test]
async fn concurrent_answers_are_all_counted() {
    let Setup { mock, server, token, _directory } = setup().await;
    let asked = futures::stream::iter(0..300).map(|n| {
        let (server, token) = (&server, &token);
        async move { ask(server, token, "chunks=3", n % 2 == 0).await.bytes().await.unwrap() }
    });
    asked.buffer_unordered(32).collect::<Vec<_>>().await;
    let summary = settled(&server, &token, 300).await;
    assert_eq!(summary["cost_micro_usd"], 300 * cost(3));
    assert_eq!(summary["completion_tokens"], 900);
    assert_eq!(charged(&mock).await, 300 * cost(3));
}

#[tokio::test]
async fn abandoned_answer_is_cancelled_and_counted_by_lookup() {
    let Setup { mock, server, token, _directory } = setup().await;
    let response = ask(&server, &token, "chunks=1000 delay=20", true).await;
    drop(read_some(response, 5).await);
    let summary = settled(&server, &token, 1).await;
    let answered = summary["completion_tokens"].as_u64().unwrap();
    assert!((5..500).contains(&answered), "the upstream went on for nobody: {summary}");
    assert_eq!(summary["cost_micro_usd"], cost(answered));
    assert_eq!(charged(&mock).await, cost(answered));
    assert_eq!(statuses(&server).await, [pair("cancelled", Some("generation"))]);
}

#[tokio::test]
async fn request_abandoned_before_its_answer_stays_unknown() {
    let Setup { server, token, _directory, .. } = setup().await;
    tokio::select! {
        _ = ask(&server, &token, "head=300000", true) => panic!("it was answered"),
        () = wait_statuses(&server, |statuses| statuses.len() == 1) => {}
    }
    wait_statuses(&server, |statuses| *statuses == [pair("cancelled", None)]).await;
    let summary = summary(&server, &token).await;
    assert_eq!((&summary["requests"], &summary["unknown_cost"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn answer_broken_off_by_upstream_is_counted_by_lookup() {
    let Setup { mock, server, token, _directory } = setup().await;
    let cut = ask(&server, &token, "chunks=50 cut=6", true).await;
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err(), "a cut must not look like an end");
    let failed = ask(&server, &token, "chunks=50 fail=8", true).await.text().await.unwrap();
    assert!(failed.contains("\"finish_reason\":\"error\""));
    ask(&server, &token, "chunks=9 usage=none", true).await.bytes().await.unwrap();
    let summary = settled(&server, &token, 3).await;
    assert_eq!(summary["completion_tokens"], 6 + 8 + 9);
    assert_eq!(summary["cost_micro_usd"], cost(6) + cost(8) + cost(9));
    assert_eq!(charged(&mock).await, cost(6) + cost(8) + cost(9));
    let expected = [("failed", "generation"), ("failed", "generation"), ("completed", "generation")];
    assert_eq!(statuses(&server).await, expected.map(|(status, source)| pair(status, Some(source))));
}

#[tokio::test]
async fn answer_interrupted_by_crash_is_counted_after_restart() {
    let Setup { mock, mut server, token, _directory: directory } = setup().await;
    ask(&server, &token, "chunks=2", true).await.bytes().await.unwrap();
    let response = ask(&server, &token, "chunks=1000 delay=20", true).await;
    let _reading = read_some(response, 5).await;
    wait_statuses(&server, |statuses| statuses.len() == 2).await;
    server.child.kill().unwrap();
    server.child.wait().unwrap();

    let server = start_in(directory.path(), &settings(&mock)).await;
    let summary = settled(&server, &token, 2).await;
    let answered = summary["completion_tokens"].as_u64().unwrap() - 2;
    assert!((5..500).contains(&answered), "{summary}");
    assert_eq!(summary["cost_micro_usd"], cost(2) + cost(answered));
    assert_eq!(charged(&mock).await, cost(2) + cost(answered));
    assert_eq!(statuses(&server).await, [pair("completed", Some("usage")), pair("interrupted", Some("generation"))]);
}

#[tokio::test]
async fn usage_lookup_is_retried_when_upstream_returns() {
    let Setup { mock, server, token, _directory } = setup().await;
    let response = ask(&server, &token, "chunks=1000 delay=10", true).await;
    let _reading = read_some(response, 3).await;
    // The mock's records end with it, so the lookup fails; the row stays unknown and does not
    // become zero.
    let address = mock.stop().await;
    wait_summary(&server, &token, [1, 1, 0]).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    wait_summary(&server, &token, [1, 1, 0]).await;
    let _mock = Mock::start_at(address).await;
    ask(&server, &token, "chunks=4", true).await.bytes().await.unwrap();
    wait_summary(&server, &token, [2, 1, cost(4)]).await;
}

#[tokio::test]
async fn refused_request_has_a_known_cost_of_zero() {
    let Setup { server, token, _directory, .. } = setup().await;
    for code in [400, 402, 429, 500, 503] {
        assert_eq!(ask(&server, &token, &format!("error={code}"), true).await.status().as_u16(), code);
    }
    let summary = settled(&server, &token, 5).await;
    assert_eq!((&summary["cost_micro_usd"], &summary["total_tokens"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn usage_is_grouped_and_survives_account_deletion() {
    let Setup { server, token, _directory, .. } = setup().await;
    let (anna, anna_token) = server.user(&token, "anna@example.com").await;
    server.user(&token, "idle@example.com").await;
    ask(&server, &anna_token, "chunks=5", true).await.bytes().await.unwrap();
    ask(&server, &token, "chunks=2", false).await.bytes().await.unwrap();
    settled(&server, &token, 2).await;
    assert_eq!(server.delete(&format!("/api/v1/users/{anna}"), &token).await.0, 200);

    let users = server.get("/api/v1/usage/users", &token).await.1["users"].clone();
    let rows: Vec<(&str, bool, u64)> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (row["name"].as_str().unwrap(), row["removed"].as_bool().unwrap(), row["cost_micro_usd"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        rows,
        [("anna@example.com", true, cost(5)), ("admin@example.com", false, cost(2)), ("idle@example.com", false, 0)]
    );
    let models = server.get("/api/v1/usage/models", &token).await.1["models"].clone();
    assert_eq!((models.as_array().unwrap().len(), &models[0]["model"]), (1, &json!("openai/gpt-5")));
    let days = server.get("/api/v1/usage/days", &token).await.1["days"].clone();
    let used: Vec<&Value> = days.as_array().unwrap().iter().filter(|day| day["requests"] != 0).collect();
    assert_eq!((used.len(), &used[0]["cost_micro_usd"]), (1, &json!(cost(5) + cost(2))));
    let me = server.get("/api/v1/usage/me", &token).await.1;
    assert_eq!(me["summary"]["cost_micro_usd"], cost(2));
    let past = server.get("/api/v1/usage/summary?month=2001-02", &token).await.1;
    assert_eq!((&past["requests"], &past["today"], &past["month"]), (&json!(0), &Value::Null, &json!("2001-02")));
    assert_eq!(server.get("/api/v1/usage/summary?month=soon", &token).await.0, 400);
}

/// Starts a server on an upstream whose answers hold this usage, and whose records are these, one
/// after the other; the last one stays.
async fn with_reports(usage: &'static [&'static str], records: &'static [&'static str]) -> (Server, String) {
    let asked = AtomicUsize::new(0);
    let upstream = Canned::scripted(move |request, _| {
        if request.head.starts_with("POST ") {
            let begin =
                "data: {\"id\":\"gen-7\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n";
            let reports =
                usage.iter().map(|usage| format!("data: {{\"id\":\"gen-7\",\"choices\":[],\"usage\":{usage}}}\n\n"));
            let stream: String = std::iter::once(begin.to_owned()).chain(reports).collect();
            return Some(Reply::stream(&[&stream, "data: [DONE]\n\n"]));
        }
        let number =
            request.target().contains("/generation?id=gen-7").then(|| asked.fetch_add(1, Ordering::Relaxed))?;
        records
            .get(number.min(records.len().checked_sub(1)?))
            .map(|record| Reply::json(format!(r#"{{"data":{record}}}"#)))
    })
    .await;
    let server = Server::start(&[("OPENAI_API_BASE_URL", &upstream.base_url), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    let body = json!({ "model": "canned/model", "stream": true, "messages": [] });
    let asked = server.request(Method::POST, "/v1/chat/completions").bearer_auth(&token).json(&body);
    asked.send().await.unwrap().bytes().await.unwrap();
    (server, token)
}

#[tokio::test]
async fn reports_that_say_nothing_cover_no_real_one() {
    const REAL: &str = r#"{"prompt_tokens":100,"completion_tokens":50,"cost":0.001}"#;
    const RECORD: &str =
        r#"{"id":"gen-7","native_tokens_prompt":100,"native_tokens_completion":50,"total_cost":0.001}"#;
    const EARLY: &str = r#"{"id":"gen-7","native_tokens_prompt":null,"total_cost":null}"#;
    const ZERO: &str = r#"{"id":"gen-7","native_tokens_prompt":0,"total_cost":0}"#;
    const FOREIGN: &str = r#"{"id":"gen-8","native_tokens_prompt":9,"native_tokens_completion":9,"total_cost":9.99}"#;
    let cases: [(&[&str], &[&str]); 8] = [
        (&[REAL, "{}"], &[]),
        (&[REAL, r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0}"#], &[]),
        (&[REAL, REAL], &[]),
        (&[r#"{"prompt_tokens":100,"completion_tokens":50}"#, r#"{"cost":0.001}"#], &[]),
        (&[r#"{"prompt_tokens":null,"cost":null}"#], &[RECORD]),
        (&[r#"{"prompt_tokens":0,"cost":0}"#], &[EARLY, ZERO, RECORD]),
        (&[r#"{"prompt_tokens":100,"completion_tokens":50}"#], &[RECORD]),
        (&["{}"], &[FOREIGN, RECORD]),
    ];
    for (usage, records) in cases {
        let (server, token) = with_reports(usage, records).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let summary = summary(&server, &token).await;
            if (&summary["cost_micro_usd"], &summary["total_tokens"]) == (&json!(1000), &json!(150)) {
                break;
            }
            assert!(Instant::now() < deadline, "{usage:?} {records:?}: {summary}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn record_of_another_generation_is_not_booked() {
    const FOREIGN: &str = r#"{"id":"gen-8","native_tokens_prompt":9,"native_tokens_completion":9,"total_cost":9.99}"#;
    let (server, token) = with_reports(&[], &[FOREIGN]).await;
    let deadline = Instant::now() + PATIENCE;
    let tries = || async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(server.data_dir_of_test().join("mai.db"))
            .read_only(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query_scalar::<_, i64>("SELECT max(lookup_tries) FROM generation").fetch_one(&pool).await.unwrap()
    };
    while tries().await < 2 {
        assert!(Instant::now() < deadline, "it is not looked up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let summary = summary(&server, &token).await;
    assert_eq!((&summary["cost_micro_usd"], &summary["unknown_cost"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn costs_below_a_millionth_add_up() {
    let upstream = Canned::scripted(|request, _| {
        let question = request.head.starts_with("POST ").then(|| request.question())?;
        Some(Reply::json(format!(
            r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{{"total_tokens":2,"cost":{question}}}}}"#
        )))
    })
    .await;
    let server = Server::start(&[("OPENAI_API_BASE_URL", &upstream.base_url), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    let body = json!({ "model": "canned/model", "messages": [{ "role": "user", "content": "0.0000004" }] });
    let asked = futures::stream::iter(0..200).map(|_| {
        let asked = server.request(Method::POST, "/v1/chat/completions").bearer_auth(&token).json(&body);
        async move { asked.send().await.unwrap().bytes().await.unwrap() }
    });
    asked.buffer_unordered(16).collect::<Vec<_>>().await;
    let summary = settled(&server, &token, 200).await;
    assert_eq!((&summary["cost_nano_usd"], &summary["cost_micro_usd"]), (&json!(80_000), &json!(80)));
}

#[tokio::test]
async fn cost_of_own_provider_keys_is_kept_apart() {
    const BYOK: &str =
        r#"{"total_tokens":9,"cost":0.0018,"is_byok":true,"cost_details":{"upstream_inference_cost":0.036}}"#;
    const CREDIT: &str =
        r#"{"total_tokens":9,"cost":0.036,"is_byok":false,"cost_details":{"upstream_inference_cost":0.036}}"#;
    for (report, cost, own, shown) in
        [(&[BYOK], 1_800_000, 36_000_000, "$0.001800 + $0.04"), (&[CREDIT], 36_000_000, 0, "$0.04")]
    {
        let (server, token) = with_reports(report, &[]).await;
        let summary = settled(&server, &token, 1).await;
        assert_eq!((&summary["cost_nano_usd"], &summary["own_key_cost_nano_usd"]), (&json!(cost), &json!(own)));
        let page = server.request(Method::GET, "/usage").bearer_auth(&token).header("accept-language", "en");
        let html = page.send().await.unwrap().text().await.unwrap();
        let figure = format!("data-figure=\"cost\">{shown}<");
        assert!(html.contains(&figure), "{html}");
    }
}

#[tokio::test]
async fn answer_is_counted_once_its_reader_has_it() {
    let Setup { mock: _mock, server, token, _directory } = setup().await;
    for requests in 1..=20 {
        ask(&server, &token, "chunks=1", requests % 2 == 0).await.bytes().await.unwrap();
        let (_, me) = server.get("/api/v1/usage/me", &token).await;
        assert_eq!((&me["summary"]["requests"], &me["summary"]["running"]), (&json!(requests), &json!(0)));
    }
}

#[tokio::test]
async fn numbers_that_no_answer_has_are_unknown() {
    const ABSURD: &str =
        r#"{"prompt_tokens":9223372036854775807,"completion_tokens":-1,"total_tokens":1e300,"cost":9e12}"#;
    const RECORD: &str = r#"{"id":"gen-7","native_tokens_prompt":9223372036854775807,"total_cost":-5}"#;
    let (server, token) = with_reports(&[ABSURD, r#"{"prompt_tokens":3}"#, ABSURD], &[RECORD]).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let summary = summary(&server, &token).await;
        if summary["running"] == 0 && summary["requests"] == 1 {
            let numbers = ["prompt_tokens", "completion_tokens", "cost_nano_usd", "unknown_cost"];
            assert_eq!(numbers.map(|number| summary[number].as_i64().unwrap()), [3, 0, 0, 1], "{summary}");
            break;
        }
        assert!(Instant::now() < deadline, "{summary}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn name_that_no_model_has_is_not_asked_or_stored() {
    let long = "m".repeat(10_000);
    let chunk = json!({
        "id": long, "model": long, "provider": long,
        "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.001}
    });
    let upstream = Canned::scripted(move |request, _| {
        request.head.starts_with("POST ").then(|| Reply::stream(&[&format!("data: {chunk}\n\n"), "data: [DONE]\n\n"]))
    })
    .await;
    let server = Server::start(&[("OPENAI_API_BASE_URL", &upstream.base_url), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    let ask = |model: &str| {
        let body = json!({ "model": model, "stream": true, "messages": [] });
        server.request(Method::POST, "/v1/chat/completions").bearer_auth(&token).json(&body).send()
    };
    assert_eq!(ask(&"m".repeat(10_000)).await.unwrap().status(), 400);
    assert!(ask("canned/model").await.unwrap().bytes().await.unwrap().len() > 30_000, "the answer passes unchanged");
    let summary = settled(&server, &token, 1).await;
    assert_eq!(summary["cost_nano_usd"], 1_000_000, "{summary}");
    let file = format!("sqlite:{}", server.data_dir().join("mai.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    let row: (Option<String>, Option<String>, String) =
        sqlx::query_as("SELECT generation_id, provider, model FROM generation").fetch_one(&mut database).await.unwrap();
    assert_eq!(row, (None, None, "canned/model".to_owned()));
}

#[tokio::test]
async fn sums_over_absurd_rows_do_not_overflow() {
    let server = Server::start(&[]).await;
    let token = server.admin().await;
    let file = format!("sqlite:{}", server.data_dir().join("mai.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    for number in 0..3 {
        sqlx::query(
            "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, prompt_tokens, completion_tokens,
                 total_tokens, cost_nano_usd, own_key_cost_nano_usd, price_nano_usd)
             VALUES (?, 'u', 'm', unixepoch() * 1000, 'completed', 0, 'api', ?2, ?2, ?2, ?2, ?2, ?2)",
        )
        .bind(number.to_string())
        .bind(i64::MAX)
        .execute(&mut database)
        .await
        .unwrap();
    }
    for path in ["summary", "days", "users", "models"] {
        let (status, answer) = server.get(&format!("/api/v1/usage/{path}"), &token).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    let most = 1_000_000_000_000_000_i64;
    assert_eq!(summary(&server, &token).await["cost_nano_usd"], 3 * most, "each price is cut at a million dollars");
}
