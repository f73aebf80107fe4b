//! Start time and idle memory of one server.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::process::{Program, free_port, mai, post};
use crate::report::Report;

/// Starts `mai serve` on a data directory, with an upstream; returns it with the time until it was
/// ready.
pub async fn serve(binary: &Path, data: &Path, upstream: &str) -> anyhow::Result<(Program, Duration)> {
    let address = free_port()?;
    let mut command = mai(binary, &["serve"]);
    command
        .env("HOST", "127.0.0.1")
        .env("PORT", address.port().to_string())
        .env("DATA_DIR", data)
        .env("WEBUI_SECRET_KEY", "bench")
        .env("OPENAI_API_BASE_URL", upstream)
        .env("OPENAI_API_KEY", "sk-or-v1-bench");
    Program::start(command, address, "/ready", 200).await
}

/// Measures start and idle memory.
pub async fn measure(binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    if !report.wants("server") {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let (first, fresh) = serve(binary, data.path(), "http://127.0.0.1:9/api/v1").await?;
    post(first.address, "/api/v1/auths/signup", &json!({"name": "A", "email": "a@b.c", "password": "correct horse"}))
        .await?;
    first.stop().await?;

    let mut starts = Vec::new();
    for _ in 0..9 {
        let (server, took) = serve(binary, data.path(), "http://127.0.0.1:9/api/v1").await?;
        starts.push(took);
        server.stop().await?;
    }
    starts.sort_unstable();
    let median = starts[starts.len() / 2];
    report.add(
        "server: start to /ready, existing database",
        format!("{:.0} ms with no database yet", fresh.as_secs_f64() * 1e3),
        format!("{:.1} ms (median of {})", median.as_secs_f64() * 1e3, starts.len()),
        "≤ 50 ms",
        median <= Duration::from_millis(50),
    );

    let (server, _) = serve(binary, data.path(), "http://127.0.0.1:9/api/v1").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident = server.resident_kib()?;
    server.stop().await?;
    report.add(
        "server: idle memory",
        format!("{:.1} MB of binary", std::fs::metadata(binary)?.len() as f64 / 1e6),
        format!("{:.1} MiB resident", resident as f64 / 1024.0),
        "≤ 15 MiB",
        resident <= 15 * 1024,
    );
    Ok(())
}
