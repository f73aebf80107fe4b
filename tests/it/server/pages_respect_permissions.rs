//! A page shows what its reader is permitted to see, redirects others to sign in, and allows no
//! scripts but ours.

use reqwest::{Client, Method, Response, StatusCode, header, redirect};
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server, client};

/// A browser with a cookie, which does not follow redirects.
struct Browser<'a> {
    server: &'a Server,
    client: Client,
    token: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Self {
        client();
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { server, client, token: None }
    }

    async fn send(&mut self, method: Method, path: &str, form: &[(&str, &str)]) -> Response {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.server.url));
        if let Some(token) = &self.token {
            request = request.header(header::COOKIE, format!("token={token}"));
        }
        if method == Method::POST {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .body(body);
        }
        let response = request.send().await.unwrap();
        let cookies: Vec<&str> =
            response.headers().get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect();
        if let Some((_, token)) = cookies.iter().find_map(|cookie| cookie.split_once("_token=")) {
            let token = token.split(';').next().unwrap().to_owned();
            self.token = Some(token).filter(|token| !token.is_empty());
        }
        response
    }

    async fn get(&mut self, path: &str) -> Response {
        self.send(Method::GET, path, &[]).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Response {
        self.send(Method::POST, path, form).await
    }
}

fn location(response: &Response) -> &str {
    response.headers()[header::LOCATION].to_str().unwrap()
}

async fn registered(server: &Server) -> Browser<'_> {
    let mut anna = Browser::new(server);
    let response = anna
        .post("/register", &[("name", "Anna <i>Nowak"), ("email", "anna@abc.example"), ("password", PASSWORD)])
        .await;
    assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/chat"));
    anna
}

#[tokio::test]
async fn sign_in_returns_to_the_requested_local_page_only() {
    let server = Server::start(&[]).await;
    registered(&server).await;

    let mut stranger = Browser::new(&server);
    let response = stranger.get("/usage?month=2026-01&chart=tokens").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let door = location(&response).to_owned();
    assert_eq!(door, "/sign-in?back=%2Fusage%3Fmonth%3D2026-01%26chart%3Dtokens");
    let page = stranger.get(&door).await.text().await.unwrap();
    assert!(page.contains("value=\"/usage?month=2026-01&#38;chart=tokens\""), "the way back is lost");

    for (back, lands) in [
        ("/usage?month=2026-01", "/usage?month=2026-01"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/%0d%0aset-cookie:x=y", "/%0d%0aset-cookie:x=y"),
        ("/\r\nset-cookie: x=y", "/"),
    ] {
        let mut anna = Browser::new(&server);
        let form = [("email", "ANNA@abc.example"), ("password", PASSWORD), ("back", back)];
        let response = anna.post("/sign-in", &form).await;
        assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, lands), "{back:?}");
        assert_eq!(response.headers().get_all(header::SET_COOKIE).iter().count(), 2, "{back:?} set a cookie");
    }
}

