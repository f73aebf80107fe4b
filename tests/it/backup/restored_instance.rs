//! A client with an account and a chat, and backups of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mai_operator::backup::{Places, Progress, create};
use mai_operator::contract::job::{
    BACKUPS_VOLUME, BackupId, BackupOrder, BackupReport, Destination, Encryption, Store, StoreResult, Subject,
};
use serde_json::{Value, json};

use crate::fixtures::compose::{Compose, Workspace, document, http, wait_until};
use crate::fixtures::ports::free_port;
use crate::fixtures::serve::client;

pub const PASSWORD: &str = "a-Long-passw0rd-for-tests";

/// A client that runs.
pub struct Client {
    pub workspace: Workspace,
    pub port: u16,
    pub compose: Compose,
    /// Of the session that began with the registration, which every backup has.
    token: String,
    number: u32,
}

/// Chats and a file, as a person finds them.
#[derive(Debug, PartialEq)]
pub struct Found {
    pub chats: Value,
    /// Of a search for a word of each question.
    pub searched: Value,
    pub letter: Option<String>,
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work)
}

impl Client {
    /// Starts one client, registers its administrator and has a chat.
    pub fn new() -> Self {
        Self::declared(Workspace::new(), "")
    }

    /// Starts one client with further lines below `spec:`.
    pub fn declared(workspace: Workspace, more: &str) -> Self {
        let port = free_port();
        workspace.write("a.yaml", &document("alpha", port, more));
        let compose = workspace.compose(&[]);
        compose.wait_for_line(&["alpha", "ready"]);
        let body = json!({"name": "Boss", "email": "boss@example.com", "password": PASSWORD}).to_string();
        let (status, answer) = http("POST", port, "/api/v1/auths/signup", "", &body).unwrap();
        assert_eq!(status, 200, "{answer}");
        let token = token(&answer);
        let client = Self { workspace, port, compose, token, number: 0 };
        client.chat("first question");
        std::fs::create_dir(client.data().join("uploads")).unwrap();
        client.write_letter("first");
        client
    }

    pub fn data(&self) -> PathBuf {
        self.workspace.data("alpha")
    }

    pub fn home(&self) -> PathBuf {
        self.workspace.state.join("instances/alpha")
    }

    pub fn backups(&self) -> PathBuf {
        self.home().join("backups")
    }

    pub fn write_letter(&self, text: &str) {
        std::fs::write(self.data().join("uploads/letter"), text).unwrap();
    }

    /// Signs in with the password.
    pub fn sign_in(&self) {
        let body = json!({"email": "boss@example.com", "password": PASSWORD}).to_string();
        let (status, answer) = http("POST", self.port, "/api/v1/auths/signin", "", &body).unwrap();
        assert_eq!(status, 200, "{answer}");
    }

