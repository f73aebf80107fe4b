//! An answer costs no more than its length, whatever is in it, and one without an end is ended.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::page_chat::{answer, ask, page, server};
use crate::fixtures::upstream::{Canned, Reply, Request};

const DONE: &str = "data: [DONE]\n\n";

/// Returns the event that adds this text to an answer.
fn piece(text: &str) -> String {
    format!("data: {}\n\n", json!({ "id": "gen-1", "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

#[tokio::test]
async fn answer_too_deep_to_format_is_shown_as_written() {
    let text = format!("{}*deep*\nlazy", ">".repeat(40_000));
    let reply = piece(&text);
    let upstream = Canned::scripted(move |_: &Request, _| Some(Reply::stream(&[&reply, DONE]))).await;
    let (server, token) = server(&upstream).await;
    let chat = ask(&server, &token, None, "Quote it").await;
    assert_eq!(answer(&server, &token, &chat).await["content"], text);
    for (language, note) in
        [("en", "It is shown as it was written."), ("pl", "Jest pokazany tak, jak został napisany.")]
    {
        let page = page(&server, &token, &chat, language).await;
        assert!(page.contains(note), "{language}: {}", &page[..1000]);
        assert!(page.contains("&gt;&gt;&gt;*deep*\nlazy</pre>"), "{language}");
    }
}

/// A reason, the pieces of the answer, and the notice in both languages.
type Limit = (&'static str, Vec<String>, [&'static str; 2]);

#[tokio::test]
async fn answer_over_a_limit_says_why_it_ends_and_is_counted() {
    let usage = "data: {\"id\":\"gen-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"cost\":0.5}}\n\n";
    let part = piece(&"word ".repeat(20_000));
    let limits: [Limit; 2] = [
        ("text_limit", vec![part; 14], ["longer than this server keeps", "dłuższa, niż ten serwer przechowuje"]),
        (
            "left_out",
            vec![piece("Hello"), piece(&"x".repeat(2 << 20)), usage.to_owned(), DONE.to_owned()],
            ["too large to be read", "za duża, aby ją odczytać"],
        ),
    ];
    for (code, pieces, notices) in limits {
        let upstream = Canned::scripted(move |request: &Request, _| {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            match request.target() {
                target if target.contains("/generation") => Some(Reply::json(
                    r#"{"data":{"id":"gen-1","tokens_prompt":3,"tokens_completion":5,"total_cost":0.5}}"#,
                )),
                // It goes on for as long as somebody reads.
                target if target.ends_with("/chat/completions") => Some(Reply::open_stream(&pieces)),
                _ => None,
            }
        })
        .await;
        let (server, token) = server(&upstream).await;
        let chat = ask(&server, &token, None, "Write a lot").await;
        let ended = answer(&server, &token, &chat).await;
        assert_eq!((&ended["status"], &ended["error_code"]), (&json!("failed"), &json!(code)));
        assert!((5..=1 << 20).contains(&ended["content"].as_str().unwrap().len()), "{code}");
        for (language, notice) in ["en", "pl"].into_iter().zip(notices) {
            let page = page(&server, &token, &chat, language).await;
            assert!(page.contains(notice), "{code} {language}");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, summary) = server.get("/api/v1/usage/summary", &token).await;
            if summary["cost_micro_usd"] == 500_000 && summary["completion_tokens"] == 5 {
                break;
            }
            assert!(Instant::now() < deadline, "{code}: {summary}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn model_list_over_a_limit_is_not_used_and_told() {
    let entry = |n: usize| json!({ "id": format!("model-{n}"), "name": "M" }).to_string();
    let many = format!("[{}]", (0..5001).map(entry).collect::<Vec<_>>().join(","));
    let large = format!("[{{\"id\":\"a\",\"description\":\"{}\"}}]", "x".repeat(5 << 20));
    for (list, notices) in
        [(many, ["more than 5000 entries", "ponad 5000 pozycji"]), (large, ["larger than 4 MiB", "przekracza 4 MiB"])]
    {
        let upstream = Canned::scripted(move |request: &Request, _| {
            request.target().ends_with("/models").then(|| Reply::json(&list))
        })
        .await;
        let (server, token) = server(&upstream).await;
        let (_, models) = server.get("/api/models", &token).await;
        assert_eq!(models["data"], json!([]));
        for (language, notice) in ["en", "pl"].into_iter().zip(notices) {
            let request = server.request(reqwest::Method::GET, "/chat").bearer_auth(&token);
            let page = request.header("accept-language", language).send().await.unwrap().text().await.unwrap();
            assert!(page.contains(notice) && page.contains("MAI_MODELS"), "{language}: {notice}");
        }
    }
}
