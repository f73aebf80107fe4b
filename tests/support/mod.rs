//! What the tests of `mai compose` share: a directory of documents, the real binary over it, and what can be seen from outside.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before the test gives up; a loaded machine must not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of documents and the state that goes with it, both gone at the end.
pub struct Place {
    _root: tempfile::TempDir,
    pub documents: PathBuf,
    pub state: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let documents = root.path().join("clients");
        std::fs::create_dir(&documents).unwrap();
        Self { documents, state: root.path().join("state"), _root: root }
    }

    /// Writes a document as careful programs do: beside, then renamed.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.documents.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = path.with_extension("tmp");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.documents.join(file)).unwrap();
    }

    /// A secret, readable for its owner alone.
    pub fn secret(&self, name: &str, key: &str, value: &str) {
        let file = format!("secrets/{name}.yaml");
        self.write(
            &file,
            &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{{key}: \"{value}\"}}\n"),
        );
        std::fs::set_permissions(self.documents.join(file), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn compose(&self, arguments: &[&str]) -> Compose {
        Compose::start(self, arguments)
    }

    /// `mai VERB DIRECTORY --state-dir … …`: exit code, standard output, standard error.
    pub fn mai(&self, verb: &str, arguments: &[&str]) -> (i32, String, String) {
        told(
            Command::new(env!("CARGO_BIN_EXE_mai"))
                .arg(verb)
                .arg(&self.documents)
                .arg("--state-dir")
                .arg(&self.state)
                .args(arguments),
        )
    }

    /// `mai validate DIRECTORY`, which needs no state.
    pub fn mai_validate(&self) -> (i32, String, String) {
        told(Command::new(env!("CARGO_BIN_EXE_mai")).arg("validate").arg(&self.documents))
    }

    /// Every instance with its status, as `mai status -o json` tells it.
    pub fn status(&self) -> Vec<Value> {
        let (code, out, err) = self.mai("status", &["-o", "json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()["items"].as_array().unwrap().clone()
    }

    /// A condition of an instance as (status, reason, message).
    pub fn condition(&self, name: &str, kind: &str) -> Option<(String, String, String)> {
        let (code, out, err) = self.mai("status", &["-o", "json"]);
        if code == 1 && err.contains("there is no state in") {
            return None;
        }
        assert_eq!(code, 0, "{err}");
        let list: Value = serde_json::from_str(&out).unwrap();
        let instance = list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == name)?.clone();
        let condition = instance["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)?.clone();
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Waits until a condition has a reason, and returns its message.
    pub fn wait_for_reason(&self, name: &str, kind: &str, reason: &str) -> String {
        let mut last = None;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            last = self.condition(name, kind);
            if let Some((_, found, message)) = &last
                && found == reason
            {
                return message.clone();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{kind} of {name} did not become {reason}; it is {last:?}")
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.state.join("instances").join(name).join("data")
    }

    /// Servers of this state directory that run now: name and pid.
    pub fn servers(&self) -> Vec<(String, i32)> {
        let mark = format!("MAI_STATE_DIR={}", self.state.canonicalize().unwrap_or_default().display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
            let variables: Vec<String> = environ
                .split(|byte| *byte == 0)
                .map(|variable| String::from_utf8_lossy(variable).into_owned())
                .collect();
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let serves = command.split(|byte| *byte == 0).nth(1) == Some(b"serve");
            if serves && variables.contains(&mark) {
                let name = variables.iter().find_map(|variable| variable.strip_prefix("MAI_INSTANCE_NAME=")).unwrap();
                found.push((name.to_owned(), pid));
            }
        }
        found.sort();
        found
    }

    pub fn pid(&self, name: &str) -> Option<i32> {
        let pids: Vec<i32> =
            self.servers().into_iter().filter(|(found, _)| found == name).map(|(_, pid)| pid).collect();
        assert!(pids.len() <= 1, "{name} runs twice: {pids:?}");
        pids.first().copied()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (_, pid) in self.servers() {
            signal(pid, Signal::KILL);
        }
    }
}

/// A running `mai compose`.
pub struct Compose {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// All that a program says on both its outputs, as it comes.
pub fn lines_of(program: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let streams: [Box<dyn Read + Send>; 2] =
        [Box::new(program.stdout.take().unwrap()), Box::new(program.stderr.take().unwrap())];
    for stream in streams {
        let lines = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
    }
    lines
}

impl Compose {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        // As a terminal starts it: a shell that runs the tests in the background has them, and what they start, ignore Ctrl-C.
        let mut child = Command::new("env")
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_mai"), "compose"])
            .arg(&place.documents)
            .arg("--state-dir")
            .arg(&place.state)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(&mut child);
        Self { child, lines }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Everything it has said.
    pub fn said(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits until a line holds all of `words`.
    pub fn wait_for(&self, words: &[&str]) -> String {
        wait_until(
            || format!("a line with {words:?}; it said:\n{}", self.said()),
            || self.lines.lock().unwrap().iter().find(|line| words.iter().all(|word| line.contains(word))).cloned(),
        )
    }

    pub fn interrupt(&self) {
        signal(self.pid(), Signal::INT);
    }

    pub fn kill(&mut self) {
        signal(self.pid(), Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for its end; the exit code.
    pub fn ended(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end; it said:\n{}", self.said())
    }

    pub fn stop(mut self) {
        self.interrupt();
        assert_eq!(self.ended(), 0, "{}", self.said());
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn told(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub fn signal(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Tries until there is an answer, or fails with what was waited for.
pub fn wait_until<T>(what: impl Fn() -> String, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {}", what())
}

/// A port nobody listens on at the moment. Tests run side by side, so each process hands out ports of its own range first.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A document with the mock upstream and whatever else the test wants, as lines below `spec:`.
pub fn document(name: &str, port: u16, more: &str) -> String {
    format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata:\n  name: {name}\nspec:\n  displayName: {name}\n  openRouter: {{mock: true}}\n  expose: {{port: {port}}}\n{more}"
    )
}

/// Status and body of a plain HTTP request.
pub fn http(method: &str, port: u16, path: &str, headers: &str, body: &str) -> std::io::Result<(u16, String)> {
    http_to(SocketAddr::from(([127, 0, 0, 1], port)), method, path, headers, body)
}

pub fn http_to(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

pub fn ready(port: u16) -> bool {
    matches!(http("GET", port, "/ready", "", ""), Ok((200, _)))
}

pub fn wait_ready(port: u16) {
    wait_until(|| format!("port {port} to be ready"), || ready(port).then_some(()));
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
