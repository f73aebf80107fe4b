//! Permissions as one table: every route of the server, and every kind of caller. A route that is
//! missing here fails the test, so none is added without a decision on who may use it.

use std::collections::BTreeSet;

use mai_operator::server;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, redirect::Policy};
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server, expire_key};

/// Kinds of callers, in the order of the columns. A key of "all" scopes has chat, usage and admin.
const CALLERS: [&str; 13] = [
    "visitor",
    "ended session",
    "user",
    "admin",
    "user's chat key",
    "user's usage key",
    "admin's chat key",
    "admin's usage key",
    "admin's admin key",
    "former admin's key of all scopes",
    "expired key of all scopes",
    "revoked key of all scopes",
    "key of a removed account",
];

type Row = [u16; CALLERS.len()];

/// Puts the row together from the answers to a caller without a valid credential, a user, an admin,
/// and the keys that are valid, in the order of the columns.
const fn row(nobody: u16, user: u16, admin: u16, keys: [u16; 6]) -> Row {
    let [user_chat, user_usage, admin_chat, admin_usage, admin_admin, former] = keys;
    [
        nobody,
        nobody,
        user,
        admin,
        user_chat,
        user_usage,
        admin_chat,
        admin_usage,
        admin_admin,
        former,
        nobody,
        nobody,
        nobody,
    ]
}

/// All callers reach the handler, which returns this status.
const fn all(status: u16) -> Row {
    [status; CALLERS.len()]
}

/// Callers who may chat: people, and keys with the scope.
const fn chat(status: u16) -> Row {
    row(401, status, status, [status, 403, status, 403, 403, status])
}

/// Callers who may read their own usage.
const fn own_usage(status: u16) -> Row {
    row(401, status, status, [403, status, 403, status, 403, status])
}

/// Callers who may read everybody's usage: who was an admin once may not.
const fn reports(status: u16) -> Row {
    row(401, 403, status, [403, 403, 403, status, 403, 403])
}

/// Callers with a session; API keys are refused.
const fn people(status: u16) -> Row {
    row(401, status, status, [403; 6])
}

/// Admins, by session or by a key that was made for it.
const fn admins(status: u16) -> Row {
    row(401, 403, status, [403, 403, 403, 403, status, 403])
}

/// Admins with a session: credentials are changed in one alone.
const fn admin_people(status: u16) -> Row {
    row(401, 403, status, [403; 6])
}

/// Pages for callers with a session; all others are redirected to sign in, keys as well: no browser
/// sends one.
const fn pages(status: u16) -> Row {
    row(303, status, status, [303; 6])
}

/// Pages for admins.
const fn admin_pages(status: u16) -> Row {
    row(303, 403, status, [303; 6])
}

