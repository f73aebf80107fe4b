//! People make their account, and choose another password, by links that work once and for a while.

use futures::future::join_all;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::fixtures::serve::{PASSWORD, Server, change_data};

/// Returns the path and query of a link.
fn path_of(link: &str) -> String {
    let path = link.splitn(4, '/').nth(3).unwrap();
    format!("/{path}")
}

fn token_of(link: &str) -> &str {
    link.split_once("token=").unwrap().1
}

async fn invite(server: &Server, token: &str, people: Value) -> Vec<Value> {
    let (status, answer) = server.post("/api/v1/invitations", token, json!({ "people": people })).await;
    assert_eq!(status, 200, "{answer}");
    answer["invitations"].as_array().unwrap().clone()
}

/// Invites one person and returns the link.
async fn invite_one(server: &Server, token: &str, email: &str) -> String {
    let invited = invite(server, token, json!([{ "name": "Ann", "email": email }])).await;
    invited[0]["link"].as_str().unwrap_or_else(|| panic!("{invited:?}")).to_owned()
}

async fn send(server: &Server, path: &str, form: &[(&str, &str)]) -> Response {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = server.request(Method::POST, path).header("accept-language", "en");
    request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
}

async fn accept(server: &Server, link: &str) -> (u16, String) {
    let form = [("token", token_of(link)), ("name", "Ann Example"), ("password", PASSWORD)];
    let response = send(server, "/invitation", &form).await;
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn page(server: &Server, path: &str) -> (u16, String) {
    let response = server.request(Method::GET, path).header("accept-language", "en").send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn invited_person_chooses_a_password_once() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let admin = server.admin().await;
    let link = invite_one(&server, &admin, "Ann@Example.com").await;
    let (status, shown) = page(&server, &path_of(&link)).await;
    assert!(status == 200 && shown.contains("Welcome, Ann") && shown.contains("ann@example.com"), "{shown}");

    let short = [("token", token_of(&link)), ("name", "Ann"), ("password", "short")];
    let refused = send(&server, "/invitation", &short).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.text().await.unwrap().contains("Welcome, Ann"), "the form stays");

    // Of many who use it at once, one gets in.
    let outcomes = join_all((0..4).map(|_| accept(&server, &link))).await;
    let mut statuses: Vec<u16> = outcomes.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert!(statuses[1..].iter().all(|status| *status == 410) && statuses[0] < 400, "{statuses:?}");
    let (status, signed_in) = server.sign_in("ann@example.com", PASSWORD).await;
    assert_eq!((status.as_u16(), &signed_in["role"], &signed_in["name"]), (200, &json!("user"), &json!("Ann Example")));
    let (status, shown) = page(&server, &path_of(&link)).await;
    assert!(status == 410 && shown.contains("used already"), "{shown}");

    let (_, audit) = server.get("/api/v1/audit", &admin).await;
    let actions = audit.to_string();
    assert!(actions.contains(r#""invited""#) && actions.contains("account_registered"), "{audit}");
    assert!(!actions.contains(token_of(&link)) && !server.log().contains(token_of(&link)));
}

#[tokio::test]
async fn links_that_do_not_work_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("MAI_MOCK_UPSTREAM", "true")];
    let mut server = Server::start_in(directory.path(), &settings).await;
    let admin = server.admin().await;
    let late = invite_one(&server, &admin, "late@example.com").await;
    let withdrawn = invite_one(&server, &admin, "withdrawn@example.com").await;
    let renewed = invite_one(&server, &admin, "renewed@example.com").await;
    let (_, all) = server.get("/api/v1/invitations", &admin).await;
    let id = |email: &str| {
        let all = all["invitations"].as_array().unwrap();
        all.iter().find(|one| one["email"] == email).unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(server.delete(&format!("/api/v1/invitations/{}", id("withdrawn@example.com")), &admin).await.0, 200);
    let renewal = format!("/api/v1/invitations/{}/renew", id("renewed@example.com"));
    let (_, fresh) = server.post(&renewal, &admin, json!({})).await;
    server.terminate().await;
    change_data(directory.path(), "UPDATE account_link SET expires_at = 1 WHERE email = ?", "late@example.com").await;
    let server = Server::start_in(directory.path(), &settings).await;

    for (link, status, words) in [
        (late.as_str(), 410, "It has expired"),
        (&withdrawn, 404, "It may be incomplete"),
        (&renewed, 404, "replaced by a newer one"),
        ("http://x/invitation?token=", 404, "It may be incomplete"),
    ] {
        let (found, shown) = page(&server, &path_of(link)).await;
        assert!(found == status && shown.contains(words) && !shown.contains("<form"), "{link}: {found} {shown}");
        let (found, _) = accept(&server, link).await;
        assert_eq!(found, status, "{link}");
    }
    // One that has ended takes no seat and is no obstacle.
    invite_one(&server, &admin, "late@example.com").await;
    assert!(accept(&server, fresh["link"].as_str().unwrap()).await.0 < 400);
}

#[tokio::test]
async fn invitations_take_seats_and_each_line_is_answered() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true"), ("MAI_MAX_USERS", "4")]).await;
    let admin = server.admin().await;
    server.user(&admin, "jan@example.com").await;
    let people = json!([
        { "name": "Jan", "email": "JAN@example.com" },
        { "name": "Ann", "email": "ann@example.com", "role": "admin" },
        { "name": "Ann", "email": "ann@example.com" },
        { "name": "No", "email": "nowhere" },
        { "name": "Bob", "email": "bob@example.com" },
        { "name": "Eve", "email": "eve@example.com" },
    ]);
    let entries = invite(&server, &admin, people).await;
    let problems: Vec<&str> = entries.iter().map(|entry| entry["error"].as_str().unwrap_or("")).collect();
    assert!(problems[0].contains("already registered") && problems[2].contains("invited already"), "{problems:?}");
    assert!(problems[1].is_empty() && problems[4].is_empty(), "{problems:?}");
    assert!(problems[3].contains("email address") && problems[5].contains("All 4 accounts"), "{problems:?}");
    assert_eq!(entries[1]["role"], "admin");
    // An account that is added by hand meanwhile takes the seat of an invitation.
    let taken = json!({ "name": "Max", "email": "max@example.com", "password": PASSWORD, "role": "user" });
    assert_eq!(server.post("/api/v1/auths/add", &admin, taken.clone()).await.0, 200);
    assert!(accept(&server, entries[1]["link"].as_str().unwrap()).await.0 < 400);
    let (status, shown) = accept(&server, entries[4]["link"].as_str().unwrap()).await;
    assert!(status == 403 && shown.contains("Welcome, Bob"), "{shown}");
}

