//! The reconciler with twenty instances on the process runtime.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::process::{Program, cpu_seconds, free_port, get, mai, resident_kib, written_bytes};
use crate::report::Report;

const INSTANCES: usize = 20;
const RESYNC: Duration = Duration::from_millis(100);

/// Measures the start of all instances and an idle pass.
pub async fn measure(binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    if !report.wants("fleet") {
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let documents = place.path().join("clients");
    std::fs::create_dir(&documents)?;
    let ports: Vec<SocketAddr> = (0..INSTANCES).map(|_| free_port()).collect::<Result<_, _>>()?;
    for (index, address) in ports.iter().enumerate() {
        let document = format!(
            "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: client-{index}}}\nspec:\n  displayName: Client {index}\n  openRouter: {{mock: true}}\n  expose: {{port: {}}}\n",
            address.port()
        );
        std::fs::write(documents.join(format!("client-{index}.yaml")), document)?;
    }

    // Beside: the same servers, started straight away with no reconciler and no order.
    let direct = started_by_hand(binary, &place.path().join("by-hand")).await?;

    let state = place.path().join("state");
    let mut command = mai(binary, &["compose"]);
    command.arg(&documents).arg("--state-dir").arg(&state).arg("--resync").arg("100ms");
    let began = Instant::now();
    let (mai, _) = Program::start(command, ports[0], "/ready", 200).await?;
    all_ready(&ports).await?;
    let ready = began.elapsed();
    report.add(
        "fleet: 20 instances from nothing to ready",
        format!("{:.2} s started by hand at once", direct.as_secs_f64()),
        format!("{:.2} s = {:.2} x", ready.as_secs_f64(), ready.as_secs_f64() / direct.as_secs_f64()),
        "≤ 1.5 s",
        ready <= Duration::from_millis(1500),
    );

    // Everything has settled: from here on each pass has nothing to do.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pid = mai.pid()?;
    let (cpu, written) = (cpu_seconds(pid)?, written_bytes(pid)?);
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let passes = began.elapsed().as_secs_f64() / RESYNC.as_secs_f64();
    let cpu = (cpu_seconds(pid)? - cpu) / passes;
    let written = written_bytes(pid)? - written;
    report.add(
        "fleet: a pass over 20 with nothing to do",
        format!("{passes:.0} passes"),
        format!("{:.2} ms CPU, {written} bytes written", cpu * 1e3),
        "≤ 10 ms, no write",
        cpu <= 10e-3 && written == 0,
    );
    report.add(
        "fleet: memory of the reconciler at 20",
        "-".to_owned(),
        format!("{:.1} MiB resident", resident_kib(pid)? as f64 / 1024.0),
        "≤ 30 MiB",
        resident_kib(pid)? <= 30 * 1024,
    );
    mai.stop().await
}

async fn started_by_hand(binary: &Path, place: &Path) -> anyhow::Result<Duration> {
    let mut servers = Vec::new();
    let began = Instant::now();
    for index in 0..INSTANCES {
        let address = free_port()?;
        let data = place.join(index.to_string());
        std::fs::create_dir_all(&data)?;
        let mut command = mai(binary, &["serve"]);
        command.env("HOST", "127.0.0.1").env("PORT", address.port().to_string()).env("DATA_DIR", &data);
        command.env("WEBUI_SECRET_KEY", "bench").env("MAI_MOCK_UPSTREAM", "true");
        servers.push(tokio::spawn(Program::start_owned(command, address)));
    }
    let mut programs = Vec::new();
    for server in servers {
        programs.push(server.await??);
    }
    let took = began.elapsed();
    for program in programs {
        program.stop().await?;
    }
    Ok(took)
}

async fn all_ready(ports: &[SocketAddr]) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    for address in ports {
        while get(*address, "/ready").await.ok() != Some(200) {
            if Instant::now() > until {
                bail!("{address} is not ready after a minute");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}