/// Method, path and the status for each caller. Bodies are empty and ids unknown, so a permitted
/// caller gets 200, 303, 400, 404 or 422, and nothing is changed.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Row)] = &[
    ("GET",    "/health",                        all(200)),
    ("GET",    "/ready",                         all(200)),
    ("GET",    "/api/version",                   all(200)),
    ("GET",    "/api/config",                    all(200)),
    // For the reconciler, who is none of these.
    ("GET",    "/internal/billed-days",          all(401)),
    ("GET",    "/internal/counts",               all(401)),
    ("GET",    "/internal/statements/{month}",   all(401)),
    ("POST",   "/api/v1/auths/signup",           all(422)),
    ("POST",   "/api/v1/auths/signin",           all(422)),
    ("GET",    "/api/v1/auths/",                 people(200)),
    ("POST",   "/api/v1/auths/update/password",  people(422)),
    ("POST",   "/api/v1/auths/update/profile",   people(200)),
    ("GET",    "/api/v1/auths/api_keys",         people(200)),
    ("POST",   "/api/v1/auths/api_keys",         people(422)),
    ("DELETE", "/api/v1/auths/api_keys/{id}",    people(404)),
    ("POST",   "/api/v1/auths/add",              admin_people(422)),
    ("GET",    "/api/v1/users/",                 admins(200)),
    ("GET",    "/api/v1/users/{id}",             admins(404)),
    ("POST",   "/api/v1/users/{id}/update",      admins(404)),
    ("DELETE", "/api/v1/users/{id}",             admins(404)),
    ("POST",   "/api/v1/users/{id}/password-link", admin_people(404)),
    ("GET",    "/api/v1/invitations",            admins(200)),
    ("POST",   "/api/v1/invitations",            admin_people(422)),
    ("POST",   "/api/v1/invitations/{id}/renew", admin_people(404)),
    ("DELETE", "/api/v1/invitations/{id}",       admin_people(404)),
    ("GET",    "/api/v1/connection",             admins(200)),
    ("POST",   "/api/v1/connection",             admin_people(422)),
    ("DELETE", "/api/v1/connection",             admin_people(200)),
    ("POST",   "/api/v1/connection/verify",      admins(200)),

    ("GET",    "/api/v1/audit",                  admins(200)),
    ("GET",    "/api/v1/audit/me",               people(200)),

    ("GET",    "/api/models",                    chat(200)),
    ("GET",    "/api/v1/models",                 chat(200)),
    ("GET",    "/v1/models",                     chat(200)),
    ("GET",    "/api/models/{*id}",              chat(404)),
    ("GET",    "/api/v1/models/{*id}",           chat(404)),
    ("GET",    "/v1/models/{*id}",               chat(404)),
    ("POST",   "/api/v1/completions",            chat(400)),
    ("POST",   "/v1/completions",                chat(400)),
    ("POST",   "/api/embeddings",                chat(400)),
    ("POST",   "/api/v1/embeddings",             chat(400)),
    ("POST",   "/v1/embeddings",                 chat(400)),
    ("POST",   "/api/v1/responses",              chat(400)),
    ("POST",   "/v1/responses",                  chat(400)),
    ("POST",   "/api/chat/completions",          chat(400)),
    ("POST",   "/api/v1/chat/completions",       chat(400)),
    ("POST",   "/v1/chat/completions",           chat(400)),
    ("GET",    "/api/v1/chats/",                 chat(200)),
    ("GET",    "/api/v1/chats/{id}",             chat(404)),
    ("DELETE", "/api/v1/chats/{id}",             chat(404)),

    ("GET",    "/api/v1/usage/me",               own_usage(200)),
    ("GET",    "/api/v1/budgets/me",             own_usage(200)),
    ("GET",    "/api/v1/budgets",                reports(200)),
    ("POST",   "/api/v1/budgets",                admins(422)),
    ("POST",   "/api/v1/budgets/{id}/raise",     admins(400)),
    ("DELETE", "/api/v1/budgets/{id}",           admins(404)),
    ("GET",    "/api/v1/usage/rate",             reports(404)),
    ("POST",   "/api/v1/usage/rate",             admins(422)),
    ("GET",    "/api/v1/usage/statements",       reports(200)),
    ("GET",    "/api/v1/usage/statements/{month}", reports(400)),
    ("GET",    "/api/v1/usage/summary",          reports(200)),
    ("GET",    "/api/v1/usage/days",             reports(200)),
    ("GET",    "/api/v1/usage/users",            reports(200)),
    ("GET",    "/api/v1/usage/models",           reports(200)),
    ("GET",    "/api/v1/usage/calls",            reports(200)),
    ("GET",    "/api/v1/usage/rows.csv",         reports(200)),
    ("GET",    "/api/v1/usage/sums.csv",         reports(200)),
    ("GET",    "/api/v1/usage/me/rows.csv",      own_usage(200)),

    ("GET",    "/",                              all(303)),
    ("GET",    "/register",                      all(303)),
    ("POST",   "/register",                      all(422)),
    ("GET",    "/invitation",                    all(404)),
    ("POST",   "/invitation",                    all(422)),
    ("GET",    "/new-password",                  all(404)),
    ("POST",   "/new-password",                  all(422)),
    ("GET",    "/sign-in",                       row(200, 303, 303, [200; 6])),
    ("POST",   "/sign-in",                       all(422)),
    ("POST",   "/theme",                         all(422)),
    ("GET",    "/assets/{hash}/{name}",          all(404)),
    ("GET",    "/favicon.ico",                   all(200)),

    ("GET",    "/chat",                          pages(200)),
    ("POST",   "/chat",                          pages(422)),
    ("GET",    "/chats",                         pages(200)),
    ("GET",    "/chat/{id}",                     pages(404)),
    ("POST",   "/chat/{id}/rename",              pages(422)),
    ("POST",   "/chat/{id}/delete",              pages(404)),
    ("POST",   "/chat/{id}/stop",                pages(404)),
    ("POST",   "/chat/{id}/messages",            pages(422)),
    ("GET",    "/chat/{id}/messages/{message}",  pages(303)),
    ("POST",   "/chat/{id}/messages/{message}/regenerate",  pages(404)),
    ("GET",    "/chat/{id}/messages/{message}/stream",      pages(404)),
    ("GET",    "/account",                       pages(200)),
    ("GET",    "/account/activity",              pages(200)),
    ("POST",   "/account/profile",               pages(422)),
    ("POST",   "/account/password",              pages(422)),
    ("POST",   "/account/keys",                  pages(422)),
    ("POST",   "/account/keys/{id}/revoke",      pages(404)),

    ("GET",    "/users",                         admin_pages(200)),
    ("POST",   "/users",                         admin_pages(422)),
    ("POST",   "/users/{id}/password",           admin_pages(404)),
    ("POST",   "/users/{id}/password-link",      admin_pages(404)),
    ("POST",   "/users/{id}/remove",             admin_pages(404)),
    ("GET",    "/users/invitations",             admin_pages(200)),
    ("POST",   "/users/invitations",             admin_pages(422)),
    ("POST",   "/users/invitations/{id}/renew",  admin_pages(404)),
    ("POST",   "/users/invitations/{id}/withdraw", admin_pages(404)),
    ("GET",    "/connection",                    admin_pages(200)),
    ("POST",   "/connection",                    admin_pages(422)),
    ("POST",   "/connection/forget",             admin_pages(200)),
    ("GET",    "/audit",                         admin_pages(200)),
    ("GET",    "/usage",                         row(303, 303, 200, [303; 6])),
    ("GET",    "/usage/live",                    admin_pages(200)),
    ("GET",    "/usage/calls",                   admin_pages(200)),
    ("POST",   "/usage/budgets",                 admin_pages(422)),
    ("POST",   "/usage/budgets/{id}/raise",      admin_pages(422)),
    ("POST",   "/usage/budgets/{id}/remove",     admin_pages(404)),
    ("GET",    "/usage/me",                      pages(200)),
    ("GET",    "/usage/me/live",                 pages(200)),
    ("GET",    "/usage/statements",              admin_pages(200)),
    ("GET",    "/usage/statements/{month}",      admin_pages(404)),

    // These end a session; each caller has one for it.
    ("POST",   "/sign-out",                      all(303)),
    ("POST",   "/api/v1/auths/signout",          people(200)),
];

