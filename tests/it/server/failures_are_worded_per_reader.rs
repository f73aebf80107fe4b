//! A failed answer is stored as a code with the provider's words, and worded in the language of its reader.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::serve::Server;

const WORDS: &str = "Insufficient credits. Add more using https://openrouter.ai/credits (402)";

/// Returns a page as a reader of this language gets it.
async fn page(server: &Server, token: &str, path: &str, language: &str) -> String {
    let request = server.request(Method::GET, path).bearer_auth(token).header("accept-language", language);
    request.send().await.unwrap().text().await.unwrap()
}

/// Asks a question that the provider refuses, as an English reader, and returns the path of the chat.
async fn failed_chat(server: &Server, token: &str) -> String {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("text", "mock: error=402"), ("model", "openai/gpt-5")])
        .finish();
    let asked = server
        .request(Method::POST, "/chat")
        .bearer_auth(token)
        .header("accept-language", "en")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let response = asked.send().await.unwrap();
    let location = response.headers().get("location").map(|path| path.to_str().unwrap().to_owned());
    let path = location.unwrap_or_else(|| response.url().path().to_owned());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !page(server, token, &path, "en").await.contains("The AI provider refused: ") {
        assert!(Instant::now() < deadline, "the answer at {path} did not fail");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    path
}

#[tokio::test]
async fn failure_is_worded_in_the_language_of_its_reader() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let token = server.admin().await;
    let path = failed_chat(&server, &token).await;
    for (language, before, after) in [
        ("en", "The AI provider refused: ", ". The provider account or key has no credit left"),
        ("pl", "Dostawca AI odmówił: ", ". Na koncie lub kluczu u dostawcy zabrakło środków"),
    ] {
        let html = page(&server, &token, &path, language).await;
        assert!(html.contains(&format!("{before}{WORDS}{after}")), "{html}");
    }
    let (_, chat) = server.get(&format!("/api/v1/chats{}", path.strip_prefix("/chat").unwrap()), &token).await;
    let message = &chat["messages"][1];
    assert_eq!((&message["status"], &message["error_code"]), (&json!("failed"), &json!("no_credit")));
    assert!(message["error"].as_str().unwrap().contains(WORDS), "{message}");
}

#[tokio::test]
async fn failure_of_an_earlier_version_stays_readable() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let token = server.admin().await;
    let path = failed_chat(&server, &token).await;
    let file = format!("sqlite:{}", server.data_dir().join("mai.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    sqlx::query(
        "UPDATE message SET error = 'A sentence of before.', failure = NULL, failure_status = NULL, failure_words = NULL
         WHERE status = 'failed'",
    )
    .execute(&mut database)
    .await
    .unwrap();
    for language in ["en", "pl"] {
        let html = page(&server, &token, &path, language).await;
        assert!(html.contains("A sentence of before."), "{html}");
    }
}
