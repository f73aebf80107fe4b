//! Another site cannot make a browser act with our cookie, and cannot sniff or frame our pages.

use reqwest::{Method, header};
use serde_json::json;

use crate::fixtures::serve::{Server, send};

#[tokio::test]
async fn cross_site_request_with_cookie_is_refused() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let add = || {
        server
            .request(Method::POST, "/api/v1/auths/api_keys")
            .header(header::COOKIE, format!("token={admin}"))
            .json(&json!({ "name": "key" }))
    };
    let (status, body) = send(add().header("sec-fetch-site", "cross-site")).await;
    assert_eq!(status, 403);
    assert!(body["detail"].as_str().unwrap().contains("another site"));
    assert_eq!(send(add().header("origin", "https://evil.example")).await.0, 403);

    assert_eq!(send(add().header("sec-fetch-site", "same-origin")).await.0, 200);
    assert_eq!(send(add().header("origin", &server.url)).await.0, 200, "plain http sends no sec-fetch-site");
    assert_eq!(send(add()).await.0, 200, "programs send neither");
}

#[tokio::test]
async fn credential_of_a_proxy_changes_nothing() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let admin = server.admin().await;
    for scheme in ["Basic b2ZmaWNlOmRvb3I=", "Digest username=\"office\"", "Negotiate YII=", "NTLM TlRM"] {
        let request = |method, path| {
            server
                .request(method, path)
                .header(header::AUTHORIZATION, scheme)
                .header(header::COOKIE, format!("token={admin}"))
        };
        for path in ["/chat", "/account", "/usage", "/api/v1/auths/"] {
            let response = request(Method::GET, path).send().await.unwrap();
            assert_eq!(response.status(), 200, "{path} with {scheme}");
        }
        for path in ["/theme", "/sign-out", "/sign-in", "/api/v1/auths/api_keys"] {
            let forged = request(Method::POST, path).header("sec-fetch-site", "cross-site").body("theme=dark");
            assert_eq!(forged.send().await.unwrap().status(), 403, "{path} with {scheme}");
        }
    }
}

#[tokio::test]
async fn request_with_bearer_or_key_ignores_origin() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let request = server
        .request(Method::POST, "/api/v1/auths/api_keys")
        .bearer_auth(&admin)
        .header("origin", "app://desktop")
        .json(&json!({ "name": "key" }));
    assert_eq!(send(request).await.0, 200);
}

#[tokio::test]
async fn responses_carry_security_headers() {
    let server = Server::start(&[]).await;
    for path in ["/health", "/api/config", "/api/nowhere", "/v1/models", "/api/v1/users/", "/assets/0/none"] {
        let response = server.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        let policy = &response.headers()["content-security-policy"];
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn unknown_api_paths_and_methods_return_json() {
    let server = Server::start(&[]).await;
    for (path, status, detail) in
        [("/api/v1/nope", 404, "Not Found"), ("/api/v1/auths/signout", 405, "Method Not Allowed")]
    {
        let (answered, body) = send(server.request(Method::GET, path)).await;
        assert_eq!((answered.as_u16(), &body["detail"]), (status, &json!(detail)), "{path}");
    }
}
