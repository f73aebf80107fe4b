//! A running `mai operator`, outside the cluster.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fixtures::compose::{PATIENCE, collect_lines, http, signal, wait_until};
use crate::fixtures::ports::free_port;

/// Policy for the documents of the tests.
const POLICY: &str = "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\nvolumes: [archive]\nserverEnv: ['*']\ningressAnnotations: [a]\nrestores: ['*']\n";

pub struct Operator {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    port: u16,
    /// The provider's policy.
    _policy: tempfile::NamedTempFile,
}

impl Operator {
    pub fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let policy = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(policy.path(), POLICY).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mai"))
            .args(["operator", "--listen", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("MAI_POLICY", policy.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = collect_lines(&mut child);
        Self { child, lines, port, _policy: policy }
    }

    /// Returns its output so far.
    pub fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Returns status and body of `/readyz`, `/livez` or `/metrics`, or `None` without an answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http("GET", self.port, path, "", "").ok()
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.get("/readyz"), Some((200, _)))
    }

    pub fn wait_ready(&self) {
        wait_until(
            || format!("the operator to be ready; its output:\n{}", self.output()),
            || self.is_ready().then_some(()),
        );
    }

    /// Returns a figure of `/metrics` by its name and labels, such as `mai_operator_leader`.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Returns how many reconciliations of instances have succeeded.
    pub fn passes(&self) -> f64 {
        self.figure("mai_operator_reconcile_total{kind=\"MaiInstance\",outcome=\"ok\"}").unwrap_or_default()
    }

    /// Returns true if it is the leader.
    pub fn leads(&self) -> bool {
        self.figure("mai_operator_leader") == Some(1.0)
    }

    pub fn send(&self, which: Signal) {
        signal(self.child.id() as i32, which);
    }

    /// Returns its exit code if it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    /// Kills the operator.
    pub fn kill(mut self) {
        signal(self.child.id() as i32, Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Terminates the operator as a rollout does, and checks its exit status.
    pub fn stop(mut self) {
        signal(self.child.id() as i32, Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "it ends with {status}; its output:\n{}", self.output());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end; its output:\n{}", self.output())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id() as i32, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