#[tokio::test]
async fn ended_invitation_is_renewed_into_a_free_seat_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("MAI_MOCK_UPSTREAM", "true"), ("MAI_MAX_USERS", "2")];
    let mut server = Server::start_in(directory.path(), &settings).await;
    let admin = server.admin().await;
    let late = invite(&server, &admin, json!([{ "name": "Late", "email": "late@example.com" }])).await;
    server.terminate().await;
    change_data(
        directory.path(),
        "UPDATE account_link SET expires_at = expires_at - 691200000 WHERE email = ?",
        "late@example.com",
    )
    .await;
    let server = Server::start_in(directory.path(), &settings).await;
    let other = invite(&server, &admin, json!([{ "name": "Other", "email": "other@example.com" }])).await;
    let renew = async |entry: &Value| {
        let path = format!("/api/v1/invitations/{}/renew", entry["id"].as_str().unwrap());
        server.post(&path, &admin, json!({})).await.0.as_u16()
    };
    assert_eq!((renew(&late[0]).await, renew(&other[0]).await), (403, 200), "one that works has its seat");
    let path = format!("/api/v1/invitations/{}", other[0]["id"].as_str().unwrap());
    assert_eq!(server.delete(&path, &admin).await.0, 200);
    assert_eq!(renew(&late[0]).await, 200);
}

