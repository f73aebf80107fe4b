//! Exactly one of all who register first becomes the admin; after that, registration is closed.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server, command, send, wait_failure};

#[tokio::test]
async fn concurrent_first_registrations_make_one_admin() {
    let server = Server::start(&[]).await;
    let emails: Vec<String> = (0..50).map(|n| format!("person{n}@example.com")).collect();
    let answers = join_all(emails.iter().map(|email| server.sign_up(email))).await;

    let (admitted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!(admitted.len(), 1);
    assert_eq!(admitted[0].1["role"], "admin");
    for (status, body) in refused {
        // Those for whom there is no room in the queue are told to try again.
        assert!([403, 503].contains(&status.as_u16()), "{body}");
    }
    let token = admitted[0].1["token"].as_str().unwrap();
    let (_, users) = server.get("/api/v1/users/", token).await;
    assert_eq!(users["total"], 1);
}

#[tokio::test]
async fn onboarding_is_reported_only_without_accounts() {
    let server = Server::start(&[("WEBUI_NAME", "Company ABC"), ("DEFAULT_LOCALE", "pl")]).await;
    let (_, before) = send(server.request(Method::GET, "/api/config")).await;
    assert_eq!(before["onboarding"], true);
    assert_eq!(before["name"], "Company ABC");
    assert_eq!(before["default_locale"], "pl");
    assert_eq!(before["features"]["enable_signup"], true);

    server.admin().await;
    let (_, after) = send(server.request(Method::GET, "/api/config")).await;
    assert!(after.get("onboarding").is_none());
    assert_eq!(after["features"]["enable_signup"], false);
    let (status, body) = server.sign_up("late@example.com").await;
    assert_eq!(status, 403, "{body}");
}

#[tokio::test]
async fn disabled_signup_admits_the_first_user() {
    let server = Server::start(&[("ENABLE_SIGNUP", "false")]).await;
    assert_eq!(server.sign_up("first@example.com").await.1["role"], "admin");
    assert_eq!(server.sign_up("second@example.com").await.0, 403);
}

#[tokio::test]
async fn closed_signup_admits_only_the_declared_admin() {
    let server = Server::start(&[
        ("MAI_SIGNUP", "Closed"),
        ("WEBUI_ADMIN_EMAIL", "Boss@Example.com"),
        ("WEBUI_ADMIN_PASSWORD", "declared password"),
        ("WEBUI_ADMIN_NAME", "The Boss"),
    ])
    .await;
    assert_eq!(server.sign_up("stranger@example.com").await.0, 403);
    let (status, body) = server.sign_in("boss@example.com", "declared password").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["role"], &body["name"]), (&json!("admin"), &json!("The Boss")));
    assert!(!server.log().contains("declared password"));
}

#[tokio::test]
async fn declared_admin_is_created_only_without_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[]).await;
    server.admin().await;
    server.terminate().await;

    let declared = [("WEBUI_ADMIN_EMAIL", "boss@example.com"), ("WEBUI_ADMIN_PASSWORD", "declared password")];
    let server = Server::start_in(directory.path(), &declared).await;
    assert_eq!(server.sign_in("boss@example.com", "declared password").await.0, 400);
    assert_eq!(server.sign_in("admin@example.com", PASSWORD).await.0, 200);
}

#[tokio::test]
async fn incomplete_declared_admin_is_refused_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let child = command(directory.path(), &[("WEBUI_ADMIN_EMAIL", "boss@example.com")]).spawn().unwrap();
    let (code, stderr) = wait_failure(child).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("WEBUI_ADMIN_PASSWORD"), "{stderr}");

    let weak = [("WEBUI_ADMIN_EMAIL", "boss@example.com"), ("WEBUI_ADMIN_PASSWORD", "short")];
    let (code, stderr) = wait_failure(command(directory.path(), &weak).spawn().unwrap()).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("at least 8 characters") && !stderr.contains("\"short\""), "{stderr}");
}

#[tokio::test]
async fn concurrent_signups_stop_at_the_account_limit() {
    let server = Server::start(&[("MAI_SIGNUP", "Open"), ("MAI_MAX_USERS", "5")]).await;
    let emails: Vec<String> = (0..30).map(|n| format!("person{n}@example.com")).collect();
    let answers = join_all(emails.iter().map(|email| server.sign_up(email))).await;

    let role = |name: &str| answers.iter().filter(|(status, body)| *status == 200 && body["role"] == name).count();
    assert_eq!((role("admin"), role("user")), (1, 4));
    // Those for whom there is no room in the queue are told to try again.
    assert_eq!(answers.iter().filter(|(status, _)| [403, 503].contains(&status.as_u16())).count(), 25);
}

#[tokio::test]
async fn concurrent_invitations_stop_at_the_account_limit() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let add = |n: usize| {
        let body = json!({ "name": "Somebody", "email": format!("u{n}@example.com"), "password": PASSWORD });
        server.post("/api/v1/auths/add", &admin, body)
    };
    let answers = join_all((0..40).map(add)).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 19);
    let full = answers.iter().find(|(status, _)| *status == 403).unwrap();
    assert!(full.1["detail"].as_str().unwrap().contains("All 20 accounts"), "{}", full.1);

    let (_, page) = server.get("/api/v1/users/", &admin).await;
    assert_eq!(page["total"], 20);
    let removable = page["users"].as_array().unwrap().iter().find(|user| user["role"] == "user").unwrap();
    let path = format!("/api/v1/users/{}", removable["id"].as_str().unwrap());
    assert_eq!(server.delete(&path, &admin).await.0, 200);
    assert_eq!(add(99).await.0, 200, "a removed account makes room");
}

#[tokio::test]
async fn invalid_account_is_refused_with_a_sentence() {
    let server = Server::start(&[]).await;
    let attempt = async |body| send(server.request(Method::POST, "/api/v1/auths/signup").json(&body)).await;
    for (body, status, words) in [
        (json!({ "name": "A", "email": "nobody", "password": PASSWORD }), 400, "email"),
        (json!({ "name": "A", "email": "a@b@c", "password": PASSWORD }), 400, "email"),
        (json!({ "name": " ", "email": "a@example.com", "password": PASSWORD }), 400, "name"),
        (json!({ "name": "A", "email": "a@example.com", "password": "seven77" }), 400, "8 characters"),
        (json!({ "name": "A", "email": "a@example.com", "password": "x".repeat(1025) }), 400, "1024 bytes"),
        (json!({ "name": "A", "email": "a@example.com" }), 422, "lacks a field"),
        (json!({ "name": "A", "email": "a@example.com", "password": 12345678 }), 422, "wrong type"),
    ] {
        let (answered, response) = attempt(body).await;
        assert_eq!(answered, status, "{response}");
        assert!(response["detail"].as_str().unwrap().contains(words), "{response}");
        assert!(!response.to_string().contains("12345678"));
    }
    let (status, response) =
        attempt(json!({ "name": "x".repeat(70_000), "email": "a@example.com", "password": PASSWORD })).await;
    assert_eq!(status, 413, "{response}");
    assert_eq!(send(server.request(Method::POST, "/api/v1/auths/signup").body("{")).await.0, 415);
    assert_eq!(server.sign_up("admin@example.com").await.0, 200, "nobody got in before");
}
