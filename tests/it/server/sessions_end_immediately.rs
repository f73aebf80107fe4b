//! Sessions end immediately at sign-out and after a change of password or role, a deletion or the
//! revocation of a key.

use reqwest::{Method, header};
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server, send};

const SESSION: &str = "/api/v1/auths/";

async fn another_session(server: &Server, email: &str) -> String {
    server.sign_in(email, PASSWORD).await.1["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sign_out_ends_only_this_session() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let other = another_session(&server, "admin@example.com").await;
    let (status, body) = server.get(SESSION, &admin).await;
    assert_eq!((status.as_u16(), &body["email"], &body["token"]), (200, &json!("admin@example.com"), &json!(admin)));

    assert_eq!(server.post("/api/v1/auths/signout", &admin, json!({})).await.0, 200);
    assert_eq!(server.get(SESSION, &admin).await.0, 401);
    assert_eq!(server.get(SESSION, &other).await.0, 200);
}

/// Returns name and value of the cookies that a response sets.
fn cookies(response: &reqwest::Response) -> Vec<String> {
    let lines = response.headers().get_all(header::SET_COOKIE).iter();
    lines.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn instances_of_one_host_keep_their_sessions_apart() {
    let secret = [("WEBUI_SECRET_KEY", "the same at both")];
    let (one, other) = (Server::start(&secret).await, Server::start(&secret).await);
    let mut jar = Vec::new();
    for server in [&one, &other] {
        server.admin().await;
        let body = json!({ "email": "admin@example.com", "password": PASSWORD });
        let response = server.request(Method::POST, "/api/v1/auths/signin").json(&body).send().await.unwrap();
        jar.extend(cookies(&response));
    }
    let names: std::collections::BTreeSet<_> = jar.iter().map(|cookie| cookie.split('=').next().unwrap()).collect();
    assert_eq!(names.len(), 4, "a session and a device of each: {jar:?}");
    for server in [&one, &other] {
        let request = server.request(Method::GET, SESSION).header(header::COOKIE, jar.join("; "));
        assert_eq!(send(request).await.0, 200);
    }
    let request = one.request(Method::POST, "/api/v1/auths/signout").header(header::COOKIE, jar.join("; "));
    let cleared = cookies(&request.send().await.unwrap());
    assert_eq!((cleared.len(), &cleared[0]), (1, &format!("{}=", jar[0].split('=').next().unwrap())));
}

#[tokio::test]
async fn session_cookie_of_the_contract_is_still_read() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let request = server.request(Method::GET, SESSION).header(header::COOKIE, format!("token={admin}"));
    assert_eq!(send(request).await.0, 200);
}

#[tokio::test]
async fn cookie_session_works_until_sign_out() {
    let server = Server::start(&[("MAI_TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.admin().await;
    let body = json!({ "email": "admin@example.com", "password": PASSWORD });
    let sign_in = |proto: Option<&'static str>| {
        let request = server.request(Method::POST, "/api/v1/auths/signin").json(&body);
        match proto {
            Some(proto) => request.header("x-forwarded-proto", proto),
            None => request,
        }
    };
    let cookie_of = |response: &reqwest::Response| response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();

    let response = sign_in(None).send().await.unwrap();
    let cookie = cookie_of(&response);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    for part in ["token=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2419200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain http in a local network has to work: {cookie}");
    let secure = cookie_of(&sign_in(Some("https")).send().await.unwrap());
    assert!(secure.starts_with("__Host-mai_") && secure.contains("; Secure"), "{secure}");

    let pair = cookie.split(';').next().unwrap().to_owned();
    let with_cookie = |method, path| server.request(method, path).header(header::COOKIE, &pair);
    let (status, body) = send(with_cookie(Method::GET, SESSION)).await;
    assert_eq!(status, 200);
    assert!(body.get("token").is_none(), "a script must not read the token out of the cookie's reach");

    let response = with_cookie(Method::POST, "/api/v1/auths/signout").send().await.unwrap();
    let cleared = cookie_of(&response);
    assert!(cleared.starts_with(&pair[..=pair.find('=').unwrap()]) && cleared.contains("=;"), "{cleared}");
    assert!(cleared.contains("Max-Age=0"), "{cleared}");
    assert_eq!(send(with_cookie(Method::GET, SESSION)).await.0, 401);
}

#[tokio::test]
async fn development_cookie_is_not_secure() {
    let server = Server::start(&[("ENV", "dev"), ("MAI_TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.admin().await;
    let body = json!({ "email": "admin@example.com", "password": PASSWORD });
    let request = server.request(Method::POST, "/api/v1/auths/signin").header("x-forwarded-proto", "https").json(&body);
    let response = request.send().await.unwrap();
    assert!(!response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Secure"));
}

#[tokio::test]
async fn password_change_ends_all_other_sessions() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let other = another_session(&server, "admin@example.com").await;
    assert_eq!(server.get(SESSION, &other).await.0, 200);

    let change = |current: &str, new: &str| {
        server.post("/api/v1/auths/update/password", &admin, json!({ "password": current, "new_password": new }))
    };
    assert_eq!(change("wrong password", "another password").await.0, 400);
    assert_eq!(change(PASSWORD, "short").await.0, 400);
    assert_eq!(server.get(SESSION, &other).await.0, 200);
    assert_eq!(change(PASSWORD, "another password").await, (reqwest::StatusCode::OK, json!(true)));

    assert_eq!(server.get(SESSION, &other).await.0, 401);
    assert_eq!(server.get(SESSION, &admin).await.0, 200);
    assert_eq!(server.sign_in("admin@example.com", PASSWORD).await.0, 400);
    assert_eq!(server.sign_in("ADMIN@example.com", "another password").await.0, 200);
}

#[tokio::test]
async fn password_set_by_admin_ends_all_sessions_of_user() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    assert_eq!(server.get(SESSION, &user).await.0, 200);
    let (status, _) =
        server.post(&format!("/api/v1/users/{id}/update"), &admin, json!({ "password": "set by admin" })).await;
    assert_eq!(status, 200);
    assert_eq!(server.get(SESSION, &user).await.0, 401);
    assert_eq!(server.sign_in("user@example.com", "set by admin").await.0, 200);
}

#[tokio::test]
async fn role_change_applies_to_the_next_request() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    assert_eq!(server.get("/api/v1/users/", &user).await.0, 403);
    let update = format!("/api/v1/users/{id}/update");
    assert_eq!(server.post(&update, &admin, json!({ "role": "superuser" })).await.0, 400);
    assert_eq!(server.post(&update, &admin, json!({ "role": "admin" })).await.0, 200);
    assert_eq!(server.get("/api/v1/users/", &user).await.0, 200);
    assert_eq!(server.post(&update, &admin, json!({ "role": "user" })).await.0, 200);
    assert_eq!(server.get("/api/v1/users/", &user).await.0, 403);
}

#[tokio::test]
async fn deleted_user_loses_access_and_can_be_invited_again() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    let (_, key) = server.post("/api/v1/auths/api_keys", &user, json!({ "name": "script" })).await;
    let key = key["api_key"].as_str().unwrap();
    let config = async |token: &str| server.get("/api/config", token).await.1["user"]["id"].clone();
    assert_eq!(config(key).await, json!(id));

    let path = format!("/api/v1/users/{id}");
    assert_eq!(server.delete(&path, &admin).await, (reqwest::StatusCode::OK, json!(true)));
    assert_eq!(server.get(SESSION, &user).await.0, 401);
    assert_eq!(config(key).await, json!(null));
    assert_eq!(server.sign_in("user@example.com", PASSWORD).await.0, 400);
    assert_eq!(server.get(&path, &admin).await.0, 404);
    assert_eq!(server.delete(&path, &admin).await.0, 404);

    let (again, token) = server.user(&admin, "user@example.com").await;
    assert_ne!(again, id);
    assert_eq!(server.get(SESSION, &token).await.0, 200);
}

#[tokio::test]
async fn last_admin_cannot_be_demoted_or_deleted() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let id = server.get(SESSION, &admin).await.1["id"].as_str().unwrap().to_owned();
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &admin).await.0, 403);
    let update = format!("/api/v1/users/{id}/update");
    assert_eq!(server.post(&update, &admin, json!({ "role": "user" })).await.0, 403);

    let (second, token) = server.user(&admin, "second@example.com").await;
    server.post(&format!("/api/v1/users/{second}/update"), &admin, json!({ "role": "admin" })).await;
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &token).await.0, 200);
    assert_eq!(server.get(SESSION, &admin).await.0, 401);
}

