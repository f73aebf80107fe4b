//! A throw-away server of this program on the data of a backup: a child process that listens on the
//! loopback interface, has no upstream and none of the secrets of the instance, and ends with this
//! process, however that ends.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use mai_backup::Progress;
use mai_backup::drill::TrialServer;
use mai_contract::http::READY_PATH;
use mai_contract::job::ServerReport;
use mai_contract::{ExitCode, environment};
use rand::RngCore;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::core::Probe;
use crate::runtime::probe::{Answer, JsonRequest, ask};
use crate::server::{OfflineData, ProbeAccount};

/// Longest wait until it is ready: a large database may have to be brought up to date.
const READY_LIMIT: Duration = Duration::from_secs(600);
/// Interval between probes.
const INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time that it gets to end. Shorter than that of the job.
const GRACE: Duration = Duration::from_secs(5);
/// Starts that are tried when another program takes the port in between.
const ATTEMPTS: u32 = 3;
/// Part of its errors that is kept.
const ERROR_BYTES: u64 = 4 << 10;
/// Bytes of the key that signs its sessions.
const KEY_BYTES: usize = 32;
/// An upstream that refuses every connection: the port is reserved, and nothing listens there.
const NO_UPSTREAM: &str = "http://127.0.0.1:9/v1";
/// A page of the list of accounts that is past its end: it has their number alone.
const PAST_THE_END: &str = "/api/v1/users/?page=4294967295";

/// Starts servers of this program.
pub(in crate::cli) struct OwnProgram;

impl TrialServer for OwnProgram {
    async fn try_on(&self, data: &Path, progress: &Progress) -> Result<ServerReport, String> {
        tokio::select! {
            () = progress.stopped() => Err("it was stopped".to_owned()),
            answered = try_on(data) => answered,
        }
    }
}

async fn try_on(data: &Path) -> Result<ServerReport, String> {
    let began = Instant::now();
    let locked = OfflineData::lock(data).map_err(|error| error.to_string())?;
    let probe = locked.add_probe_account().await.map_err(|error| error.to_string())?;
    drop(locked);
    let server = RunningServer::start(data).await?;
    let answered = server.answer(&probe, began).await;
    let ended = server.stop().await;
    answered.and_then(|report| ended.map(|()| report))
}

/// A server that was started. Killed when dropped.
struct RunningServer {
    child: Child,
    address: SocketAddr,
    /// The end of what it writes to its standard error.
    errors: JoinHandle<String>,
    version: String,
}

impl RunningServer {
    /// Starts a server and waits until it is ready.
    async fn start(data: &Path) -> Result<Self, String> {
        for _ in 1..ATTEMPTS {
            match Self::start_once(data).await {
                Err(Ended::PortTaken) => {}
                Err(Ended::Otherwise(problem)) => return Err(problem),
                Ok(server) => return Ok(server),
            }
        }
        Self::start_once(data).await.map_err(|ended| match ended {
            Ended::PortTaken => "other programs took each port that it was given".to_owned(),
            Ended::Otherwise(problem) => problem,
        })
    }

    async fn start_once(data: &Path) -> Result<Self, Ended> {
        let mut server = Self::spawn(data).map_err(|error| Ended::Otherwise(format!("it was not started: {error}")))?;
        let deadline = Instant::now() + READY_LIMIT;
        let probe = Probe { path: READY_PATH.to_owned(), interval: INTERVAL, timeout: TIMEOUT };
        loop {
            let answer = ask(server.address, &probe).await;
            // Only now: who answered may be another program that took the port.
            let ended = server.child.try_wait().map_err(|error| Ended::Otherwise(error.to_string()))?;
            match (ended, answer) {
                (Some(status), _) if status.code() == Some(i32::from(ExitCode::PortTaken.code())) => {
                    return Err(Ended::PortTaken);
                }
                (Some(status), _) => return Err(Ended::Otherwise(server.end_words(status).await)),
                (None, Answer::Ready { version }) => {
                    server.version = version.unwrap_or_default();
                    return Ok(server);
                }
                (None, Answer::NotReady { detail }) if Instant::now() >= deadline => {
                    return Err(Ended::Otherwise(format!(
                        "it was not ready after {} s: {detail}",
                        READY_LIMIT.as_secs()
                    )));
                }
                (None, Answer::NotReady { .. }) => tokio::time::sleep(INTERVAL).await,
            }
        }
    }