/// Returns what is wrong with the headers of an answer: no cache keeps what is for one reader, and
/// what is not a page loads and runs nothing if a browser shows it.
fn header_problem(path: &str, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_public = path.starts_with("/assets/") || path == "/favicon.ico";
    let cache = text(header::CACHE_CONTROL);
    if !is_public && cache != "no-store" {
        return Some(format!("cache-control is {cache:?}"));
    }
    let policy = text(header::CONTENT_SECURITY_POLICY);
    let is_page = text(header::CONTENT_TYPE).starts_with("text/html");
    let is_strict = policy == "default-src 'none'; frame-ancestors 'none'";
    (!is_page && !is_strict).then(|| format!("content-security-policy is {policy:?}"))
}

#[test]
fn route_table_lists_exactly_the_routes_of_the_server() {
    let routes: BTreeSet<_> = server::endpoints().map(|route| (route.method.as_str(), route.path)).collect();
    let rows: BTreeSet<_> = TABLE.iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(rows.len(), TABLE.len(), "a row is there twice");
    let missing: Vec<_> = routes.difference(&rows).collect();
    assert!(missing.is_empty(), "say in TABLE who may call {missing:?}");
    let gone: Vec<_> = rows.difference(&routes).collect();
    assert!(gone.is_empty(), "the server has no {gone:?}");
}

