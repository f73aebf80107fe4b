//! Answers are read in every dialect of upstreams, and one that is not complete says why.

use reqwest::Method;
use serde_json::json;

use crate::fixtures::page_chat::{answer, ask, server};
use crate::fixtures::serve::Server;
use crate::fixtures::upstream::{Canned, Reply, Request};

const HELLO: &str = "data: {\"id\":\"gen-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const STOP: &str = "data: {\"id\":\"gen-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A question, its answer, and what a person is told: status, text, code and words of the reason.
type Dialect = (&'static str, fn() -> Reply, [&'static str; 4]);

fn dialects() -> Vec<Dialect> {
    vec![
        ("complete", || Reply::stream(&[HELLO, STOP, DONE]), ["done", "Hello", "", ""]),
        ("mark alone", || Reply::stream(&[HELLO, DONE]), ["done", "Hello", "", ""]),
        ("reason alone", || Reply::stream(&[HELLO, STOP]), ["done", "Hello", "", ""]),
        ("open", || Reply::open_stream(&[HELLO, DONE, ": still here\n\n"]), ["done", "Hello", "", ""]),
        ("open without a mark", || Reply::open_stream(&[HELLO, STOP, ": still here\n\n"]), ["done", "Hello", "", ""]),
        (
            "whole",
            || Reply::json(r#"{"id":"g","choices":[{"message":{"content":[{"type":"text","text":"Hello"}]}}]}"#),
            ["done", "Hello", "", ""],
        ),
        (
            "half an emoji",
            || {
                let half = |half| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{half}\"}}}}]}}\n\n");
                Reply::stream(&[&half("Cześć \\ud83e"), &half("\\udd80!"), DONE])
            },
            ["done", "Cześć 🦀!", "", ""],
        ),
        ("no end", || Reply::stream(&[HELLO]), ["failed", "Hello", "cut_off", "cut short"]),
        ("cut", || Reply::open_stream(&[HELLO]).cut(), ["failed", "Hello", "connection_lost", "was lost"]),
        ("nothing", || Reply::stream(&[STOP, DONE]), ["failed", "", "empty", "empty answer"]),
        (
            "length",
            || Reply::stream(&[HELLO, &STOP.replace("stop", "length"), DONE]),
            ["failed", "Hello", "length", "length limit"],
        ),
        (
            "filter",
            || Reply::stream(&[HELLO, &STOP.replace("stop", "content_filter"), DONE]),
            ["failed", "Hello", "content_filter", "filter"],
        ),
        (
            "reasoning",
            || Reply::stream(&["data: {\"choices\":[{\"delta\":{\"reasoning\":\"Hm.\"}}]}\n\n", STOP, DONE]),
            ["failed", "", "only_reasoning", "wrote no answer"],
        ),
        (
            "error in mid-stream",
            || {
                let error = "data: {\"choices\":null,\"error\":{\"code\":502,\"message\":\"Provider returned error\",\
                             \"metadata\":{\"provider_name\":\"Acme\",\"raw\":\"worker is full\"}}}\n\n";
                Reply::stream(&[HELLO, error, DONE])
            },
            ["failed", "Hello", "stopped_by_provider", "Provider returned error (Acme: worker is full)"],
        ),
        (
            "error in a success",
            || Reply::json(r#"{"error":{"code":404,"message":"No endpoints found"},"user_id":"u"}"#),
            ["failed", "", "model_unavailable", "No endpoints found (404). Please choose another model."],
        ),
        (
            "error event",
            || Reply::stream(&["event: error\ndata: {\"message\":\"Overloaded\",\"code\":529}\n\n"]),
            ["failed", "", "busy", "Overloaded (529)"],
        ),
        (
            "key limit",
            || {
                let metadata = r#"{"limit_source":"openrouter_key_limit"}"#;
                let error = format!(r#"{{"error":{{"code":402,"message":"Spent","metadata":{metadata}}}}}"#);
                Reply::whole(402, "application/json", error)
            },
            ["failed", "", "key_limit", "Spent (402). The spending limit of the key is reached"],
        ),
        (
            "page",
            || Reply::whole(200, "text/html", "<!doctype html><title>Sign in</title>"),
            ["failed", "", "not_an_answer", "/v1: HTML, “Sign in”"],
        ),
        (
            "redirect",
            || {
                let head = "HTTP/1.1 307 X\r\nlocation: https://elsewhere.example/v1\r\ncontent-length: 0\r\n\r\n";
                Reply::raw(vec![head.into()])
            },
            ["failed", "", "redirected", "/v1 → https://elsewhere.example/v1"],
        ),
    ]
}

#[tokio::test]
async fn answer_is_done_only_when_complete() {
    let script = |request: &Request, _| {
        let question = request.head.starts_with("POST ").then(|| request.question())?;
        dialects().into_iter().find(|(name, ..)| *name == question).map(|(_, reply, _)| reply())
    };
    let (server, token) = server(&Canned::scripted(script).await).await;
    for (name, _, [status, text, code, words]) in dialects() {
        let chat = ask(&server, &token, None, name).await;
        let answer = answer(&server, &token, &chat).await;
        let found = (&answer["status"], &answer["content"], answer["error_code"].as_str().unwrap_or_default());
        assert_eq!(found, (&json!(status), &json!(text), code), "{name}: {answer}");
        assert!(answer["error"].as_str().unwrap_or_default().contains(words), "{name}: {answer}");
        let page = server.request(Method::GET, &format!("/chat/{chat}")).bearer_auth(&token);
        let html = page.send().await.unwrap().text().await.unwrap();
        // Templates hold notices that are shown later.
        let shown = html.split("<template").next().unwrap_or_default();
        assert_eq!(shown.contains("class=\"notice"), status == "failed", "{name}: {html}");
    }
}

#[tokio::test]
async fn chat_goes_on_after_a_failed_answer() {
    let upstream = Canned::scripted(|request, _| {
        let messages = request.head.starts_with("POST ").then(|| request.messages())?;
        let alternate = messages.windows(2).all(|pair| pair[0].0 != pair[1].0);
        Some(match messages.len() {
            _ if !alternate => Reply::whole(400, "application/json", r#"{"error":{"message":"roles must alternate"}}"#),
            1 if messages[0].1 == "first" => Reply::whole(503, "application/json", r#"{"error":{"message":"busy"}}"#),
            _ => Reply::stream(&[HELLO, STOP, DONE]),
        })
    })
    .await;
    let (server, token) = server(&upstream).await;
    let chat = ask(&server, &token, None, "first").await;
    assert_eq!(answer(&server, &token, &chat).await["error_code"], "busy");
    for question in ["second", "third"] {
        ask(&server, &token, Some(&chat), question).await;
        assert_eq!(answer(&server, &token, &chat).await["status"], "done", "{question}");
    }
    let sent = upstream.requests.lock().unwrap().last().unwrap().messages();
    let contents: Vec<&str> = sent.iter().map(|(_, content)| content.as_str()).collect();
    assert_eq!(contents, ["first", "[no answer]", "second", "Hello", "third"]);
}

#[tokio::test]
async fn idle_connection_that_closes_is_retried_once() {
    let upstream = Canned::scripted(|request, number| {
        request.head.starts_with("POST ").then(|| match number {
            1 => Reply::stream(&[HELLO, STOP, DONE]),
            _ if request.question() == "begun" => Reply::raw(vec![b"HTTP/1.1 2".to_vec()]).cut(),
            _ if request.question().ends_with(['1', '4']) => Reply::raw(Vec::new()).reset(),
            _ => Reply::raw(Vec::new()).cut(),
        })
    })
    .await;
    let (server, token) = server(&upstream).await;
    for number in 0..6 {
        let chat = ask(&server, &token, None, &format!("question {number}")).await;
        assert_eq!(answer(&server, &token, &chat).await["status"], "done", "question {number}");
    }
    // A byte of an answer means that the question is being worked on.
    let before = upstream.requests.lock().unwrap().len();
    let chat = ask(&server, &token, None, "begun").await;
    assert_eq!(answer(&server, &token, &chat).await["error_code"], "connection_lost");
    assert_eq!(upstream.requests.lock().unwrap().len(), before + 1);
}

#[tokio::test]
async fn upstream_is_asked_not_to_compress() {
    let upstream = Canned::scripted(|_, _| None).await;
    let (server, token) = server(&upstream).await;
    let chat = ask(&server, &token, None, "hello").await;
    answer(&server, &token, &chat).await;
    let head = upstream.requests.lock().unwrap()[0].head.to_ascii_lowercase();
    assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
}

#[tokio::test]
async fn model_lists_are_read_in_every_known_shape() {
    for (list, offered) in [
        (r#"[{"id":"canned/model"}]"#, 1),
        (r#"{"models":[{"name":"canned/model"}]}"#, 1),
        (r#"{"data":[null,5,{"name":"no id"},{"id":"canned/model","name":null}]}"#, 1),
        (r#"{"object":"list","data":null}"#, 0),
    ] {
        let upstream = Canned::scripted(move |request, _| {
            let reply = || Reply::stream(&[HELLO, STOP, DONE]);
            if request.head.starts_with("POST ") { Some(reply()) } else { Some(Reply::json(list)) }
        })
        .await;
        let (first, token) = server(&upstream).await;
        let models = first.get("/v1/models", &token).await.1["data"].as_array().unwrap().len();
        assert_eq!(models, offered, "{list}");
        let body = json!({ "base_url": upstream.base_url, "key": "sk-or-v1-test" });
        assert_eq!(first.post("/api/v1/connection", &token, body).await.0, 200, "{list}");
        // What is allowed can be asked even where nothing is listed.
        let allowed =
            Server::start(&[("OPENAI_API_BASE_URL", &upstream.base_url), ("MAI_MODELS", "canned/model")]).await;
        let token = allowed.admin().await;
        let chat = ask(&allowed, &token, None, "hello").await;
        assert_eq!(answer(&allowed, &token, &chat).await["status"], "done", "{list}");
    }
}

#[tokio::test]
async fn base_url_is_completed_when_it_is_saved() {
    let upstream = Canned::scripted(|request, _| {
        let models = || Reply::json(r#"{"data":[{"id":"canned/model"}]}"#);
        match request.target() {
            "/api/v1/models" => Some(models()),
            "/web/models" => Some(Reply::whole(200, "text/html", "<html>")),
            "/moved/models" => {
                let head = "HTTP/1.1 301 X\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n";
                Some(Reply::raw(vec![head.into()]))
            }
            _ => Some(Reply::whole(404, "application/json", "{}")),
        }
    })
    .await;
    let (server, token) = server(&upstream).await;
    let host = upstream.base_url.trim_end_matches("/v1");
    let save = async |path: &str| {
        let body = json!({ "base_url": format!("{host}{path}"), "key": "sk-or-v1-test" });
        server.post("/api/v1/connection", &token, body).await
    };
    for path in ["", "/", "/api", "/api/v1", "/api/v1//", "/api/v1/chat/completions", "/api/v1/models"] {
        let (status, saved) = save(path).await;
        assert_eq!((status.as_u16(), &saved["base_url"]), (200, &json!(format!("{host}/api/v1"))), "{path}: {saved}");
    }
    for (path, words) in [
        ("/elsewhere", "is the base URL right?"),
        ("/web", "is this an OpenAI-compatible address?"),
        ("/moved", "redirects to https://elsewhere.example/"),
    ] {
        let (status, refused) = save(path).await;
        assert_eq!(status, 502, "{path}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(words), "{path}: {refused}");
    }
}
