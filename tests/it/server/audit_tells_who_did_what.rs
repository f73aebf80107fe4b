//! The audit log tells who did what to accounts, keys and settings, when and from where, and holds
//! no secret.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};

use crate::fixtures::serve::{PASSWORD, Server, send};

const AUDIT: &str = "/api/v1/audit";

async fn entries(server: &Server, token: &str, path: &str) -> Vec<Value> {
    let (status, page) = server.get(path, token).await;
    assert_eq!(status, 200, "{page}");
    page["entries"].as_array().unwrap().clone()
}

/// Returns the entries, oldest first, as "action by of".
fn told(entries: &[Value]) -> Vec<String> {
    let name = |person: &Value| person["email"].as_str().unwrap_or("-").replace("@example.com", "");
    let line = |entry: &Value| {
        format!("{} {} {}", entry["action"].as_str().unwrap(), name(&entry["user"]), name(&entry["subject"]))
    };
    entries.iter().rev().map(line).collect()
}

async fn sign_in_from(server: &Server, email: &str, password: &str, address: &str) -> (u16, Value) {
    let body = json!({ "email": email, "password": password });
    let request = server.request(Method::POST, "/api/v1/auths/signin").header("x-forwarded-for", address).json(&body);
    let (status, body) = send(request).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn changes_of_accounts_keys_and_connection_are_recorded() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    let (_, key) = server.post("/api/v1/auths/api_keys", &user, json!({ "name": "report" })).await;
    let revoke = format!("/api/v1/auths/api_keys/{}", key["id"].as_str().unwrap());
    assert_eq!(server.delete(&revoke, &user).await.0, 200);
    server.key(&user, json!(["chat"])).await;
    let passwords = json!({ "password": PASSWORD, "new_password": "another password" });
    assert_eq!(server.post("/api/v1/auths/update/password", &user, passwords).await.0, 200);
    assert_eq!(server.post("/api/v1/auths/signout", &user, json!({})).await.0, 200);

    let update = format!("/api/v1/users/{id}/update");
    for change in [
        json!({ "name": "Not recorded" }),
        json!({ "role": "user" }),
        json!({ "role": "admin", "email": "new@example.com" }),
        json!({ "password": "set by admin" }),
    ] {
        assert_eq!(server.post(&update, &admin, change).await.0, 200);
    }
    let (_, connection) = server.get("/api/v1/connection", &admin).await;
    let save = json!({ "base_url": connection["base_url"] });
    assert_eq!(server.post("/api/v1/connection", &admin, save).await.0, 200);
    assert_eq!(server.delete("/api/v1/connection", &admin).await.0, 200);
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &admin).await.0, 200);

    let entries = entries(&server, &admin, AUDIT).await;
    assert_eq!(
        told(&entries),
        [
            "account_registered admin admin",
            "signed_in admin admin",
            "account_added admin new",
            "signed_in new new",
            "key_created new new",
            "key_revoked new new",
            "key_created new new",
            "password_changed new new",
            "signed_out new new",
            "email_changed admin new",
            "role_changed admin new",
            "password_reset admin new",
            "keys_revoked admin new",
            "connection_saved admin -",
            "connection_removed admin -",
            "account_removed admin new",
        ]
    );
    let details = |action: &str| &entries.iter().find(|entry| entry["action"] == action).unwrap()["details"];
    assert_eq!(details("email_changed"), &json!({ "from": "user@example.com", "to": "new@example.com" }));
    assert_eq!(details("keys_revoked"), &json!({ "keys": 1 }));
    assert_eq!(details("key_revoked")["name"], "report");
    assert_eq!(details("key_created")["scopes"], json!(["chat"]));
    assert_eq!(details("connection_saved")["key_changed"], false);
    for entry in &entries {
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        let is_signed_in = entry["action"] != "account_registered";
        assert_eq!(entry["session"].as_str().is_some_and(|id| id.len() == 8), is_signed_in, "{entry}");
    }
    let text = json!(entries).to_string();
    for secret in [PASSWORD, "another password", "set by admin", &user, &admin, key["api_key"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn failures_are_summed_up_with_the_trusted_address() {
    let server = Server::start(&[("MAI_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let admin = server.admin().await;
    // All at once, so that none becomes free meanwhile.
    let attempts = (0..18).map(|_| sign_in_from(&server, "admin@example.com", "wrong", "203.0.113.7, 192.0.2.7"));
    let answers = futures::future::join_all(attempts).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 400).count(), 15, "{answers:?}");
    assert_eq!(sign_in_from(&server, "my-password-by-mistake", "wrong", "192.0.2.8").await.0, 400);
    assert_eq!(sign_in_from(&server, "admin@example.com", PASSWORD, "192.0.2.9").await.0, 200);
    let wrong = json!({ "password": "wrong one", "new_password": "another password" });
    assert_eq!(server.post("/api/v1/auths/update/password", &admin, wrong).await.0, 400);

    let entries = entries(&server, &admin, AUDIT).await;
    let told: Vec<Value> = entries
        .iter()
        .map(|entry| json!([entry["action"], entry["subject"]["email"], entry["address"], entry["count"]]))
        .collect();
    assert_eq!(told.len(), 7, "{told:?}");
    for expected in [
        json!(["sign_in_failed", "admin@example.com", "192.0.2.7", 15]),
        json!(["sign_in_limited", null, "192.0.2.7", 3]),
        json!(["sign_in_failed", null, "192.0.2.8", 1]),
        json!(["signed_in", "admin@example.com", "192.0.2.9", 1]),
        json!(["password_refused", "admin@example.com", "127.0.0.1", 1]),
    ] {
        assert!(told.contains(&expected), "{expected} is not in {told:?}");
    }
    assert!(!json!(entries).to_string().contains("by-mistake"), "what a stranger types may be a password");
}

#[tokio::test]
async fn each_person_sees_what_concerns_them() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (id, _) = server.user(&admin, "user@example.com").await;
    server.user(&admin, "other@example.com").await;
    let reset = json!({ "password": "set by admin" });
    assert_eq!(server.post(&format!("/api/v1/users/{id}/update"), &admin, reset).await.0, 200);
    let (_, session) = server.sign_in("user@example.com", "set by admin").await;
    let user = session["token"].as_str().unwrap();

    let own = entries(&server, user, "/api/v1/audit/me").await;
    assert_eq!(
        told(&own),
        ["account_added admin user", "signed_in user user", "password_reset admin user", "signed_in user user"]
    );
    let of_admin = &own[1];
    assert!(of_admin["address"].is_null() && of_admin["session"].is_null(), "{of_admin}");
    assert_eq!(own[0]["address"], "127.0.0.1");

    // The pages word the same in the reader's language.
    let page = async |path: &str, token: &str| {
        let request = server.request(Method::GET, path).bearer_auth(token).header("accept-language", "pl");
        request.send().await.unwrap().text().await.unwrap()
    };
    for path in ["/account", "/account/activity"] {
        let text = page(path, user).await;
        assert!(text.contains("Reset hasła") && text.contains("Logowanie"), "{path}: {text}");
        assert!(!text.contains("other@example.com"), "{path} shows another account");
    }
    let all = page("/audit", &admin).await;
    assert!(all.contains("Reset hasła") && all.contains("konto: other@example.com"), "{all}");
}

#[tokio::test]
async fn audit_is_paged() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    for _ in 0..30 {
        let (_, key) = server.post("/api/v1/auths/api_keys", &admin, json!({ "name": "k" })).await;
        server.delete(&format!("/api/v1/auths/api_keys/{}", key["id"].as_str().unwrap()), &admin).await;
    }
    let (_, first) = server.get(AUDIT, &admin).await;
    let (_, second) = server.get(&format!("{AUDIT}?page=2"), &admin).await;
    let ids = |page: &Value| page["entries"].as_array().unwrap().iter().map(|e| e["id"].as_i64().unwrap()).collect();
    let (first_ids, second_ids): (Vec<i64>, Vec<i64>) = (ids(&first), ids(&second));
    assert_eq!((first["total"].as_i64(), first_ids.len(), second_ids.len()), (Some(62), 50, 12));
    assert!(first_ids.iter().chain(&second_ids).is_sorted_by(|newer, older| newer > older));
    assert_eq!(server.get(&format!("{AUDIT}?page=x"), &admin).await.0, 422);
    let page = async |path: &str| {
        server.request(Method::GET, path).bearer_auth(&admin).send().await.unwrap().text().await.unwrap()
    };
    let (first, last) = (page("/audit").await, page("/audit?page=2").await);
    assert!(first.contains("/audit?page=2") && !first.contains("rel=\"prev\""));
    assert!(last.contains("/audit?page=1") && !last.contains("rel=\"next\""));
}

#[tokio::test]
async fn changed_settings_are_told_by_name_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[("OPENAI_API_KEY", "sk-first-secret")]).await;
    let admin = server.admin().await;
    server.terminate().await;
    let settings = [("OPENAI_API_KEY", "sk-second-secret"), ("MAI_MAX_USERS", "7")];
    for _ in 0..2 {
        let mut server = Server::start_in(directory.path(), &settings).await;
        let entries = entries(&server, &admin, AUDIT).await;
        assert_eq!(told(&entries[..1]), ["configuration_changed - -"]);
        assert_eq!(entries[0]["details"], json!({ "settings": ["MAI_MAX_USERS", "OPENAI_API_KEY"] }));
        assert_eq!(entries.len(), 3, "the same settings are no change");
        server.terminate().await;
    }
    // As an earlier version left it, which did not compare all of them.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("mai.db"));
    let mut database = options.connect().await.unwrap();
    let earlier = "DELETE FROM audit_configuration WHERE setting = 'MAI_CORS_ALLOWED_ORIGINS'";
    assert_eq!(sqlx::query(earlier).execute(&mut database).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
    for (origin, networks, changed) in [
        ("https://a.example.com", "", None),
        ("https://b.example.com", "10.1.0.0/16", Some(["MAI_ALLOWED_UPSTREAM_NETWORKS", "MAI_CORS_ALLOWED_ORIGINS"])),
    ] {
        let further = [("MAI_CORS_ALLOWED_ORIGINS", origin), ("MAI_ALLOWED_UPSTREAM_NETWORKS", networks)];
        let further = further.into_iter().filter(|(_, value)| !value.is_empty());
        let all: Vec<_> = settings.into_iter().chain(further).collect();
        let mut server = Server::start_in(directory.path(), &all).await;
        let entries = entries(&server, &admin, AUDIT).await;
        assert_eq!(entries.len(), if changed.is_some() { 4 } else { 3 });
        assert!(changed.is_none_or(|changed| entries[0]["details"] == json!({ "settings": changed })));
        server.terminate().await;
    }
    let stored = std::fs::read(directory.path().join("mai.db")).unwrap();
    assert!(!stored.windows(6).any(|window| window == b"second"));
}
