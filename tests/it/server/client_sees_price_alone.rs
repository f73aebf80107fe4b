//! The client sees what it is billed, in pages, API and files alike, to the last billionth; never what
//! the upstream charges.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::fixtures::page_chat;
use crate::fixtures::serve::{Server, change_data};
use crate::fixtures::upstream::{Canned, KEY, Reply};

/// An upstream whose every answer costs this many dollars.
async fn upstream(cost: &'static str) -> Canned {
    let asked = AtomicUsize::new(0);
    Canned::scripted(move |request, _| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let usage = format!(r#""usage":{{"prompt_tokens":1200,"completion_tokens":34,"cost":{cost}}}"#);
        let id = format!(r#""id":"gen-{number}","model":"a/b-2026""#);
        request.head.starts_with("POST ").then(|| {
            if String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
                Reply::stream(&[
                    &format!("data: {{{id},\"choices\":[{{\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}\n\n"),
                    &format!("data: {{{id},\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n"),
                ])
            } else {
                Reply::json(format!(
                    r#"{{{id},"choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],{usage}}}"#
                ))
            }
        })
    })
    .await
}

async fn start(upstream: &Canned) -> (Server, String) {
    let settings = [
        ("OPENAI_API_BASE_URL", upstream.base_url.as_str()),
        ("OPENAI_API_KEY", KEY),
        ("MAI_MARKUP", "1.3"),
        ("MAI_CREDIT_FEE", "0.055"),
    ];
    let server = Server::start(&settings).await;
    let token = server.admin().await;
    (server, token)
}

async fn ask(server: &Server, token: &str) {
    let body = json!({ "model": "canned/model", "messages": [{ "role": "user", "content": "hi" }] });
    let (status, answer) = server.post("/v1/chat/completions", token, body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn text(server: &Server, token: &str, path: &str) -> String {
    let response = server.request(Method::GET, path).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.text().await.unwrap()
}

/// Returns the amounts in a column of a file, in billionths.
fn amounts(file: &str, column: &str) -> Vec<i64> {
    let mut lines = file.strip_prefix('\u{feff}').unwrap().split_terminator("\r\n");
    let index = lines.next().unwrap().split(',').position(|name| name == column).unwrap();
    lines.map(|line| line.split(',').nth(index).unwrap().replace('.', "").parse().unwrap()).collect()
}

#[tokio::test]
async fn price_alone_is_in_pages_api_and_files() {
    let upstream = upstream("0.001234567").await;
    let (server, token) = start(&upstream).await;
    ask(&server, &token).await;
    let chat = page_chat::ask(&server, &token, None, "hello").await;
    let answer = page_chat::answer(&server, &token, &chat).await;
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234, "cost_nano_usd": 1_693_209 })
    );
    // Of one answer and of both: in billionths, as dollars in a file, and as people read it.
    let prices = ["1693209", "3386418", "0.001693209", "0.003386418", "$0.001693", "$0.003386"];
    let secrets = ["1234567", "2469134", "0.001235", "0.002469", "1300000", "55000", "markup", "credit_fee"];
    for path in [
        "/usage",
        "/usage/me",
        "/usage/calls",
        &format!("/chat/{chat}"),
        "/api/v1/usage/summary",
        "/api/v1/usage/days",
        "/api/v1/usage/users",
        "/api/v1/usage/models",
        "/api/v1/usage/calls",
        "/api/v1/usage/me",
        "/api/v1/usage/rows.csv",
        "/api/v1/usage/sums.csv",
        "/api/v1/usage/me/rows.csv",
        &format!("/api/v1/chats/{chat}"),
    ] {
        let shown = text(&server, &token, path).await;
        assert!(prices.iter().any(|price| shown.contains(price)), "{path} has no price: {shown}");
        let found = secrets.iter().find(|secret| shown.contains(**secret));
        assert_eq!(found, None, "{path}: {shown}");
    }
    let page = page_chat::page(&server, &token, &chat, "pl").await;
    assert!(page.contains("1\u{202f}234 tokeny · 0,001693\u{a0}$"), "{page}");
}