#[tokio::test]
async fn sign_in_page_does_not_reveal_accounts() {
    let server = Server::start(&[]).await;
    registered(&server).await;
    let mut pages = Vec::new();
    for email in ["anna@abc.example", "nobody@abc.example"] {
        let mut stranger = Browser::new(&server);
        let response = stranger.post("/sign-in", &[("email", email), ("password", "not the password")]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(stranger.token.is_none());
        let page = response.text().await.unwrap().replace(email, "…");
        // The pages differ in their nonces alone.
        pages.push(
            page.split("nonce=\"")
                .map(|part| part.split_once('"').map_or(part, |(_, rest)| rest).to_owned())
                .collect::<String>(),
        );
    }
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn admin_pages_refuse_users_with_a_page() {
    let server = Server::start(&[]).await;
    let mut anna = registered(&server).await;
    let form = [("name", "Jan"), ("email", "jan@abc.example"), ("password", PASSWORD), ("role", "user")];
    assert_eq!(anna.post("/users", &form).await.status(), StatusCode::OK);

    let mut jan = Browser::new(&server);
    jan.post("/sign-in", &[("email", "jan@abc.example"), ("password", PASSWORD)]).await;
    let response = jan.get("/usage?month=2026-01").await;
    assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/usage/me"), "their own usage");
    for path in ["/users", "/connection", "/usage/live", "/usage/calls"] {
        let response = jan.get(path).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(response.text().await.unwrap().contains("Only for administrators"), "{path}");
    }
    let page = jan.get("/chat").await.text().await.unwrap();
    assert!(!page.contains("href=\"/users\"") && !page.contains("href=\"/usage\""), "a user is offered admin pages");
    assert!(page.contains("Anna &#60;i&#62;Nowak"), "a user is told whom to ask for a connection, escaped");
}

#[tokio::test]
async fn pages_forbid_foreign_scripts_and_caching() {
    let server = Server::start(&[]).await;
    let mut anna = registered(&server).await;
    let mut nonces = std::collections::HashSet::new();
    for path in [
        "/chat",
        "/users",
        "/connection",
        "/usage",
        "/usage/me",
        "/usage/calls",
        "/account",
        "/nothing-here",
        "/chat/nobodys",
    ] {
        let response = anna.get(path).await;
        let headers = response.headers().clone();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        for part in [
            "default-src 'none'",
            "script-src 'nonce-",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        let page = response.text().await.unwrap();
        assert_eq!(page.matches("<script").count(), page.matches(&format!("nonce=\"{nonce}\" src=")).count(), "{path}");
        assert!(nonces.insert(nonce), "{path} has the nonce of another page");
    }
}

#[tokio::test]
async fn sign_out_leaves_nothing_to_the_next_reader() {
    let server = Server::start(&[]).await;
    let mut anna = registered(&server).await;
    let page = anna.get("/chat").await.text().await.unwrap();
    let account = page.split("data-account=\"").nth(1).expect("drafts are kept by account").split('"').next().unwrap();
    assert_eq!(account.len(), 36, "{account}");
    assert!(page.contains("action=\"/sign-out\" data-sign-out"), "drafts stay where the header has no effect");

    let token = anna.token.clone().unwrap();
    let response = anna.post("/sign-out", &[]).await;
    assert_eq!(response.headers()["clear-site-data"], "\"cache\", \"storage\"");
    let page = anna.get("/sign-in").await.text().await.unwrap();
    assert!(!page.contains("data-account"), "the sign-in page belongs to nobody");

    let (_, session) = server.sign_in("anna@abc.example", PASSWORD).await;
    assert_ne!(session["token"], json!(token));
    let request = server.request(Method::POST, "/api/v1/auths/signout").bearer_auth(session["token"].as_str().unwrap());
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["clear-site-data"], "\"cache\", \"storage\"");
}

#[tokio::test]
async fn page_actions_refuse_api_keys() {
    let server = Server::start(&[]).await;
    let anna = registered(&server).await;
    let (status, made) = server.post("/api/v1/auths/api_keys", &anna.token.unwrap(), json!({ "name": "script" })).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let key = made["api_key"].as_str().or_else(|| made["key"].as_str()).expect("the new key is in the answer");
    let response = Browser::new(&server)
        .client
        .get(format!("{}/account", server.url))
        .header("x-api-key", key)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn page_language_follows_the_reader() {
    let server = Server::start(&[("DEFAULT_LOCALE", "pl")]).await;
    let mut anna = registered(&server).await;
    let lang = |page: &str| page.split("<html lang=\"").nth(1).unwrap()[..2].to_owned();
    assert_eq!(lang(&anna.get("/chat").await.text().await.unwrap()), "pl");
    let response = anna.post("/account/profile", &[("name", "Anna"), ("locale", "en")]).await;
    assert_eq!(location(&response), "/account?done=profile");
    assert_eq!(lang(&anna.get("/chat").await.text().await.unwrap()), "en");
}