    /// Asks a question and waits until it is answered.
    pub fn chat(&self, question: &str) {
        let url = format!("http://127.0.0.1:{}/chat", self.port);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("text", question), ("model", "openai/gpt-5")])
            .finish();
        let request = client()
            .post(url)
            .bearer_auth(&self.token)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let status = block_on(async { request.send().await.unwrap().status() });
        assert!(status.is_success() || status.is_redirection(), "{status}");
        wait_until(
            || format!("an answer; {:?}", self.chats()),
            // The mock quotes the question, and ends with a word about usage.
            || {
                let chats = self.chats().to_string();
                let is_answered = chats.contains(&format!("> {question}")) && !chats.contains("streaming");
                is_answered.then_some(())
            },
        );
    }

    /// Waits for an answer: a server may be about to stop after it was asked whether it is ready.
    fn get(&self, path: &str) -> Value {
        let authorization = format!("authorization: Bearer {}\r\n", self.token);
        let (status, answer) = wait_until(
            || format!("an answer; output:\n{}", self.compose.output()),
            || http("GET", self.port, path, &authorization, "").ok().filter(|(status, _)| *status != 0),
        );
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn chats(&self) -> Value {
        let list = self.get("/api/v1/chats/");
        let ids = list.as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap().to_owned());
        ids.map(|id| self.get(&format!("/api/v1/chats/{id}"))).collect()
    }

    /// Returns what a person finds after signing in.
    pub fn found(&self) -> Found {
        let letter = std::fs::read_to_string(self.data().join("uploads/letter")).ok();
        let searched = ["first", "second"].map(|word| self.get(&format!("/api/v1/chats/?query={word}")));
        Found { chats: self.chats(), searched: json!(searched), letter }
    }

    /// Waits until nothing of the chats changes any more: an answer may still be written.
    pub fn settled(&self) -> Found {
        wait_until(
            || "the answers to be complete".to_owned(),
            || Some(self.found()).filter(|found| !found.chats.to_string().contains("streaming")),
        )
    }

    /// Makes a backup while the server runs.
    pub fn back_up(&mut self) -> BackupReport {
        self.back_up_for(Vec::new())
    }

    /// Makes a backup that is encrypted to these keys.
    pub fn back_up_for(&mut self, recipients: Vec<String>) -> BackupReport {
        self.make("alpha", self.uid(), recipients)
    }

    /// Makes a backup as one of another instance.
    pub fn back_up_as(&mut self, name: &str, uid: &str) -> BackupReport {
        self.make(name, uid.to_owned(), Vec::new())
    }

    fn make(&mut self, name: &str, uid: String, recipients: Vec<String>) -> BackupReport {
        self.number += 1;
        let id = BackupId::new(format!("2026-01-02T02:00:{:02}Z", self.number).parse().unwrap(), self.number);
        let order = BackupOrder {
            id: id.clone(),
            instance: Subject { namespace: "default".into(), name: name.into(), uid },
            reason: "a test".to_owned(),
            image: None,
            document: json!({"kind": "MaiInstance"}),
            secrets: Vec::new(),
            encryption: (!recipients.is_empty()).then_some(Encryption { recipients, identity: None }),
            destinations: vec![Destination { name: BACKUPS_VOLUME.to_owned(), store: Store::Volume, retention: None }],
            time_zone: "UTC".to_owned(),
        };
        let places = Places {
            data: self.data(),
            backups: self.backups(),
            secrets: self.home(),
            staging: Places::default_staging(&self.backups(), &id),
        };
        let report = block_on(create(&order, &places, &Progress::silent())).unwrap();
        assert!(!matches!(report.destinations[0].result, StoreResult::Failed(_)), "{report:?}");
        report
    }

    fn uid(&self) -> String {
        self.workspace.status()[0]["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// Runs `mai restore`.
    pub fn restore(&self, from: &str, more: &[&str]) -> (i32, String, String) {
        let arguments = [&["alpha", "--yes", "--from", from], more].concat();
        self.workspace.mai("restore", &arguments)
    }

    /// Starts `mai restore`.
    pub fn start_restore(&self, from: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_mai"))
            .arg("restore")
            .arg(&self.workspace.documents)
            .arg("--state-dir")
            .arg(&self.workspace.state)
            .args(["alpha", "--yes", "--without-backup", "--from", from])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Returns names beside the data directory that start with `data.`.
    pub fn beside_data(&self) -> Vec<String> {
        let names =
            std::fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("data.")).collect();
        names.sort();
        names
    }

    pub fn restarts(&self) -> Option<Value> {
        self.workspace.wait_for_reason("alpha", "Ready", "Ready");
        self.workspace.status()[0]["status"].get("restarts").cloned()
    }
}

fn token(answer: &str) -> String {
    serde_json::from_str::<Value>(answer).unwrap()["token"].as_str().unwrap().to_owned()
}

/// Returns the path of the archive of a backup.
pub fn archive(backups: &Path, report: &BackupReport) -> PathBuf {
    let plain = backups.join(format!("{}.tar.gz", report.id));
    if plain.exists() { plain } else { backups.join(format!("{}.tar.gz.age", report.id)) }
}