#[tokio::test]
async fn answer_of_unknown_price_says_so_and_free_one_nothing() {
    for (cost, line) in [("null", "1,234 tokens · price unknown yet"), ("0", "1,234 tokens</span>")] {
        let upstream = upstream(cost).await;
        let (server, token) = start(&upstream).await;
        let chat = page_chat::ask(&server, &token, None, "hello").await;
        let answer = page_chat::answer(&server, &token, &chat).await;
        assert_eq!(answer["usage"]["cost_nano_usd"], cost.parse::<i64>().ok().map_or(json!(null), |cost| json!(cost)));
        let page = page_chat::page(&server, &token, &chat, "en").await;
        assert!(page.contains(line), "{cost}: {page}");
    }
}

#[tokio::test]
async fn files_and_api_agree_to_the_last_billionth() {
    let upstream = upstream("0.000000777").await;
    let (server, token) = start(&upstream).await;
    let (_, user) = server.user(&token, "=cmd@example.com").await;
    for number in 0..57 {
        ask(&server, if number % 3 == 0 { &user } else { &token }).await;
    }
    // A correction, a removed account's rows, and more than one part.
    change_data(
        &server.data_dir(),
        "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, corrects, price_nano_usd,
             cost_nano_usd, settled_at)
         SELECT '00000000-0000-7000-8000-' || printf('%012d', n.value), user_id, model, started_at, 'completed', 0, 'api', g.id,
             -5 * n.value, -5 * n.value, 1
         FROM (SELECT * FROM generation LIMIT 1) AS g, json_each(?) AS n",
        &json!((0..1_100).collect::<Vec<_>>()).to_string(),
    )
    .await;

    let (_, summary) = server.get("/api/v1/usage/summary", &token).await;
    let total = summary["cost_nano_usd"].as_i64().unwrap();
    assert_eq!(total, 57 * 1_066 - 5 * 1_099 * 1_100 / 2);
    let rows = text(&server, &token, "/api/v1/usage/rows.csv").await;
    let sums = text(&server, &token, "/api/v1/usage/sums.csv").await;
    assert_eq!(amounts(&rows, "price_usd").len(), 57 + 1_100);
    for (file, name) in [(&rows, "rows"), (&sums, "sums")] {
        assert_eq!(amounts(file, "price_usd").iter().sum::<i64>(), total, "{name}: {file}");
        assert!(file.contains(",'=cmd@example.com,") || file.contains("\n'=cmd@example.com,"), "{file}");
        assert!(!file.contains(",=cmd"), "{name} has a formula");
    }
    let own = text(&server, &user, "/api/v1/usage/me/rows.csv").await;
    let (_, me) = server.get("/api/v1/usage/me", &user).await;
    assert_eq!(amounts(&own, "price_usd").iter().sum::<i64>(), me["summary"]["cost_nano_usd"].as_i64().unwrap());
    assert!(own.matches("=cmd").count() >= 19 && !own.contains("admin@"), "somebody else's rows: {own}");

    let (_, first) = server.get("/api/v1/usage/calls", &token).await;
    let before = first["next_before"].as_str().unwrap();
    let (_, second) = server.get(&format!("/api/v1/usage/calls?before={before}"), &token).await;
    let ids = |page: &serde_json::Value| {
        page["calls"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&first).len(), ids(&second).len()), (50, 50));
    assert!(ids(&first).last() > ids(&second).first(), "newest first, each once");
    assert_eq!((&first["calls"][0]["model"], &first["calls"][0]["total_tokens"]), (&json!("a/b-2026"), &json!(1234)));
    assert_eq!(server.get("/api/v1/usage/rows.csv?month=2020-01", &token).await.0, 200);
}