    fn spawn(data: &Path) -> std::io::Result<Self> {
        let address = free_address()?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        std::os::unix::process::CommandExt::arg0(&mut command, "mai");
        command.arg("serve").current_dir("/").env_clear();
        command.env(environment::DATA_DIR, data);
        command.env(environment::HOST, address.ip().to_string()).env(environment::PORT, address.port().to_string());
        command.env(environment::WEBUI_SECRET_KEY, random_key()).env(environment::SIGNUP, "Closed");
        command.env(environment::OPENAI_API_BASE_URL, NO_UPSTREAM);
        // The kernel closes the pipe when this process ends.
        command.env(environment::EXIT_WITH_STDIN, "true");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let errors = child.stderr.take();
        let errors = tokio::spawn(async move {
            let mut text = Vec::new();
            if let Some(mut errors) = errors {
                // What cannot be read is missing in a message alone. The rest is read, so that it is
                // never held up by a full pipe.
                let _ = (&mut errors).take(ERROR_BYTES).read_to_end(&mut text).await;
                let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            }
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        Ok(Self { child, address, errors, version: String::new() })
    }

    /// Signs in and asks for the number of accounts.
    async fn answer(&self, probe: &ProbeAccount, began: Instant) -> Result<ServerReport, String> {
        let start_millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let credentials =
            json!({"email": probe.email, "password": secrecy::ExposeSecret::expose_secret(&probe.password)});
        let sign_in =
            JsonRequest { method: Method::POST, path: "/api/v1/auths/signin", token: None, body: Some(&credentials) };
        let session = sign_in.send(self.address, TIMEOUT).await?;
        let token = session["token"].as_str().ok_or("it answered the sign-in without a session")?;
        let token = SecretString::from(token);
        let list = JsonRequest { method: Method::GET, path: PAST_THE_END, token: Some(&token), body: None };
        let listed = list.send(self.address, TIMEOUT).await?["total"].as_u64();
        let expected = probe.people + 1;
        if listed != Some(expected) {
            let listed = listed.map_or_else(|| "no number of".to_owned(), |listed| listed.to_string());
            return Err(format!("it lists {listed} accounts, and its database has {expected}"));
        }
        Ok(ServerReport { version: self.version.clone(), start_millis, people: probe.people })
    }

    /// Stops it, as a runtime stops servers.
    async fn stop(mut self) -> Result<(), String> {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may just have ended by itself, which its status tells.
            let _ = kill_process(pid, Signal::TERM);
        }
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.end_words(status).await),
            Ok(Err(error)) => Err(format!("its end could not be awaited: {error}")),
            Err(_) => {
                let killed = self.child.kill().await;
                killed.map_err(|error| format!("it did not end within {} s: {error}", GRACE.as_secs()))
            }
        }
    }

    /// Returns a sentence about an end of its own.
    async fn end_words(&mut self, status: ExitStatus) -> String {
        let errors = (&mut self.errors).await.unwrap_or_default();
        if errors.is_empty() { format!("it ended with {status}") } else { format!("it ended with {status}: {errors}") }
    }
}

/// End of a server before it was ready.
enum Ended {
    /// Another program has its port.
    PortTaken,
    /// For another cause, as a sentence.
    Otherwise(String),
}

/// Returns an address of the loopback interface that is free at the moment.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn random_key() -> String {
    let mut key = [0; KEY_BYTES];
    rand::rng().fill_bytes(&mut key);
    hex::encode(key)
}
