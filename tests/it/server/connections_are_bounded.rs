//! Callers who keep a server waiting do not keep others out.

use std::io::Write;
use std::net::TcpStream;

use reqwest::Method;

use crate::fixtures::serve::{Server, client};

#[tokio::test]
async fn half_sent_requests_do_not_hold_the_server() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    // More than most systems let a process have open, unless it asks for more.
    mai_listener::raise_file_limit();
    let held: Vec<TcpStream> = (0..1100)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(b"POST /api/v1/auths/signin HTTP/1.1\r\nhost: x\r\ncontent-le").unwrap();
            stream
        })
        .collect();
    for path in ["/ready", "/api/v1/auths/"] {
        // A client of its own, so that no kept connection helps.
        let request = client().request(Method::GET, format!("{}{path}", server.url)).bearer_auth(&admin);
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
    drop(held);
}
