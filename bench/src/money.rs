//! Usage over a million generations, compared with a thousand in the same run.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use rusqlite::Connection;
use serde_json::json;

use crate::load::connect;
use crate::process::{Program, post};
use crate::report::Report;
use crate::server::serve;

const UPSTREAM: &str = "http://127.0.0.1:9/api/v1";
/// Generations of the ledger; about 116,000 a month.
const MANY: usize = 1_000_000;
const FEW: usize = 1_000;
/// Requests of which the median counts.
const REQUESTS: usize = 60;

/// A server whose ledger was filled.
struct Filled {
    server: Program,
    token: String,
    /// Time of the first start, which sums up all rows.
    first_start: Duration,
    start: Duration,
    _data: tempfile::TempDir,
}

/// Measures start, page and API over many generations.
pub async fn measure(binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    if !report.wants("money") {
        return Ok(());
    }
    let few = Filled::start(binary, FEW).await?;
    let many = Filled::start(binary, MANY).await?;
    report.add(
        "money: start with 1,000,000 generations",
        format!(
            "{:.1} ms with 1,000; {:.1} s when they are summed up once",
            ms(few.start),
            many.first_start.as_secs_f64()
        ),
        format!("{:.1} ms", ms(many.start)),
        "≤ 50 ms",
        many.start <= Duration::from_millis(50),
    );
    for (name, path) in [
        ("money: usage page over 1,000,000 generations", "/usage"),
        ("money: summary over 1,000,000 generations", "/api/v1/usage/summary"),
        ("money: people over 1,000,000 generations", "/api/v1/usage/users"),
    ] {
        let (before, after) = (few.median(path).await?, many.median(path).await?);
        report.add(
            name,
            format!("{:.2} ms over 1,000", ms(before)),
            format!("{:.2} ms", ms(after)),
            "≤ 10 ms",
            after <= Duration::from_millis(10),
        );
    }
    few.server.stop().await?;
    many.server.stop().await
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Filled {
    async fn start(binary: &Path, rows: usize) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let (server, _) = serve(binary, data.path(), UPSTREAM).await?;
        let account = json!({"name": "A", "email": "a@b.c", "password": "correct horse"});
        let session = post(server.address, "/api/v1/auths/signup", &account).await?;
        let token = session["token"].as_str().context("sign-up gave no token")?.to_owned();
        server.stop().await?;
        fill(&data.path().join("mai.db"), rows)?;
        let (server, first_start) = serve(binary, data.path(), UPSTREAM).await?;
        server.stop().await?;
        let (server, start) = serve(binary, data.path(), UPSTREAM).await?;
        Ok(Self { server, token, first_start, start, _data: data })
    }

    async fn median(&self, path: &str) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            let started = Instant::now();
            request(self.server.address, path, &self.token).await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times[REQUESTS / 2])
    }
}

async fn request(to: SocketAddr, path: &str, token: &str) -> anyhow::Result<()> {
    let mut sender = connect(to).await?;
    let request = Request::get(path).header("host", "bench").header("authorization", format!("Bearer {token}"));
    let answer = sender.send_request(request.body(Full::<Bytes>::default())?).await?;
    ensure!(answer.status() == 200, "{path} answered {}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}

/// Fills the ledger with generations of 20 people and 5 models in working hours, the newest of today.
/// The server sums them up at its next start.
fn fill(database: &Path, rows: usize) -> anyhow::Result<()> {
    let connection = Connection::open(database)?;
    let trigger: String =
        connection
            .query_row("SELECT sql FROM sqlite_master WHERE name = 'generation_is_summed'", [], |row| row.get(0))?;
    connection.execute_batch("DROP TRIGGER generation_is_summed; DELETE FROM usage_zone")?;
    let day = 86_400_000_i64;
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
    connection.execute(
        "INSERT INTO generation (id, user_id, model, provider, started_at, finished_at, status, streamed, via, prompt_tokens,
             completion_tokens, total_tokens, cost_nano_usd, price_nano_usd, settled_at)
         WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
         SELECT printf('%08d', n), 'person ' || (n % 20), 'model ' || (n / 7 % 5), 'P', at, at + 900, 'completed', 1, 'api',
             900, 300, 1200, 1000 * (n % 977), 1300 * (n % 977), at + 900
         FROM (SELECT n, ?2 - n / ?3 * ?4 - n % 480 * 60000 AS at FROM numbers)",
        rusqlite::params![i64::try_from(rows)?, now, 3_867, day],
    )?;
    connection.execute_batch(&trigger)?;
    Ok(())
}