/// The credential of each caller.
async fn credentials(server: &Server) -> [Option<String>; CALLERS.len()] {
    let admin = server.admin().await;
    let (_, user) = server.user(&admin, "user@example.com").await;
    let (former_id, former) = server.user(&admin, "former@example.com").await;
    let (removed_id, removed) = server.user(&admin, "removed@example.com").await;
    let (_, ended) = server.sign_in("user@example.com", PASSWORD).await;
    let ended = ended["token"].as_str().unwrap().to_owned();
    assert_eq!(server.post("/api/v1/auths/signout", &ended, json!({})).await.0, 200);

    let role = async |role: &str| {
        let path = format!("/api/v1/users/{former_id}/update");
        assert_eq!(server.post(&path, &admin, json!({ "role": role })).await.0, 200);
    };
    role("admin").await;
    let everything = json!(["chat", "usage", "admin"]);
    let former = server.key(&former, everything.clone()).await;
    role("user").await;
    let removed = server.key(&removed, json!(["chat", "usage"])).await;
    assert_eq!(server.delete(&format!("/api/v1/users/{removed_id}"), &admin).await.0, 200);
    let expired = server.key(&admin, everything.clone()).await;
    expire_key(server, &expired).await;
    let revoked = server.key(&admin, everything).await;
    let (_, keys) = server.get("/api/v1/auths/api_keys", &admin).await;
    let newest = keys[0]["id"].as_str().unwrap();
    assert_eq!(server.delete(&format!("/api/v1/auths/api_keys/{newest}"), &admin).await.0, 200);
    [
        None,
        Some(ended),
        Some(user.clone()),
        Some(admin.clone()),
        Some(server.key(&user, json!(["chat"])).await),
        Some(server.key(&user, json!(["usage"])).await),
        Some(server.key(&admin, json!(["chat"])).await),
        Some(server.key(&admin, json!(["usage"])).await),
        Some(server.key(&admin, json!(["admin"])).await),
        Some(former),
        Some(expired),
        Some(revoked),
        Some(removed),
    ]
}

#[tokio::test]
async fn every_caller_gets_the_status_in_the_table() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let credentials = credentials(&server).await;
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();

    let mut wrong = Vec::new();
    for (method, path, expected) in TABLE {
        for ((caller, credential), expected) in CALLERS.iter().zip(&credentials).zip(expected) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let url = format!(
                "{}{}",
                server.url,
                path.replace("{id}", "00000000-0000-7000-8000-000000000000")
                    .replace("{message}", "00000000-0000-7000-8000-000000000000")
            );
            let mut request = client.request(method.clone(), url);
            // A route that ends a session gets another session.
            let spare = match *caller {
                "user" | "admin" if path.ends_with("signout") || path.ends_with("sign-out") => {
                    let (_, session) = server.sign_in(&format!("{caller}@example.com"), PASSWORD).await;
                    Some(session["token"].as_str().unwrap().to_owned())
                }
                _ => None,
            };
            if let Some(token) = spare.as_ref().or(credential.as_ref()) {
                request = request.bearer_auth(token);
            }
            if method == Method::POST && !path.starts_with("/api") && !path.starts_with("/v1") {
                request = request.header("content-type", "application/x-www-form-urlencoded").body("x=y");
            } else if method == Method::POST {
                request = request.json(&json!({}));
            }
            let response = request.send().await.unwrap();
            let status = response.status();
            if let Some(problem) = header_problem(path, response.headers()) {
                wrong.push(format!("{method} {path} by {caller}: {problem}"));
            }
            if status.as_u16() != *expected {
                wrong.push(format!("{method} {path} by {caller}: {status}, the table says {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
