//! Programs under measurement: their start, their answers, their memory and CPU time from `/proc`,
//! their end.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::load::connect;

/// A running program, killed when it is dropped.
pub struct Program {
    child: Child,
    /// Address it listens on.
    pub address: SocketAddr,
}

/// Returns a loopback address whose port is free at the moment.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Program {
    /// Starts a program without waiting for it.
    pub fn launch(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let child = command.spawn().context("cannot start the program under measurement")?;
        Ok(Self { child, address })
    }

    /// Starts a program and waits until `path` answers with `status`; returns it with the time that
    /// took.
    pub async fn start(
        command: Command,
        address: SocketAddr,
        path: &str,
        status: u16,
    ) -> anyhow::Result<(Self, Duration)> {
        let started = Instant::now();
        let program = Self::launch(command, address)?;
        program.wait_for(path, status, Duration::from_secs(20)).await?;
        Ok((program, started.elapsed()))
    }

    /// Starts a server and waits until it is ready.
    pub async fn start_owned(command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::start(command, address, "/ready", 200).await?.0)
    }

    async fn wait_for(&self, path: &str, status: u16, most: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + most;
        while get(self.address, path).await.ok() != Some(status) {
            if Instant::now() > until {
                bail!("http://{}{path} did not answer {status} within {most:?}", self.address);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Returns the resident memory in KiB.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        resident_kib(self.pid()?)
    }

    /// Returns the process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the program has ended")
    }

    /// Sends SIGTERM and waits for the exit.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.context("it does not end")??;
        Ok(())
    }
}

/// Returns the resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    memory_kib(pid, "VmRSS:")
}

/// Returns the peak resident memory of a process in KiB.
pub fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    memory_kib(pid, "VmHWM:")
}

fn memory_kib(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).with_context(|| format!("no {field}"))?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// Returns the CPU time of a process in seconds.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("odd stat")?.1.split_whitespace().collect();
    let ticks: u64 =
        fields.get(11).context("no utime")?.parse::<u64>()? + fields.get(12).context("no stime")?.parse::<u64>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Returns the bytes a process has written to storage.
pub fn written_bytes(pid: u32) -> anyhow::Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find(|line| line.starts_with("write_bytes:")).context("no write_bytes")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// Returns the status of a GET request.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let mut sender = connect(address).await?;
    let answer = sender.send_request(Request::get(path).header("host", "bench").body(Full::default())?).await?;
    Ok(answer.status().as_u16())
}

/// Sends JSON by POST and returns the JSON answer.
pub async fn post(address: SocketAddr, path: &str, body: &Value) -> anyhow::Result<Value> {
    post_as(address, path, "", body).await
}

/// Sends JSON by POST with this token and returns the JSON answer.
pub async fn post_as(address: SocketAddr, path: &str, token: &str, body: &Value) -> anyhow::Result<Value> {
    let mut sender = connect(address).await?;
    let request = Request::post(path)
        .header("host", "bench")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{path} answered {status}: {}", String::from_utf8_lossy(&bytes));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// Returns a command that runs `mai` with an empty environment.
pub fn mai(binary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().env("RUST_LOG", "error").env("MAI_NBP_URL", "off");
    command
}