#[tokio::test]
async fn pasted_list_is_shown_before_anybody_is_invited() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true"), ("MAI_MAX_USERS", "20")]).await;
    let admin = server.admin().await;
    let mut list: String = (1..=19).map(|number| format!("Person {number}; p{number}@example.com\n")).collect();
    list.push_str("=cmd();x@example.com\nP1@example.com\n");
    let post = async |form: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = server.request(Method::POST, "/users/invitations").bearer_auth(&admin);
        let request =
            request.header("accept-language", "en").header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap().text().await.unwrap()
    };
    let shown = post(&[("list", &list)]).await;
    assert!(shown.contains("Invite 19 people") && shown.contains("2 lines are left out"), "{shown}");
    assert!(shown.contains("looks like a formula") && shown.contains("Same address as line 1"), "{shown}");
    let (_, none) = server.get("/api/v1/invitations", &admin).await;
    assert_eq!(none["invitations"], json!([]));

    let sent = post(&[("list", &list), ("invite", "yes")]).await;
    assert!(sent.contains("19 people are invited"), "{sent}");
    let links: Vec<&str> = sent.split("http://").skip(1).map(|rest| rest.split(['<', '\n']).next().unwrap()).collect();
    assert_eq!(links.len(), 2 * 19, "in the table and in the text");
    let accepted = accept(&server, &format!("http://{}", links[18])).await;
    assert!(accepted.0 < 400, "{accepted:?}");
    let again = post(&[("list", &list)]).await;
    assert!(again.contains("Has an account") && again.contains("Is invited") && !again.contains("name=\"invite\""));
    let empty = post(&[("list", " ")]).await;
    assert!(empty.contains("Put one person on each line"), "{empty}");
}

#[tokio::test]
async fn password_link_ends_all_sessions_of_its_owner() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "jan@example.com").await;
    let path = format!("/api/v1/users/{id}/password-link");
    let (_, first) = server.post(&path, &admin, json!({})).await;
    let (_, second) = server.post(&path, &admin, json!({})).await;
    let [first, second] = [&first, &second].map(|link| link["link"].as_str().unwrap());
    assert_eq!(page(&server, &path_of(first)).await.0, 404, "the newer one replaces it");
    // It is no invitation.
    assert_eq!(accept(&server, second).await.0, 404);
    let (status, shown) = page(&server, &path_of(second)).await;
    assert!(status == 200 && shown.contains("jan@example.com"), "{shown}");

    let form = [("token", token_of(second)), ("password", "another good password")];
    let saved = send(&server, "/new-password", &form).await;
    assert!(saved.status() == 200 && saved.text().await.unwrap().contains("Please sign in"));
    assert_eq!(server.get("/api/v1/auths/", &user).await.0, 401, "the session has ended");
    assert_eq!(server.sign_in("jan@example.com", PASSWORD).await.0, 400);
    assert_eq!(server.sign_in("jan@example.com", "another good password").await.0, 200);
    assert_eq!(send(&server, "/new-password", &form).await.status(), StatusCode::GONE);

    // Nobody who was removed comes back.
    let (_, last) = server.post(&path, &admin, json!({})).await;
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &admin).await.0, 200);
    assert_eq!(page(&server, &path_of(last["link"].as_str().unwrap())).await.0, 404);
}

#[tokio::test]
async fn links_end_with_the_password_and_the_rights_behind_them() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "jan@example.com").await;
    let path = format!("/api/v1/users/{id}/password-link");
    let link = async || {
        let (_, link) = server.post(&path, &admin, json!({})).await;
        path_of(link["link"].as_str().unwrap())
    };
    // The person, or an administrator, changes the password while a link is on its way.
    let open = link().await;
    let change = json!({ "password": PASSWORD, "new_password": "another good password" });
    assert_eq!(server.post("/api/v1/auths/update/password", &user, change).await.0, 200);
    assert_eq!(page(&server, &open).await.0, 404);
    let open = link().await;
    let update = format!("/api/v1/users/{id}/update");
    assert_eq!(server.post(&update, &admin, json!({ "password": PASSWORD })).await.0, 200);
    assert_eq!(page(&server, &open).await.0, 404);

    // Whoever is no administrator any more lets nobody in.
    for ending in ["demoted", "removed"] {
        let (other_id, other) = server.user(&admin, &format!("{ending}@example.com")).await;
        let role = format!("/api/v1/users/{other_id}/update");
        assert_eq!(server.post(&role, &admin, json!({ "role": "admin" })).await.0, 200);
        let invited = json!([{ "name": "Max", "email": format!("max-{ending}@example.com"), "role": "admin" }]);
        let invited = invite(&server, &other, invited).await;
        let link = invited[0]["link"].as_str().unwrap();
        let ended = match ending {
            "demoted" => server.post(&role, &admin, json!({ "role": "user" })).await.0,
            _ => server.delete(&format!("/api/v1/users/{other_id}"), &admin).await.0,
        };
        assert_eq!(ended, 200);
        assert_eq!(accept(&server, link).await.0, 404, "{ending}");
    }
}
