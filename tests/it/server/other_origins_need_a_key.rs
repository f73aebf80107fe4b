//! Pages of declared origins call the API from a browser with a key, and never with a cookie.

use reqwest::{Method, Response, StatusCode, header};
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server, command, wait_failure};

const ORIGIN: &str = "https://app.example.com";

async fn preflight(server: &Server, path: &str, origin: &str, names: &str) -> Response {
    let request = server.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    let request = if names.is_empty() { request } else { request.header("access-control-request-headers", names) };
    request.send().await.unwrap()
}

fn granted(response: &Response) -> Option<&str> {
    assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn preflight_is_granted_to_declared_origins_with_a_key() {
    let server = Server::start(&[("MAI_CORS_ALLOWED_ORIGINS", "https://App.example.com:443, app://notes")]).await;
    let chat = "/v1/chat/completions";
    for (path, origin, names, expected) in [
        (chat, ORIGIN, "authorization, content-type, x-stainless-os", Some(ORIGIN)),
        ("//v1//chat/completions/", ORIGIN, "Authorization", Some(ORIGIN)),
        (chat, "app://notes", "x-api-key", Some("app://notes")),
        (chat, "https://other.example.com", "authorization", None),
        (chat, "null", "authorization", None),
        (chat, ORIGIN, "content-type", None),
        ("/api/v1/auths/signin", ORIGIN, "content-type", None),
        (chat, ORIGIN, "", None),
        ("/chat", ORIGIN, "authorization", None),
    ] {
        let response = preflight(&server, path, origin, names).await;
        assert_eq!(granted(&response), expected, "{path} {origin} {names}");
        assert_eq!(response.status() == StatusCode::NO_CONTENT, expected.is_some(), "{path} {origin} {names}");
        if expected.is_some() {
            assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], names);
            assert!(response.headers()[header::VARY].to_str().unwrap().contains("origin"));
        }
    }
}

#[tokio::test]
async fn answer_is_readable_with_a_key_and_never_with_a_cookie() {
    let settings = [("MAI_CORS_ALLOWED_ORIGINS", ORIGIN), ("MAI_MOCK_UPSTREAM", "true")];
    let server = Server::start(&settings).await;
    let admin = server.admin().await;
    let get = |path: &str, origin: &str| server.request(Method::GET, path).header("origin", origin);
    for path in ["/v1/models", "/v1/models/none", "/api/v1/usage/me"] {
        assert_eq!(granted(&get(path, ORIGIN).bearer_auth(&admin).send().await.unwrap()), Some(ORIGIN), "{path}");
        let stranger = get(path, "https://other.example.com").bearer_auth(&admin).send().await.unwrap();
        assert_eq!(granted(&stranger), None, "{path}");
    }
    // A wrong key is told to the page as well.
    let wrong = get("/v1/models", ORIGIN).bearer_auth("sk-wrong").send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), granted(&wrong)), (401, Some(ORIGIN)));
    let cookie = format!("token={admin}");
    let with_cookie = get("/v1/models", ORIGIN).header("cookie", &cookie).send().await.unwrap();
    assert_eq!((with_cookie.status().as_u16(), granted(&with_cookie)), (200, None));
    let page = get("/chat", ORIGIN).bearer_auth(&admin).send().await.unwrap();
    assert_eq!(granted(&page), None);
    let body = json!({ "email": "admin@example.com", "password": PASSWORD });
    let sign_in = server.request(Method::POST, "/api/v1/auths/signin").header("origin", ORIGIN).json(&body);
    assert_eq!(granted(&sign_in.send().await.unwrap()), None);
}

#[tokio::test]
async fn any_origin_is_allowed_by_a_star_and_none_by_default() {
    for (setting, expected) in [("*", Some("*")), ("", None)] {
        let server = Server::start(&[("MAI_CORS_ALLOWED_ORIGINS", setting)]).await;
        let response = preflight(&server, "/v1/models", "null", "authorization").await;
        assert_eq!(granted(&response), expected, "{setting:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let settings = [("MAI_CORS_ALLOWED_ORIGINS", "https://app.example.com/chat")];
    let (code, error) = wait_failure(command(directory.path(), &settings).spawn().unwrap()).await;
    assert!(code == 2 && error.contains("without a path"), "{code} {error}");
}
