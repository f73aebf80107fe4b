//! Chat calls through a server, compared with the same calls straight to the mock upstream. Mock,
//! server and load share the cores.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::load::{Load, Outcome, run};
use crate::process::{Program, free_port, mai, post, post_as};
use crate::report::Report;
use crate::server::serve;

/// Rounds of direct and proxied calls in turn; the round with the middle ratio counts.
const ROUNDS: usize = 5;

struct Pair {
    direct: Load,
    proxied: Load,
}

/// Measures plain and streamed calls.
pub async fn measure(binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    if !report.wants("chat") {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let Client { mock, server, token } = Client::start(binary, data.path()).await?;
    let upstream = mock.address;

    let pair = |behaviour: &str, stream: bool, connections: usize, requests: usize, rate: Option<u32>| {
        let body = json!({"model": "openai/gpt-4o-mini", "stream": stream, "messages": [{"role": "user", "content": "How are you?"}], "metadata": {"mock": behaviour}});
        let load = |to, path, token: &str| Load {
            to,
            path,
            authorization: format!("Bearer {token}"),
            body: body.to_string().into(),
            connections,
            requests,
            rate,
        };
        Pair {
            direct: load(upstream, "/api/v1/chat/completions", "sk-or-v1-bench"),
            proxied: load(server.address, "/api/chat/completions", &token),
        }
    };

    let (direct, proxied) =
        middle(&pair("chunks=1 delay=0", false, 1, 3000, None), |outcome| outcome.median().as_secs_f64()).await?;
    report.add(
        "chat: plain call, c=1, median",
        format!("{:.3} ms direct", direct * 1e3),
        format!("{:.3} ms, {:.3} ms added", proxied * 1e3, (proxied - direct) * 1e3),
        "≤ 0.2 ms added",
        proxied - direct <= 0.2e-3,
    );

    for (name, behaviour, stream, requests, promise) in [
        ("chat: plain call, c=64, throughput", "chunks=1 delay=0", false, 20_000, 4.0),
        ("chat: 21-chunk stream, c=64, throughput", "chunks=21 delay=0", true, 10_000, 5.0),
    ] {
        let (direct, proxied) = middle(&pair(behaviour, stream, 64, requests, None), Outcome::rate).await?;
        report.add(
            name,
            format!("{direct:.0}/s direct"),
            format!("{proxied:.0}/s = 1/{:.2}", direct / proxied),
            &format!("≥ 1/{promise}"),
            direct / proxied <= promise,
        );
    }

    let paced = pair("chunks=50 delay=10", true, 64, 256, None);
    let (direct, proxied) = middle(&paced, |outcome| outcome.elapsed.as_secs_f64()).await?;
    let slower = (proxied / direct - 1.0) * 100.0;
    report.add(
        "chat: paced stream (50 chunks, 10 ms), c=64",
        format!("{direct:.3} s direct"),
        format!("{proxied:.3} s, {slower:+.1} %"),
        "within 3 %",
        slower <= 3.0,
    );

    let steady = pair("chunks=1 delay=0", false, 64, 10_000, Some(1_000));
    let (direct, proxied) = middle(&steady, |outcome| outcome.p99().as_secs_f64()).await?;
    report.add(
        "chat: 1,000 plain calls a second, p99",
        format!("{:.2} ms direct", direct * 1e3),
        format!("{:.2} ms, {:.2} ms added", proxied * 1e3, (proxied - direct) * 1e3),
        "≤ 2 ms added",
        proxied - direct <= 2e-3,
    );
    counted(server.address, &token).await?;
    server.stop().await?;
    mock.stop().await
}

/// A server with an account and budgets, and the mock behind it.
pub struct Client {
    pub mock: Program,
    pub server: Program,
    /// The session of the account.
    pub token: String,
}

impl Client {
    /// Starts both.
    pub async fn start(binary: &Path, data: &Path) -> anyhow::Result<Self> {
        let address = free_port()?;
        let command = mai(binary, &["mock-upstream", "--listen", &address.to_string(), "--key", "sk-or-v1-bench"]);
        // Whoever brings no key is refused, which tells that it is there.
        let (mock, _) = Program::start(command, address, "/api/v1/models", 401).await?;
        let (server, _) = serve(binary, data, &format!("http://{address}/api/v1")).await?;
        let account = json!({"name": "A", "email": "a@b.c", "password": "correct horse"});
        let session = post(server.address, "/api/v1/auths/signup", &account).await?;
        let token = session["token"].as_str().context("sign-up gave no token")?.to_owned();
        for (scope, period) in [("company", "month"), ("person", "day")] {
            let budget = json!({"scope": scope, "period": period, "limit_nano_usd": 1_000_000_000_000_000_i64});
            post_as(server.address, "/api/v1/budgets", &token, &budget).await?;
        }
        Ok(Self { mock, server, token })
    }
}

/// Returns both figures of the round with the middle ratio, after a short warm-up.
async fn middle(pair: &Pair, figure: impl Fn(&Outcome) -> f64) -> anyhow::Result<(f64, f64)> {
    for load in [&pair.direct, &pair.proxied] {
        run(&Load { requests: load.requests / 10 + 1, ..load.clone() }).await?;
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let direct = run(&pair.direct).await?;
        let proxied = run(&pair.proxied).await?;
        anyhow::ensure!(
            direct.bytes == proxied.bytes,
            "{} bytes direct, {} through the server",
            direct.bytes,
            proxied.bytes
        );
        rounds.push((figure(&direct), figure(&proxied)));
    }
    rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    Ok(rounds[ROUNDS / 2])
}

/// Checks that the server has recorded as many requests as were sent.
async fn counted(server: SocketAddr, token: &str) -> anyhow::Result<()> {
    let sent = (3000 + 20_000 + 10_000 + 256 + 10_000) * ROUNDS;
    for _ in 0..100 {
        let summary = summary(server, token).await?;
        if summary["requests"].as_u64().unwrap_or_default() >= sent as u64 {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("the server counted fewer than the {sent} requests it answered")
}

async fn summary(server: SocketAddr, token: &str) -> anyhow::Result<Value> {
    use http_body_util::BodyExt;
    let mut sender = crate::load::connect(server).await?;
    let request = hyper::Request::get("/api/v1/usage/summary")
        .header("host", "bench")
        .header("authorization", format!("Bearer {token}"))
        .body(http_body_util::Full::default())?;
    let answer = sender.send_request(request).await?;
    Ok(serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?)
}
