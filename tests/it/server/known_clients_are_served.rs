//! Requests in the shapes that known clients send: each is answered, and reaches the upstream as it is
//! but for the user.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::serve::Server;
use crate::fixtures::upstream::{Canned, KEY, Reply};

struct Shape {
    client: &'static str,
    path: &'static str,
    /// The header with the key, which is written `KEY` in it.
    credential: (&'static str, &'static str),
    headers: &'static [(&'static str, &'static str)],
    body: Value,
}

fn shapes() -> Vec<Shape> {
    let bearer = ("authorization", "Bearer KEY");
    let tool = json!({ "type": "function", "function": { "name": "add", "description": "", "strict": true,
        "parameters": { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] } } });
    vec![
        Shape {
            client: "openai for JavaScript",
            path: "/v1/chat/completions",
            credential: bearer,
            headers: &[
                ("accept", "application/json"),
                ("user-agent", "OpenAI/JS 6.0.0"),
                ("x-stainless-retry-count", "0"),
                ("x-stainless-lang", "js"),
                ("openai-organization", "org-1"),
            ],
            body: json!({ "model": "canned/model", "messages": [{ "role": "developer", "content": "Be brief." },
                { "role": "user", "content": [{ "type": "text", "text": "hi" }] }], "stream": true,
                "stream_options": { "include_usage": true }, "store": false, "reasoning_effort": "low" }),
        },
        Shape {
            client: "LangChain with tools",
            path: "/v1/chat/completions",
            credential: bearer,
            headers: &[("x-stainless-lang", "python"), ("x-stainless-raw-response", "true")],
            body: json!({ "model": "canned/model", "n": 1, "temperature": 0.7, "stream": false, "parallel_tool_calls": false,
                "tool_choice": { "type": "function", "function": { "name": "add" } }, "tools": [tool],
                "messages": [{ "role": "user", "content": "1+1" }, { "role": "assistant", "content": null,
                "tool_calls": [{ "id": "call_1", "type": "function", "function": { "name": "add", "arguments": "{}" } }] },
                { "role": "tool", "tool_call_id": "call_1", "content": "2" }] }),
        },
        Shape {
            client: "LangChain with a schema",
            path: "/api/v1/chat/completions",
            credential: bearer,
            headers: &[],
            body: json!({ "model": "canned/model", "messages": [{ "role": "user", "content": "x" }],
                "response_format": { "type": "json_schema", "json_schema": { "name": "A", "strict": true,
                "schema": { "type": "object", "properties": {}, "additionalProperties": false } } } }),
        },
        Shape {
            client: "LangChain for embeddings",
            path: "/v1/embeddings",
            credential: bearer,
            headers: &[],
            body: json!({ "model": "text-embedding-3-small", "input": [[3923, 374]], "encoding_format": "base64" }),
        },
        Shape {
            client: "LiteLLM",
            path: "/v1/chat/completions",
            credential: bearer,
            headers: &[("accept-encoding", "gzip, deflate, zstd")],
            body: json!({ "model": "canned/model", "messages": [{ "role": "user", "content": "hi" }],
                "max_tokens": 100, "stream": true, "usage": { "include": true }, "extra_body": {} }),
        },
        Shape {
            client: "Continue in a chat",
            path: "/v1/chat/completions",
            credential: bearer,
            headers: &[("api-key", "another")],
            body: json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url",
                "image_url": { "url": "data:image/png;base64,AAAA", "detail": "low" } }] }], "model": "canned/model",
                "max_tokens": 4096, "stream": true, "stop": ["\n\n"],
                "prediction": { "type": "content", "content": "x" } }),
        },
        Shape {
            client: "Continue completing code",
            path: "/v1/completions",
            credential: ("x-api-key", "KEY"),
            headers: &[("api-key", "another")],
            body: json!({ "model": "canned/model", "max_tokens": 1024, "temperature": 0.01, "stream": true,
                "stop": ["<fim_prefix>"], "prompt": "<fim_prefix>fn main() {<fim_suffix>}<fim_middle>" }),
        },
        Shape {
            client: "LibreChat",
            path: "/v1/chat/completions",
            credential: bearer,
            headers: &[("http-referer", "https://librechat.ai"), ("x-title", "LibreChat")],
            body: json!({ "model": "canned/model", "user": "65f0c0ffee", "stream": true, "include_reasoning": true,
                "reasoning": { "effort": "medium" }, "frequency_penalty": 0, "presence_penalty": 0, "top_p": 1,
                "messages": [{ "role": "system", "content": "a" }, { "role": "user", "content": "b" }] }),
        },
    ]
}

/// Returns the body without the field that tells the upstream who asks.
fn without_user(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("user");
    body
}

#[tokio::test]
async fn request_of_a_known_client_is_answered() {
    let upstream = Canned::scripted(|request, _| {
        let body: Value = request.head.starts_with("POST ").then(|| serde_json::from_slice(&request.body).unwrap())?;
        Some(if body["stream"] == true {
            Reply::stream(&["data: {\"id\":\"gen-1\",\"choices\":[{\"text\":\"x\"}]}\n\n", "data: [DONE]\n\n"])
        } else {
            Reply::json(r#"{"id":"gen-1","data":[],"usage":{"prompt_tokens":1,"cost":0}}"#)
        })
    })
    .await;
    let server = Server::start(&[("OPENAI_API_BASE_URL", &upstream.base_url), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    for Shape { client, path, credential: (name, value), headers, body } in shapes() {
        let mut request = server.request(Method::POST, path).header(name, value.replace("KEY", &token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{client}: {}", response.text().await.unwrap());
        assert!(!response.text().await.unwrap().is_empty(), "{client}");
        let sent = upstream.requests.lock().unwrap().pop().unwrap();
        let received: Value = serde_json::from_slice(&sent.body).unwrap();
        assert!(received["user"].as_str().unwrap().starts_with("mai_user_"), "{client}");
        assert_eq!(without_user(received), without_user(body), "{client}");
        let target = path.trim_start_matches("/api");
        assert_eq!(sent.target(), target, "{client}");
        let head = sent.head.to_ascii_lowercase();
        let is_foreign = |name: &str| head.contains(&format!("\r\n{name}:"));
        assert!(
            !["api-key", "x-api-key", "openai-organization", "x-stainless-lang"].into_iter().any(is_foreign),
            "{head}"
        );
        assert!(head.contains(&format!("authorization: bearer {KEY}")), "{client}: {head}");
    }
}
