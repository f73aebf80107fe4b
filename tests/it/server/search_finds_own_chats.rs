//! A search finds the words of one's own chats, whatever is written, changed, deleted or copied.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{Server, send};

async fn start() -> (Server, String) {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let token = server.admin().await;
    (server, token)
}

async fn post_form(server: &Server, token: &str, path: &str, fields: &[(&str, &str)]) -> reqwest::Response {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = server.request(Method::POST, path).bearer_auth(token);
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap()
}

/// Asks a question in a new chat, waits for the answer, and returns the id of the chat.
async fn ask(server: &Server, token: &str, question: &str) -> String {
    let asked = post_form(server, token, "/chat", &[("text", question), ("model", "openai/gpt-5")]).await;
    let location = asked.headers().get("location").map(|path| path.to_str().unwrap().to_owned());
    let path = location.unwrap_or_else(|| asked.url().path().to_owned());
    let id = path.strip_prefix("/chat/").unwrap().to_owned();
    let deadline = Instant::now() + PATIENCE;
    while server.get(&format!("/api/v1/chats/{id}"), token).await.1["messages"][1]["status"] != "done" {
        assert!(Instant::now() < deadline, "no answer to {question}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    id
}

fn address(path: &str, text: &str) -> String {
    format!("{path}?{}", url::form_urlencoded::Serializer::new(String::new()).append_pair("query", text).finish())
}

/// Returns the ids of the chats that a search finds.
async fn find(server: &Server, token: &str, text: &str) -> Vec<String> {
    let (status, chats) = server.get(&address("/api/v1/chats/", text), token).await;
    assert_eq!(status, StatusCode::OK, "{text}: {chats}");
    let id = |chat: &Value| chat["id"].as_str().unwrap().to_owned();
    chats.as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn words_are_found_in_any_spelling_and_never_interpreted() {
    let (server, token) = start().await;
    let invoice = ask(&server, &token, "Sprawdź fakturę za żółte łyżki, nr 2026/11/30").await;
    let other = ask(&server, &token, "Near the \"col:umn\" AND the table-top, 100% _wool_").await;
    let (invoice, other) = ([invoice], [other]);
    for (text, expected) in [
        ("fakturę", &invoice[..]),
        ("FAKTURE", &invoice),
        ("fakt", &invoice),
        ("zolte lyzk", &invoice),
        ("łyżki żółte", &invoice),
        ("lyz faktur", &[]),
        ("2026/11/30", &invoice),
        ("AND wool", &other),
        ("\"col:umn\"", &other),
        ("wool OR zebra", &[]),
        ("near( the", &other),
        ("table-top", &other),
        ("100%", &other),
        ("^wool", &other),
        ("words : zebras", &[]),
        ("% _ * \" ' -", &[]),
        ("\0", &[]),
    ] {
        assert_eq!(find(&server, &token, text).await, expected, "{text}");
    }
    assert_eq!(find(&server, &token, " \t").await.len(), 2, "nothing is searched for");
}

#[tokio::test]
async fn nobody_finds_the_chats_of_another() {
    let (server, admin) = start().await;
    let (_, user) = server.user(&admin, "eve@example.com").await;
    let chat = ask(&server, &admin, "The confidential acquisition").await;
    let me = server.get("/api/v1/auths/", &admin).await.1["id"].as_str().unwrap().replace('-', "");
    // The word that marks an entry's owner is of no use to anybody.
    ask(&server, &user, &format!("Mine \u{e000}{me}")).await;
    assert!(find(&server, &user, "confidential").await.is_empty());
    for text in [me.clone(), format!("\u{e000}{me}"), format!("confidential \u{e000}{me}")] {
        assert!(!find(&server, &user, &text).await.contains(&chat), "{text}");
    }
    assert_eq!(find(&server, &admin, "confid").await, [chat]);
    assert!(find(&server, &admin, "mine").await.is_empty());
}

#[tokio::test]
async fn search_knows_what_was_changed_and_deleted() {
    let (server, token) = start().await;
    let chat = ask(&server, &token, "The first wording").await;
    assert_eq!(find(&server, &token, "wording").await, [chat.as_str()]);
    let path = format!("/chat/{chat}");
    post_form(&server, &token, &format!("{path}/rename"), &[("title", "Płaszcz")]).await;
    assert_eq!(find(&server, &token, "plaszcz").await, [chat.as_str()]);
    post_form(&server, &token, &format!("{path}/rename"), &[("title", "Coat")]).await;
    assert!(find(&server, &token, "plaszcz").await.is_empty(), "a former title is found");
    let (_, user) = server.user(&token, "leaving@example.com").await;
    ask(&server, &user, "Written by somebody who leaves").await;
    let id = server.get("/api/v1/auths/", &user).await.1["id"].as_str().unwrap().to_owned();
    assert_eq!(server.delete(&format!("/api/v1/users/{id}"), &token).await.0, StatusCode::OK);
    post_form(&server, &token, &format!("{path}/delete"), &[]).await;
    assert!(find(&server, &token, "wording").await.is_empty() && find(&server, &token, "coat").await.is_empty());
    let file = format!("sqlite:{}", server.data_dir().join("mai.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    let left: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM search_entry), (SELECT count(*) FROM search_index)")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(left, (0, 0), "entries of deleted chats are left");
}

#[tokio::test]
async fn search_that_is_too_long_is_refused_in_words() {
    let (server, token) = start().await;
    ask(&server, &token, "Anything").await;
    for text in ["ż".repeat(201), "a ".repeat(17), "x".repeat(30_000)] {
        let (status, answer) = server.get(&address("/api/v1/chats/", &text), &token).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains("at most 200 characters and 16 words"), "{answer}");
        for (path, language, words) in
            [("/chats", "en", "Shorten it."), ("/chats", "pl", "Skróć je."), ("/chat", "en", "Shorten it.")]
        {
            let request = server.request(Method::GET, &address(path, &text)).bearer_auth(&token);
            let page = request.header("accept-language", language).send().await.unwrap();
            assert_eq!(page.status(), StatusCode::BAD_REQUEST);
            let html = page.text().await.unwrap();
            assert!(html.contains(words) && !html.contains("No chats found"), "{html}");
        }
    }
}

/// Takes from a database what the search needs, as it was before there was one.
const BEFORE_THE_SEARCH: &str = "
    DROP TRIGGER message_is_searchable; DROP TRIGGER message_is_searchable_anew; DROP TRIGGER title_is_searchable;
    DROP TRIGGER title_is_searchable_anew; DROP TRIGGER message_leaves_the_search; DROP TRIGGER title_leaves_the_search;
    DROP TABLE search_index; DROP TABLE search_entry; DELETE FROM _sqlx_migrations WHERE version = 21;";

#[tokio::test]
async fn chats_of_an_earlier_version_and_of_a_copy_are_found() {
    let (mut server, token) = start().await;
    let deleted = ask(&server, &token, "One that goes again").await;
    let chat = ask(&server, &token, "Dawna rozmowa o łąkach").await;
    post_form(&server, &token, &format!("/chat/{deleted}/delete"), &[]).await;
    server.terminate().await;
    let data = server.data_dir();
    let file = format!("sqlite:{}", data.join("mai.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    // As any copy that numbers rows anew where it may.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(data.join("mai.secret"), copy.path().join("mai.secret")).ok();
    sqlx::query("VACUUM INTO ?")
        .bind(copy.path().join("mai.db").display().to_string())
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::raw_sql(BEFORE_THE_SEARCH).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    for directory in [copy.path(), &data] {
        let server = Server::start_in(directory, &[("MAI_MOCK_UPSTREAM", "true")]).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = server.request(Method::GET, &address("/api/v1/chats/", "laka")).bearer_auth(&token);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            if !response.headers().contains_key("x-mai-search") {
                break;
            }
            assert!(Instant::now() < deadline, "the search stays incomplete");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(find(&server, &token, "łąka").await, [chat.as_str()]);
        assert!(find(&server, &token, "goes").await.is_empty());
    }
}

#[tokio::test]
async fn search_says_that_it_is_not_complete_yet() {
    let (server, token) = start().await;
    let chat = ask(&server, &token, "Meadows").await;
    let file = format!("sqlite:{}", server.data_dir().join("mai.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    sqlx::query("UPDATE search_entry SET is_pending = 1").execute(&mut database).await.unwrap();
    let request = server.request(Method::GET, &address("/api/v1/chats/", "meadows")).bearer_auth(&token);
    assert_eq!(request.send().await.unwrap().headers()["x-mai-search"], "incomplete");
    for (language, words) in [("en", "still being prepared"), ("pl", "jeszcze przygotowywane")] {
        let request = server.request(Method::GET, &address("/chats", "meadows")).bearer_auth(&token);
        let html = request.header("accept-language", language).send().await.unwrap().text().await.unwrap();
        assert!(html.contains(words) && html.contains(&chat), "{html}");
    }
    let (status, _) = send(server.request(Method::GET, "/chats").bearer_auth(&token)).await;
    assert_eq!(status, StatusCode::OK);
}
