//! Failures are worded in the language of their reader, with the provider's words unchanged; the
//! JSON API speaks English.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server, send};
use crate::fixtures::upstream::{KEY, Mock};

const WORDS: &str = "Insufficient credits. Add more using https://openrouter.ai/credits (402)";

/// Returns a page as a reader of this language gets it.
async fn page(server: &Server, token: &str, path: &str, language: &str) -> String {
    let request = server.request(Method::GET, path).bearer_auth(token).header("accept-language", language);
    request.send().await.unwrap().text().await.unwrap()
}

/// Asks a question that the provider refuses, as an English reader, and returns the path of the
/// chat.
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
    let deadline = Instant::now() + PATIENCE;
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

/// Sends the form of the connection page and returns the page that comes back.
async fn save_connection(server: &Server, token: &str, base_url: &str, key: &str, language: &str) -> (u16, String) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("base_url", base_url), ("key", key)])
        .finish();
    let sent = server
        .request(Method::POST, "/connection")
        .bearer_auth(token)
        .header("accept-language", language)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let response = sent.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn connection_problem_is_worded_in_the_language_of_its_reader() {
    let mock = Mock::start().await;
    let server = Server::start(&[LOCAL_UPSTREAMS]).await;
    let token = server.admin().await;
    let no_models = mock.base_url().replace("/api/v1", "/elsewhere");
    for (base_url, key, english, polish) in [
        ("openrouter.ai", KEY, "“openrouter.ai” is not a base URL.", "„openrouter.ai” to nie jest adres bazowy."),
        ("ftp://abc", KEY, "“ftp://abc” cannot be used: ", "Nie można użyć „ftp://abc”: adres bazowy zaczyna się od"),
        (
            &mock.base_url(),
            "wrong",
            "provider refused: User not found (HTTP 401)",
            "Dostawca odmówił: User not found (HTTP 401)",
        ),
        (
            "http://127.0.0.1:2/v1",
            KEY,
            "The provider at http://127.0.0.1:2 could not be reached: Connection refused",
            "Nie udało się połączyć z dostawcą pod adresem http://127.0.0.1:2: Connection refused",
        ),
        (
            "http://10.0.0.1/v1",
            KEY,
            "http://10.0.0.1 is not called, because it has a private address.",
            "Połączenie z http://10.0.0.1 jest zablokowane: ten serwer ma adres prywatny.",
        ),
        (&no_models, KEY, "Is the base URL right?", "Czy adres bazowy jest prawidłowy?"),
    ] {
        for (language, words, foreign) in [("en", english, polish), ("pl", polish, english)] {
            let (answered, html) = save_connection(&server, &token, base_url, key, language).await;
            assert_eq!(answered, 400, "{base_url}");
            assert!(html.contains(words) && !html.contains(foreign), "{base_url} in {language}: {html}");
        }
    }
    let sent = server.request(Method::POST, "/api/v1/connection").bearer_auth(&token).header("accept-language", "pl");
    let (_, body) = send(sent.json(&json!({ "base_url": "ftp://abc", "key": KEY }))).await;
    assert_eq!(body["detail"], "\"ftp://abc\" can't be a base URL: it has to begin with https:// or http://");
}

#[tokio::test]
async fn problem_of_the_model_list_is_worded_per_reader() {
    let server = Server::start(&[("OPENAI_API_BASE_URL", "http://127.0.0.1:9/v1"), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    let english = "The provider at http://127.0.0.1:9 could not be reached: ";
    let polish = "Nie udało się połączyć z dostawcą pod adresem http://127.0.0.1:9: ";
    for (language, words, foreign) in [("en", english, polish), ("pl", polish, english)] {
        let html = page(&server, &token, "/chat", language).await;
        assert!(html.contains(words) && !html.contains(foreign), "{language}: {html}");
    }
}
