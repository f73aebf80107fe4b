//! An API key does what its scopes say while its owner may do it, and changes no credential.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{PASSWORD, Server, change_data, send};

const KEYS: &str = "/api/v1/auths/api_keys";

async fn server() -> (Server, String) {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let admin = server.admin().await;
    (server, admin)
}

/// Returns the seconds since the epoch in so many days.
fn in_days(days: i64) -> i64 {
    jiff::Timestamp::now().as_second() + days * 24 * 60 * 60
}

/// Makes all sessions look as if the password was entered in them long ago.
async fn age_sessions(server: &Server) {
    change_data(&server.data_dir(), "UPDATE session SET confirmed_at = ?", "1").await;
}

#[tokio::test]
async fn key_shows_scopes_expiry_use_and_spending() {
    let (server, admin) = server().await;
    let expires_at = in_days(30);
    let wish = json!({ "name": "report", "scopes": ["usage", "chat", "chat"], "expires_at": expires_at });
    let (status, made) = server.post(KEYS, &admin, wish).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!((&made["scopes"], &made["expires_at"]), (&json!(["chat", "usage"]), &json!(expires_at)));
    let (_, plain) = server.post(KEYS, &admin, json!({ "name": "plain" })).await;
    assert_eq!((&plain["scopes"], &plain["expires_at"]), (&json!(["chat"]), &Value::Null));

    let question = json!({ "model": "openai/gpt-5", "messages": [{ "role": "user", "content": "Hello" }] });
    let key = made["api_key"].as_str().unwrap();
    for token in [key, key, &admin] {
        let (status, answer) = server.post("/v1/chat/completions", token, question.clone()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let deadline = Instant::now() + PATIENCE;
    let total = loop {
        let (_, total) = server.get("/api/v1/usage/summary", key).await;
        if total["requests"] == 3 && total["running"] == 0 {
            break total;
        }
        assert!(Instant::now() < deadline, "{total}");
    };
    let (_, keys) = server.get(KEYS, &admin).await;
    let (unused, used) = (&keys[0]["usage"], &keys[1]["usage"]);
    assert_eq!((&unused["requests"], &unused["cost_nano_usd"]), (&json!(0), &json!(0)));
    assert_eq!((&used["requests"], &used["unknown_cost"]), (&json!(2), &json!(0)), "{keys}");
    for sum in ["total_tokens", "cost_nano_usd"] {
        let (of_key, of_all) = (used[sum].as_i64().unwrap(), total[sum].as_i64().unwrap());
        assert!(0 < of_key && of_key < of_all, "{sum}: {of_key} of {of_all}");
    }
    assert!(keys[1]["last_used_at"].is_i64() && keys[0]["last_used_at"].is_null(), "{keys}");
}

#[tokio::test]
async fn impossible_keys_are_refused_with_the_reason() {
    let (server, admin) = server().await;
    let (_, user) = server.user(&admin, "user@example.com").await;
    for (token, wish, status, words) in [
        (&admin, json!({ "name": "k", "scopes": [] }), 400, "at least one scope"),
        (&admin, json!({ "name": "k", "scopes": ["root"] }), 400, "chat, usage or admin"),
        (&admin, json!({ "name": "k", "scopes": "chat" }), 422, "wrong type"),
        (&admin, json!({ "name": "k", "expires_at": in_days(-1) }), 400, "in the next"),
        (&admin, json!({ "name": "k", "expires_at": in_days(100_000) }), 400, "in the next"),
        (&admin, json!({ "name": "k", "expires_at": i64::MAX }), 400, "in the next"),
        (&admin, json!({ "name": "k", "expires_in": 60 }), 422, "unknown"),
        (&admin, json!({ "name": "a\u{1b}[2Jb" }), 400, "1 to 100 characters"),
        (&user, json!({ "name": "k", "scopes": ["admin"] }), 403, "Only an administrator"),
    ] {
        let (answered, body) = server.post(KEYS, token, wish.clone()).await;
        assert_eq!(answered.as_u16(), status, "{wish}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(words), "{wish}: {body}");
    }
    assert_eq!(server.get(KEYS, &user).await.1, json!([]));
}

#[tokio::test]
async fn key_of_an_admin_changes_no_credentials() {
    let (server, admin) = server().await;
    let (id, _) = server.user(&admin, "user@example.com").await;
    let (other, other_token) = server.user(&admin, "other@example.com").await;
    let key = server.key(&admin, json!(["chat", "usage", "admin"])).await;
    let update = format!("/api/v1/users/{id}/update");
    let account = json!({ "name": "N", "email": "n@example.com", "password": PASSWORD, "role": "admin" });
    let connection = json!({ "base_url": "http://127.0.0.1:9/v1", "key": "k", "current_password": PASSWORD });
    for (path, body) in [
        (update.as_str(), json!({ "password": "another password", "current_password": PASSWORD })),
        (&update, json!({ "email": "mine@example.com" })),
        (&update, json!({ "role": "admin" })),
        (&update, json!({ "name": "Both", "role": "user" })),
        (&update, json!({ "revoke_keys": true })),
        ("/api/v1/auths/add", account),
        ("/api/v1/auths/update/password", json!({ "password": PASSWORD, "new_password": "another password" })),
        ("/api/v1/auths/update/profile", json!({ "name": "N" })),
        (KEYS, json!({ "name": "more" })),
        ("/api/v1/connection", connection),
    ] {
        let (status, answer) = server.post(path, &key, body.clone()).await;
        assert_eq!(status, 403, "{path} {body}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains("signed-in person"), "{path}: {answer}");
    }
    assert_eq!(server.delete("/api/v1/connection", &key).await.0, 403);
    assert_eq!(server.sign_in("user@example.com", PASSWORD).await.0, 200);

    // What it may do: rename, and remove somebody who is no admin.
    assert_eq!(server.post(&update, &key, json!({ "name": "New name" })).await.1["name"], "New name");
    let role = format!("/api/v1/users/{other}/update");
    assert_eq!(server.post(&role, &admin, json!({ "role": "admin" })).await.0, 200);
    assert_eq!(server.delete(&format!("/api/v1/users/{other}"), &key).await.0, 403, "an admin is removed by a person");
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &key).await.0, 200);
    assert_eq!(server.get("/api/v1/users/", &other_token).await.0, 200);
}

#[tokio::test]
async fn admin_key_has_no_effect_once_its_owner_is_none() {
    let (server, admin) = server().await;
    let (id, second) = server.user(&admin, "second@example.com").await;
    let role = async |role: &str| {
        let changed = server.post(&format!("/api/v1/users/{id}/update"), &admin, json!({ "role": role })).await;
        assert_eq!(changed.0, 200);
    };
    role("admin").await;
    let key = server.key(&second, json!(["admin", "usage", "chat"])).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for path in ["/api/v1/users/", "/api/v1/usage/users", "/api/v1/usage/me", "/api/v1/chats/"] {
            statuses.push(server.get(path, &key).await.0.as_u16());
        }
        statuses
    };
    assert_eq!(statuses().await, [200; 4]);
    role("user").await;
    assert_eq!(statuses().await, [403, 403, 200, 200]);
    role("admin").await;
    assert_eq!(statuses().await, [200; 4]);
}

#[tokio::test]
async fn old_session_asks_for_the_current_password() {
    let (server, admin) = server().await;
    let (id, _) = server.user(&admin, "user@example.com").await;
    let update = format!("/api/v1/users/{id}/update");
    let (_, connection) = server.get("/api/v1/connection", &admin).await;
    let url = connection["base_url"].clone();
    for (method, path, body) in [
        (Method::POST, update.as_str(), json!({ "password": "set by admin" })),
        (Method::POST, KEYS, json!({ "name": "k", "scopes": ["admin"] })),
        (Method::POST, "/api/v1/connection", json!({ "base_url": url })),
        (Method::DELETE, "/api/v1/connection", json!({})),
    ] {
        age_sessions(&server).await;
        let ask = async |password: Option<&str>| {
            let mut body = body.clone();
            if let Some(password) = password {
                body["current_password"] = json!(password);
            }
            send(server.request(method.clone(), path).bearer_auth(&admin).json(&body)).await
        };
        for (password, status, words) in [
            (None, 403, "current_password"),
            (Some(""), 403, "current_password"),
            (Some("wrong one"), 400, "incorrect"),
        ] {
            let (answered, answer) = ask(password).await;
            assert_eq!(answered.as_u16(), status, "{path} {password:?}: {answer}");
            assert!(answer["detail"].as_str().unwrap().contains(words), "{path} {password:?}: {answer}");
        }
        let (status, answer) = ask(Some(PASSWORD)).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let (status, answer) = ask(None).await;
        assert_eq!(status, 200, "{path}, just after the password: {answer}");
    }
    // Nothing else asks.
    age_sessions(&server).await;
    assert_eq!(server.post(KEYS, &admin, json!({ "name": "k", "scopes": ["chat", "usage"] })).await.0, 200);
    assert_eq!(server.post(&update, &admin, json!({ "role": "admin", "name": "N" })).await.0, 200);
}

#[tokio::test]
async fn wrong_current_passwords_are_limited() {
    let (server, admin) = server().await;
    age_sessions(&server).await;
    let wish = json!({ "name": "k", "scopes": ["admin"], "current_password": "wrong one" });
    let mut statuses = Vec::new();
    for _ in 0..17 {
        statuses.push(server.post(KEYS, &admin, wish.clone()).await.0.as_u16());
    }
    assert_eq!((statuses[0], statuses[16]), (400, 429), "{statuses:?}");
}

#[tokio::test]
async fn reset_of_a_password_revokes_keys_unless_asked_not_to() {
    let (server, admin) = server().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    let update = format!("/api/v1/users/{id}/update");
    let mut token = user;
    for (change, works) in [
        (json!({ "password": PASSWORD, "revoke_keys": false }), true),
        (json!({ "password": PASSWORD }), false),
        (json!({ "password": PASSWORD, "revoke_keys": true }), false),
        (json!({ "name": "Only a name" }), true),
        (json!({ "revoke_keys": true }), false),
    ] {
        let key = server.key(&token, json!(["chat"])).await;
        assert_eq!(server.get("/v1/models", &key).await.0, 200);
        assert_eq!(server.post(&update, &admin, change.clone()).await.0, 200, "{change}");
        let expected = if works { 200 } else { 401 };
        assert_eq!(server.get("/v1/models", &key).await.0.as_u16(), expected, "{change}");
        let (_, session) = server.sign_in("user@example.com", PASSWORD).await;
        token = session["token"].as_str().unwrap().to_owned();
    }

    // The page: a box that is ticked.
    for (form, expected) in [("password=another+password", 200), ("password=another+one&revoke_keys=on", 401)] {
        let key = server.key(&token, json!(["chat"])).await;
        let reset = server.request(Method::POST, &format!("/users/{id}/password")).bearer_auth(&admin);
        let reset = reset.header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(reset.send().await.unwrap().status(), 200, "{form}");
        assert_eq!(server.get("/v1/models", &key).await.0.as_u16(), expected, "{form}");
        let password = form.split(['=', '&']).nth(1).unwrap().replace('+', " ");
        let (_, session) = server.sign_in("user@example.com", &password).await;
        token = session["token"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn account_page_makes_keys_of_the_chosen_scopes() {
    let (server, admin) = server().await;
    let (_, user) = server.user(&admin, "user@example.com").await;
    let post = async |token: &str, form: &'static str| {
        let request = server.request(Method::POST, "/account/keys").bearer_auth(token);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(post(&admin, "name=a&chat=on&usage=on&days=30").await.0, 200);
    assert_eq!(post(&admin, "name=b&admin=on").await.0, 200);
    assert_eq!(post(&admin, "name=c").await.0, 200);
    assert_eq!(post(&user, "name=d&admin=on").await.0, 403);
    age_sessions(&server).await;
    let (status, page) = post(&admin, "name=e&admin=on").await;
    assert!(status == 403 && page.contains("name=\"current\""), "{status}");
    assert_eq!(post(&admin, "name=e&admin=on&current=correct+horse").await.0, 200);

    let (_, keys) = server.get(KEYS, &admin).await;
    let scopes: Vec<&Value> = keys.as_array().unwrap().iter().map(|key| &key["scopes"]).collect();
    assert_eq!(scopes, [&json!(["admin"]), &json!(["chat"]), &json!(["admin"]), &json!(["chat", "usage"])]);
    let expires = keys[3]["expires_at"].as_i64().unwrap();
    assert!((in_days(29)..=in_days(30)).contains(&expires) && keys[0]["expires_at"].is_null(), "{keys}");
}