#[tokio::test]
async fn api_key_is_shown_once_and_ends_when_revoked() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let wish = |name: &str| json!({ "name": name, "scopes": ["admin"] });
    let (_, first) = server.post("/api/v1/auths/api_keys", &admin, wish("laptop")).await;
    let (_, second) = server.post("/api/v1/auths/api_keys", &admin, wish("server")).await;
    let (first_key, second_key) = (first["api_key"].as_str().unwrap(), second["api_key"].as_str().unwrap());
    assert!(first_key.starts_with("sk-") && first_key.len() == 67);

    let (_, list) = server.get("/api/v1/auths/api_keys", &admin).await;
    assert_eq!(
        list.as_array().unwrap().iter().map(|key| key["name"].clone()).collect::<Vec<_>>(),
        ["server", "laptop"]
    );
    assert!(!list.to_string().contains(first_key));
    assert_eq!(list[1]["hint"], first_key[63..]);

    // x-api-key is accepted as well.
    let by_header = send(server.request(Method::GET, "/api/v1/users/").header("x-api-key", first_key)).await;
    assert_eq!(by_header.0, 200);
    let path = format!("/api/v1/auths/api_keys/{}", first["id"].as_str().unwrap());
    let (_, user) = server.user(&admin, "user@example.com").await;
    assert_eq!(server.delete(&path, &user).await.0, 404, "nobody revokes another's key");
    assert_eq!(server.delete(&path, &admin).await.0, 200);
    assert_eq!(server.get("/api/v1/users/", first_key).await.0, 401);
    assert_eq!(server.get("/api/v1/users/", second_key).await.0, 200);
}

