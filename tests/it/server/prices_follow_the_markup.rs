//! The client is billed the cost with markup and fee, and sees that alone; rows keep what it was made of.

use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection};

use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server, command, wait_failure};
use crate::fixtures::upstream::{Canned, KEY, Reply};

const ANSWER: &str = r#"{"id":"gen-1","model":"a/b-2026","provider":"P","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":100,"completion_tokens":50,"cost":0.001,"cost_details":{"server_tool_cost":0.0002},
    "prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":20},"server_tool_use_details":{"web_search_requests":2}}}"#;

async fn upstream() -> Canned {
    Canned::scripted(|request, _| request.head.starts_with("POST ").then(|| Reply::json(ANSWER))).await
}

async fn ask(server: &Server, token: &str) {
    let body = json!({ "model": "canned/model", "messages": [{ "role": "user", "content": "hi" }] });
    let (status, answer) = server.post("/v1/chat/completions", token, body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn database(server: &Server) -> SqliteConnection {
    let file = format!("sqlite:{}", server.data_dir().join("mai.db").display());
    SqliteConnection::connect(&file).await.unwrap()
}

/// Returns the cost in an answer, or in the first of the rows it holds.
async fn cost(server: &Server, token: &str, report: &str) -> Value {
    let (status, answer) = server.get(&format!("/api/v1/usage/{report}"), token).await;
    assert_eq!(status, 200, "{answer}");
    answer.get(report).map_or(&answer, |rows| &rows[0])["cost_nano_usd"].clone()
}

#[tokio::test]
async fn price_holds_markup_and_fee() {
    let upstream = upstream().await;
    let server = Server::start(&[
        ("OPENAI_API_BASE_URL", &upstream.base_url),
        ("OPENAI_API_KEY", KEY),
        ("MAI_MARKUP", "1.3"),
        ("MAI_CREDIT_FEE", "0.055"),
    ])
    .await;
    let token = server.admin().await;
    ask(&server, &token).await;
    for path in ["summary", "users", "models"] {
        assert_eq!(cost(&server, &token, path).await, 1_371_500, "{path}");
    }
    let row = sqlx::query("SELECT * FROM generation").fetch_one(&mut database(&server).await).await.unwrap();
    let numbers = [
        ("cost_nano_usd", 1_000_000),
        ("price_nano_usd", 1_371_500),
        ("markup_ppm", 1_300_000),
        ("credit_fee_ppm", 55_000),
        ("tool_cost_nano_usd", 200_000),
        ("cache_write_tokens", 20),
        ("cached_tokens", 40),
        ("web_searches", 2),
        ("billed", 1),
    ];
    for (column, number) in numbers {
        assert_eq!(row.get::<i64, _>(column), number, "{column}");
    }
    assert_eq!(row.get::<String, _>("answered_model"), "a/b-2026");
    assert_eq!(row.get::<String, _>("purpose"), "answer");
    assert_eq!(row.get::<Option<i64>, _>("settled_at"), row.get("finished_at"));
}

#[tokio::test]
async fn own_connection_of_the_client_is_not_billed() {
    let upstream = upstream().await;
    let server = Server::start(&[LOCAL_UPSTREAMS, ("MAI_MARKUP", "2")]).await;
    let token = server.admin().await;
    let connection = json!({ "base_url": upstream.base_url, "key": KEY });
    assert_eq!(server.post("/api/v1/connection", &token, connection).await.0, 200);
    ask(&server, &token).await;
    assert_eq!(cost(&server, &token, "summary").await, 1_000_000, "the client pays the upstream itself");
    let row = sqlx::query("SELECT * FROM generation").fetch_one(&mut database(&server).await).await.unwrap();
    assert_eq!((row.get::<i64, _>("billed"), row.get::<i64, _>("markup_ppm")), (0, 1_000_000));
}

#[tokio::test]
async fn factors_that_are_none_stop_the_start() {
    for (variable, value) in [("MAI_MARKUP", "1,3"), ("MAI_CREDIT_FEE", "-0.1"), ("MAI_MARKUP", "1e3")] {
        let directory = tempfile::tempdir().unwrap();
        let child = command(directory.path(), &[(variable, value)]).spawn().unwrap();
        let (_, problem) = wait_failure(child).await;
        assert!(problem.contains(variable) && problem.contains("decimal from 0 to 100"), "{problem}");
    }
}
