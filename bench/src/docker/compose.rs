//! Docker's `docker compose` with the same twenty services, where the program is named.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::process::Command;

use super::documents::Documents;
use super::engine::{Engine, FIXTURE};
use super::{INSTANCES, median, ms};
use crate::report::Report;

/// Measures `up -d` on an empty engine, and once more without a change.
pub async fn measure(engine: &Engine, program: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("compose.yaml");
    let place = Documents::new(INSTANCES, FIXTURE)?;
    std::fs::write(&file, services(&place)?)?;
    let up = async || {
        let mut command = Command::new(program);
        command.arg("-f").arg(&file).args(["-p", "bench", "up", "-d"]).env("DOCKER_HOST", engine.host());
        let began = Instant::now();
        let output = command.stdout(Stdio::null()).output().await?;
        if !output.status.success() {
            bail!("docker compose: {}", String::from_utf8_lossy(&output.stderr));
        }
        anyhow::Ok(began.elapsed())
    };
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let began = Instant::now();
        up().await?;
        place.all_ready().await?;
        first.push(began.elapsed());
        for _ in 0..3 {
            again.push(up().await?);
        }
        engine.empty().await?;
        let _ = engine.docker.remove_network("bench_default").await;
    }
    let (first, again): (Duration, Duration) = (median(first), median(again));
    report.add(
        "docker: what docker compose up -d takes for the same services",
        format!("{:.2} s from nothing to ready", first.as_secs_f64()),
        format!("{} with nothing to do", ms(again)),
        "-",
        true,
    );
    Ok(())
}

fn services(place: &Documents) -> anyhow::Result<String> {
    let (mut services, mut volumes) = ("services:\n".to_owned(), "volumes:\n".to_owned());
    for (index, address) in place.addresses.iter().enumerate() {
        write!(
            services,
            "  client-{index}:\n    image: {FIXTURE}\n    pull_policy: never\n    user: \"65532:65532\"\n    init: true\n    read_only: true\n    cap_drop: [ALL]\n    security_opt: [no-new-privileges]\n    tmpfs: [\"/tmp:size=64m\"]\n    restart: unless-stopped\n    ports: [\"{address}:8080\"]\n    volumes: [\"data-{index}:/app/backend/data\", \"backups-{index}:/app/backups\"]\n    extra_hosts: [\"host.docker.internal:host-gateway\"]\n    logging: {{driver: json-file, options: {{max-size: 10m, max-file: \"3\"}}}}\n    healthcheck: {{test: [CMD, /usr/local/bin/mai, health], interval: 30s, timeout: 10s, retries: 3}}\n"
        )?;
        write!(volumes, "  data-{index}:\n  backups-{index}:\n")?;
    }
    Ok(services + &volumes)
}