#[tokio::test]
async fn sessions_and_keys_survive_restart_and_are_hashed() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[]).await;
    let admin = server.admin().await;
    let key = server.key(&admin, json!(["chat"])).await;
    server.terminate().await;

    let stored = std::fs::read(directory.path().join("mai.db")).unwrap();
    for secret in [admin.as_str(), &key, PASSWORD] {
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    let server = Server::start_in(directory.path(), &[]).await;
    assert_eq!(server.get(SESSION, &admin).await.0, 200);
    assert_eq!(server.get("/api/v1/chats/", &key).await.0, 200);
}

#[tokio::test]
async fn invalid_header_with_valid_cookie_is_refused() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    for authorization in ["Bearer nonsense", "Bearer sk-nonsense", "nonsense", "Bearer", ""] {
        let request = server
            .request(Method::GET, SESSION)
            .header(header::AUTHORIZATION, authorization)
            .header(header::COOKIE, format!("token={admin}"));
        assert_eq!(send(request).await.0, 401, "{authorization:?}");
    }
}

#[tokio::test]
async fn https_is_believed_from_proxies_and_browsers() {
    let server = Server::start(&[]).await;
    server.admin().await;
    let body = json!({ "email": "admin@example.com", "password": PASSWORD });
    for (headers, is_secure) in [
        (&[("x-forwarded-proto", "https")][..], false),
        (&[("host", "abc.example.com"), ("sec-fetch-site", "same-origin")], true),
        (&[("host", "localhost:8001"), ("sec-fetch-site", "same-origin")], false),
    ] {
        let mut request = server.request(Method::POST, "/api/v1/auths/signin").json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert_eq!(cookie.contains("; Secure"), is_secure, "{headers:?}: {cookie}");
        assert_eq!(cookie.starts_with("__Host-"), is_secure, "{headers:?}: {cookie}");
    }
}
