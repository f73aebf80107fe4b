//! An upstream that an admin enters is at a public address, or where the provider allows it.

use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server};
use crate::fixtures::upstream::{KEY, Mock};

async fn save(server: &Server, admin: &str, base_url: &str) -> (StatusCode, Value) {
    server.post("/api/v1/connection", admin, json!({ "base_url": base_url, "key": KEY })).await
}

async fn ask(server: &Server, token: &str) -> (StatusCode, Value) {
    let body = json!({ "model": "openai/gpt-5", "messages": [{"role": "user", "content": "Why?"}] });
    server.post("/v1/chat/completions", token, body).await
}

#[tokio::test]
async fn address_that_is_not_public_is_refused_unasked() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start(&[("MAI_ALLOWED_UPSTREAM_NETWORKS", "10.99.0.0/16, fd99::/16")]).await;
    let admin = server.admin().await;
    for (host, kind) in [
        ("127.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.0.0.1", "loopback"),
        ("0.0.0.0", "loopback"),
        ("localhost", "loopback"),
        ("[::1]", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("[64:ff9b::7f00:1]", "loopback"),
        ("10.0.0.1", "private"),
        ("172.17.0.1", "private"),
        ("192.168.0.1", "private"),
        ("[fd00:ec2::254]", "private"),
        ("169.254.169.254", "link-local"),
        ("[fe80::1]", "link-local"),
        ("100.100.100.200", "shared"),
        ("224.0.0.1", "multicast"),
        ("168.63.129.16", "reserved"),
    ] {
        let (status, body) = save(&server, &admin, &format!("http://{host}:{port}/v1")).await;
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(status, 400, "{host}: {detail}");
        assert!(detail.contains(kind) && detail.contains("server.allowedUpstreamNetworks"), "{host}: {detail}");
    }
    assert!(listener.accept().now_or_never().is_none(), "a refused upstream was called");
    // Only the provider learns the addresses of their network.
    let (_, body) = save(&server, &admin, &format!("http://localhost:{port}/v1")).await;
    assert!(!body.to_string().contains("127.0.0.1"), "{body}");
    assert!(server.log().contains(&format!("origin=http://localhost:{port} address=")), "{}", server.log());
}

#[tokio::test]
async fn upstream_is_used_where_its_network_is_allowed() {
    let mock = Mock::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[LOCAL_UPSTREAMS]).await;
    let admin = server.admin().await;
    assert_eq!(save(&server, &admin, &mock.base_url()).await.0, 200);
    assert_eq!(ask(&server, &admin).await.0, 200);
    server.terminate().await;

    // The permission is withdrawn: what was saved before is not called any more.
    let server = Server::start_in(directory.path(), &[]).await;
    let (status, body) = ask(&server, &admin).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(status == 502 && message.contains("has a loopback address"), "{body}");
    let page = server.request(Method::GET, "/chat").bearer_auth(&admin).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("because it has a loopback address. Your provider can allow that network"), "{page}");
}

#[tokio::test]
async fn declared_upstream_may_be_anywhere() {
    let mock = Mock::start().await;
    let other = Mock::start().await;
    let ollama = other.base_url().replace("/api/v1", "");
    let settings = [("OPENAI_API_BASE_URL", mock.base_url()), ("OLLAMA_BASE_URL", ollama)];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start(&settings).await;
    let admin = server.admin().await;
    for base_url in [mock.base_url(), other.base_url()] {
        assert_eq!(save(&server, &admin, &base_url).await.0, 200, "{base_url}");
        assert_eq!(ask(&server, &admin).await.0, 200, "{base_url}");
    }
    let third = Mock::start().await;
    assert_eq!(save(&server, &admin, &third.base_url()).await.0, 400, "the port is a part of what is declared");
}

#[tokio::test]
async fn entered_url_is_bounded() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let long = format!("https://example.com/{}", "a".repeat(2100));
    for (base_url, words) in [
        ("http://example.com:25", "its port belongs to another protocol than HTTP"),
        ("https://example.com:6667/v1", "its port belongs to another protocol than HTTP"),
        ("http://example.com:0", "its port belongs to another protocol than HTTP"),
        (&long, "it is too long"),
        ("gopher://example.com/", "it has to begin with https:// or http://"),
        ("https://me@example.com/v1", "no user name or password"),
    ] {
        let (status, body) = save(&server, &admin, base_url).await;
        let detail = body["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains(words) && detail.len() < 300, "{base_url}: {detail}");
    }
}

#[tokio::test]
async fn network_that_cannot_be_read_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("MAI_ALLOWED_UPSTREAM_NETWORKS", "10.0.0.0/40")];
    let child = crate::fixtures::serve::command(directory.path(), &settings).spawn().unwrap();
    let (code, error) = crate::fixtures::serve::wait_failure(child).await;
    assert!(code == 2 && error.contains("MAI_ALLOWED_UPSTREAM_NETWORKS: \"10.0.0.0/40\""), "{code} {error}");
}
