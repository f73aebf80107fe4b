//! The reconciler alone gets the counts of an instance: numbers, and nothing of names or content.

use mai_operator::contract::{Counts, InternalToken, http::COUNTS_PATH};
use mai_operator::openrouter::mock::{MockOptions, serve};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fixtures::page_chat::{answer, ask};
use crate::fixtures::serve::Server;
use crate::fixtures::upstream::{Canned, Reply};

const SECRET: (&str, &str) = ("WEBUI_SECRET_KEY", "the secret");

fn token_of(session_key: &str) -> String {
    let token = InternalToken::from_session_key(&SecretString::from(session_key)).unwrap();
    token.text().expose_secret().to_owned()
}

async fn counts(server: &Server) -> Value {
    let (status, counts) = server.get(COUNTS_PATH, &token_of(SECRET.1)).await;
    assert_eq!(status, 200, "{counts}");
    serde_json::from_value::<Counts>(counts.clone()).unwrap();
    counts
}

#[tokio::test]
async fn counts_are_numbers_and_no_names() {
    let upstream = Canned::scripted(|request, _| {
        let answer = r#"{"id":"gen-1","choices":[{"index":0,"message":{"role":"assistant","content":"the answer"},
            "finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.25}}"#;
        request.head.starts_with("POST ").then(|| Reply::json(answer))
    })
    .await;
    let settings = [
        SECRET,
        ("MAI_MAX_USERS", "7"),
        ("MAI_MARKUP", "2"),
        ("OPENAI_API_BASE_URL", &upstream.base_url),
        ("OPENAI_API_KEY", "sk-or-v1-test"),
    ];
    let server = Server::start(&settings).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    server.user(&admin, "idle@example.com").await;
    let question = json!({ "model": "canned/model", "messages": [{ "role": "user", "content": "the question" }] });
    assert_eq!(server.post("/api/chat/completions", &admin, question).await.0, 200);
    let chat = ask(&server, &user, None, "the question").await;
    answer(&server, &user, &chat).await;

    let first = counts(&server).await;
    let (_, summary) = server.get("/api/v1/usage/summary", &admin).await;
    assert_eq!(
        (&first["version"], &first["accounts"], &first["max_accounts"], &first["chats"]),
        (&json!(1), &json!(3), &json!(7), &json!(1))
    );
    assert_eq!((&first["active_today"], &first["active_30_days"]), (&json!(2), &json!(2)));
    for (counted, reported) in [
        ("month", "month"),
        ("requests", "requests"),
        ("price_nano_usd", "cost_nano_usd"),
        ("unknown_costs", "unknown_cost"),
    ] {
        assert_eq!(first["month"][counted], summary[reported], "{counted} of {first} and {summary}");
    }
    let amount = |name: &str| first["month"][name].as_i64().unwrap();
    assert!(amount("cost_nano_usd") >= 500_000_000, "{first}");
    assert_eq!(amount("price_nano_usd"), 2 * amount("cost_nano_usd"), "the client sees the price alone");
    // It has no record of keys.
    assert_eq!((&first["key"]["state"], &first["key"]["limit_nano_usd"]), (&json!("unknown"), &Value::Null));
    let text = first.to_string();
    for content in ["example.com", "the question", "the answer", "canned", &id, &chat] {
        assert!(!text.contains(content), "{content} in {text}");
    }

    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &admin).await.0, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let without = counts(&server).await;
    assert_eq!(
        (&without["accounts"], &without["active_30_days"], &without["chats"], &without["month"]["cost_nano_usd"]),
        (&json!(2), &json!(2), &json!(0), &first["month"]["cost_nano_usd"]),
        "who was removed has been active all the same"
    );
}

#[tokio::test]
async fn counts_are_refused_without_the_token() {
    let server = Server::start(&[SECRET, ("MAI_MOCK_UPSTREAM", "true"), ("RUST_LOG", "debug")]).await;
    let admin = server.admin().await;
    let key = server.key(&admin, json!(["chat", "usage", "admin"])).await;
    let own = token_of(SECRET.1);
    let refused = [
        ("another instance's", token_of("another secret")),
        ("a session", admin),
        ("an API key of all scopes", key),
        ("the secret itself", SECRET.1.to_owned()),
        ("a part", own[..63].to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in &refused {
        let (status, answer) = server.get(COUNTS_PATH, token).await;
        assert_eq!(status, 401, "{what}");
        assert!(!answer.to_string().contains("accounts"), "{what}: {answer}");
    }
    let cookie = server.request(reqwest::Method::GET, COUNTS_PATH).header("cookie", format!("token={own}"));
    assert_eq!(cookie.send().await.unwrap().status(), 401, "a browser sends it by itself");
    assert_eq!(counts(&server).await["key"]["state"], "ok");
    for (what, token) in refused.iter().filter(|(_, token)| !token.is_empty()) {
        assert!(!server.log().contains(token), "{what} is in the log");
    }
    assert!(!server.log().contains(&own));
}

#[tokio::test]
async fn counts_tell_what_the_upstream_says_of_its_key() {
    let record = |record: &'static str| async move {
        let upstream = Canned::scripted(move |request, _| {
            (request.target() == "/v1/key").then(|| match record {
                "" => Reply::whole(503, "application/json", "{}"),
                record => Reply::json(record),
            })
        })
        .await;
        let settings = [SECRET, ("OPENAI_API_BASE_URL", &upstream.base_url), ("OPENAI_API_KEY", "sk-or-v1-test")];
        counts(&Server::start(&settings).await).await["key"].clone()
    };
    let limited =
        r#"{"data":{"limit":20,"limit_remaining":8.1,"limit_reset":"monthly","expires_at":"2027-01-31T00:00:00Z"}}"#;
    let key = record(limited).await;
    assert_eq!(
        (&key["state"], &key["limit_nano_usd"], &key["limit_left_nano_usd"], &key["limit_is_monthly"]),
        (&json!("ok"), &json!(20_000_000_000_i64), &json!(8_100_000_000_i64), &json!(true))
    );
    assert_eq!(key["expires_at"], "2027-01-31T00:00:00Z");
    let silent = record("").await;
    assert_eq!((&silent["state"], &silent["checked_at"]), (&json!("unreachable"), &Value::Null));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, MockOptions { key: Some("sk-or-v1-right".into()), ..MockOptions::default() }));
    let server = Server::start(&[SECRET, ("OPENAI_API_BASE_URL", &url), ("OPENAI_API_KEY", "sk-or-v1-gone")]).await;
    assert_eq!(counts(&server).await["key"]["state"], "refused");
}
