//! A person's chat while others attack the server: hostile connections, searches, answers and
//! sign-ins at once, compared with the same chat without them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::chat::Client;
use crate::load::{Load, Outcome, run};
use crate::process::get;
use crate::report::Report;

/// Half-sent requests that are held open.
const HALF_SENT: usize = 1500;
/// Addresses that the attackers connect from.
const ADDRESSES: usize = 60;
/// Each attack at once.
const AT_ONCE: usize = 4;
/// Chats that are searched.
const CHATS: usize = 100;
/// Pause of an attacker between two requests.
const PAUSE: Duration = Duration::from_millis(20);
/// Interval between two requests for `/ready`.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Measures the chat and `/ready` with and without the attack.
pub async fn measure(binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    if !report.wants("attack") {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let Client { mock, server, token } = Client::start(binary, data.path()).await?;
    let body = json!({"model": "openai/gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "How are you?"}], "metadata": {"mock": "chunks=50 delay=10"}});
    let chat = Load {
        rate: None,
        to: server.address,
        path: "/api/chat/completions",
        authorization: format!("Bearer {token}"),
        body: body.to_string().into(),
        connections: 8,
        requests: 160,
    };

    let (alone, ready_alone) = probed(&chat).await?;
    let attack = Attack::begin(server.address, &token).await?;
    let (attacked, ready) = probed(&chat).await?;
    let counts = attack.counts();
    let resident = server.resident_kib()?;
    drop(attack);

    let seconds = |outcome: &Outcome| outcome.median().as_secs_f64();
    report.add(
        "attack: paced stream (50 chunks, 10 ms), c=8, median",
        format!("{:.3} s without it", seconds(&alone)),
        format!("{:.3} s = {:.2}x; {counts}", seconds(&attacked), seconds(&attacked) / seconds(&alone)),
        "≤ 1.5x",
        seconds(&attacked) <= seconds(&alone) * 1.5,
    );
    let figures = |times: &[Duration]| {
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        format!("median {:.1} ms, p99 {:.1} ms, worst {:.1} ms", at(0.5), at(0.99), at(1.0))
    };
    report.add(
        "attack: /ready",
        figures(&ready_alone),
        format!("{}; {:.0} MiB resident", figures(&ready), resident as f64 / 1024.0),
        "≤ 100 ms",
        ready.last().is_some_and(|worst| *worst <= Duration::from_millis(100)),
    );
    server.stop().await?;
    mock.stop().await
}

/// Runs a load and returns it with the sorted times of `/ready` meanwhile.
async fn probed(load: &Load) -> anyhow::Result<(Outcome, Vec<Duration>)> {
    let to = load.to;
    let mut times = Vec::new();
    let mut probe = async || -> anyhow::Result<()> {
        loop {
            let started = Instant::now();
            anyhow::ensure!(get(to, "/ready").await? == 200, "/ready did not answer 200");
            times.push(started.elapsed());
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    };
    let outcome = tokio::select! {
        outcome = run(load) => outcome?,
        failed = probe() => return Err(failed.err().context("the probes ended")?),
    };
    times.sort_unstable();
    anyhow::ensure!(!times.is_empty(), "/ready was not asked");
    Ok((outcome, times))
}

/// Attackers, who stop when it is dropped.
struct Attack {
    _tasks: JoinSet<()>,
    done: [Arc<AtomicUsize>; 4],
}

impl Attack {
    async fn begin(to: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let done: [Arc<AtomicUsize>; 4] = Default::default();
        let mut tasks = JoinSet::new();
        for number in 0..HALF_SENT {
            tasks.spawn(hold(to, source(number), Arc::clone(&done[0])));
        }
        let bearer = format!("Bearer {token}");
        for _ in 0..CHATS {
            begin_chat(to, &bearer, "chunks=1 size=40000 text=word+").await?;
        }
        let chat = begin_chat(to, &bearer, "chunks=1 size=40000 text=>").await?;
        let searches = ["a+b+".repeat(7_500), "w+o+r+d".to_owned()].map(|query| format!("/chats?query={query}"));
        for (number, search) in (0..AT_ONCE).zip(searches.iter().cycle()) {
            let request = Request::get(search).header(header::AUTHORIZATION, &bearer);
            tasks.spawn(repeat(to, source(number), request.body(Full::default())?, Arc::clone(&done[1])));
        }
        for number in 0..AT_ONCE {
            let request = Request::get(&chat).header(header::AUTHORIZATION, &bearer);
            tasks.spawn(repeat(to, source(number), request.body(Full::default())?, Arc::clone(&done[2])));
        }
        for number in 0..ADDRESSES {
            let guess = json!({"email": format!("p{number}@b.c"), "password": "Spring2026!"}).to_string();
            let request = Request::post("/api/v1/auths/signin").header(header::CONTENT_TYPE, "application/json");
            let request = request.body(Full::new(Bytes::from(guess)))?;
            tasks.spawn(repeat(to, source(number), request, Arc::clone(&done[3])));
        }
        // The connections take a moment.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Self { _tasks: tasks, done })
    }

    fn counts(&self) -> String {
        let [held, searches, views, tries] = self.done.each_ref().map(|count| count.load(Ordering::Relaxed));
        format!("{held} half-sent requests, {searches} searches, {views} views, {tries} sign-ins")
    }
}

/// Returns the loopback address of an attacker, which is another network than that of people.
fn source(number: usize) -> IpAddr {
    let host = u8::try_from(number % ADDRESSES).unwrap_or_default();
    Ipv4Addr::new(127, 1, host, 1).into()
}

async fn connect(to: SocketAddr, from: IpAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(to).await?)
}

/// Sends half a request again whenever the server has closed the connection of the last.
async fn hold(to: SocketAddr, from: IpAddr, sent: Arc<AtomicUsize>) {
    loop {
        if let Ok(mut stream) = connect(to, from).await
            && stream.write_all(b"POST /api/v1/auths/signin HTTP/1.1\r\nhost: be").await.is_ok()
        {
            sent.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read(&mut [0; 512]).await;
        }
        tokio::time::sleep(PAUSE * 10).await;
    }
}

/// Sends a request again and again, on another connection when the server has closed the last.
async fn repeat(to: SocketAddr, from: IpAddr, request: Request<Full<Bytes>>, answered: Arc<AtomicUsize>) {
    loop {
        if let Ok(stream) = connect(to, from).await
            && let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await
        {
            let connection = tokio::spawn(connection);
            while send(&mut sender, &request).await.is_ok() {
                answered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            connection.abort();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends a request and returns its answer, read to its end.
async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: &Request<Full<Bytes>>,
) -> anyhow::Result<http::Response<Bytes>> {
    let mut request = request.clone();
    request.headers_mut().insert(header::HOST, http::HeaderValue::from_static("bench"));
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(http::Response::from_parts(head, body.collect().await?.to_bytes()))
}

/// Begins a chat whose answer is what the mock is told to say; returns the path of its page.
async fn begin_chat(to: SocketAddr, bearer: &str, behaviour: &str) -> anyhow::Result<String> {
    let encoded: String = behaviour.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = format!("model=openai%2Fgpt-4o-mini&text=mock%3A{encoded}");
    let request = Request::post("/chat")
        .header(header::AUTHORIZATION, bearer)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))?;
    let answer = send(&mut crate::load::connect(to).await?, &request).await?;
    let to = answer.headers().get(header::LOCATION).context("the question was not taken")?;
    Ok(to.to_str()?.to_owned())
}
