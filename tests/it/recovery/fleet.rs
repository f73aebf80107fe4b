//! A server with clients that have accounts and chats, its end, and what people find afterwards.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::fixtures::compose::{Compose, Workspace, document, http, wait_until};
use crate::fixtures::ports::free_port;
use crate::fixtures::s3::{COPIES, Place, S3Server};

const PASSWORD: &str = "a-Long-passw0rd-for-tests";

/// Keys of backups.
pub struct Keys {
    pub public: String,
    /// File with the identity.
    pub identity: PathBuf,
    _directory: tempfile::TempDir,
}

impl Keys {
    pub fn new() -> Self {
        let key = age::x25519::Identity::generate();
        let directory = tempfile::tempdir().unwrap();
        let identity = directory.path().join("identity.txt");
        std::fs::write(&identity, format!("# today\n{}\n", key.to_string().expose_secret())).unwrap();
        Self { public: key.to_public().to_string(), identity, _directory: directory }
    }

    pub fn identity(&self) -> &str {
        self.identity.to_str().unwrap()
    }
}

/// A place of backups outside the server.
pub struct Copies {
    /// As `--from` and `--recovery-to` name it.
    pub address: String,
    /// The destination in a document.
    destination: String,
    /// File for `--s3`.
    s3: Option<PathBuf>,
    /// The Secret of the keys of a bucket.
    secret: Option<(String, String)>,
    directory: tempfile::TempDir,
}

impl Copies {
    pub fn directory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = directory.path().to_str().unwrap().to_owned();
        let destination = format!("{{name: copies, local: {{path: {address}}}}}");
        Self { address, destination, s3: None, secret: None, directory }
    }

    /// Returns a prefix of this test's own in a bucket of the S3 server for tests.
    pub fn bucket(prefix: &str) -> Self {
        let endpoint = format!("http://127.0.0.1:{}", S3Server::get().port);
        let place = Place::bucket(&endpoint, COPIES, "full", prefix);
        let secret = |name: &str| std::fs::read_to_string(place.places().secrets.join(name)).unwrap().trim().to_owned();
        let (id, secret) = (secret("id"), secret("secret"));
        let directory = tempfile::tempdir().unwrap();
        let s3 = directory.path().join("s3.yaml");
        std::fs::write(&s3, format!("endpoint: {endpoint}\naccessKeyId: {id}\nsecretAccessKey: {secret}\n")).unwrap();
        std::fs::set_permissions(&s3, std::fs::Permissions::from_mode(0o600)).unwrap();
        let destination = format!(
            "{{name: copies, s3: {{bucket: {COPIES}, endpoint: \"{endpoint}\", prefix: {prefix}, accessKeyIdRef: {{name: bucket, key: id}}, secretAccessKeyRef: {{name: bucket, key: secret}}}}}}"
        );
        let address = format!("s3://{COPIES}/{prefix}");
        Self { address, destination, s3: Some(s3), secret: Some((id, secret)), directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the arguments that name it to `mai recover`.
    pub fn from(&self) -> Vec<&str> {
        let s3 = self.s3.iter().flat_map(|path| ["--s3", path.to_str().unwrap()]);
        ["--from", &self.address].into_iter().chain(s3).collect()
    }

    /// Returns the arguments that name it to `mai compose`.
    pub fn to(&self) -> Vec<&str> {
        let s3 = self.s3.iter().flat_map(|path| ["--recovery-s3", path.to_str().unwrap()]);
        ["--recovery-to", &self.address, "--recovery-interval", "1s"].into_iter().chain(s3).collect()
    }
}

/// A client with an account.
pub struct Client {
    pub name: &'static str,
    pub port: u16,
}

/// A server that runs.
pub struct Fleet {
    pub workspace: Workspace,
    pub compose: Compose,
    pub clients: Vec<Client>,
}

/// Uid of a client, and the chats that its people find.
#[derive(Debug, PartialEq)]
pub struct Found {
    pub uid: String,
    pub chats: Value,
}

impl Fleet {
    /// Starts a server with a client of each name. All of them back up to `copies`, encrypted if
    /// there are keys, and need a Secret to start.
    pub fn start(names: &[&'static str], copies: &Copies, keys: Option<&Keys>, arguments: &[&str]) -> Self {
        let workspace = Workspace::new();
        workspace.write_secret("note", "key", "sesame");
        if let Some((id, secret)) = &copies.secret {
            let text = format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: bucket}}\nstringData: {{id: \"{id}\", secret: \"{secret}\"}}\n"
            );
            workspace.write("secrets/bucket.yaml", &text);
            let path = workspace.documents.join("secrets/bucket.yaml");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let encryption =
            keys.map(|keys| format!("    encryption: {{recipients: [{}]}}\n", keys.public)).unwrap_or_default();
        let more = format!(
            "  server: {{env: [{{name: NOTE, secretRef: {{name: note, key: key}}}}]}}\n  backup:\n    schedule: \"0 0 29 2 *\"\n    destinations: [{}]\n{encryption}",
            copies.destination
        );
        let clients: Vec<Client> = names.iter().map(|name| Client { name, port: free_port() }).collect();
        let documents: Vec<String> = clients.iter().map(|client| document(client.name, client.port, &more)).collect();
        // The first has a file of its own, the others share one.
        workspace.write("first.yaml", &format!("# the first client\n{}", documents[0]));
        workspace.write("others.yaml", &documents[1..].join("---\n"));
        let compose = workspace.compose(arguments);
        let fleet = Self { workspace, compose, clients };
        for client in &fleet.clients {
            fleet.compose.wait_for_line(&[client.name, "ready"]);
            client.register();
        }
        fleet
    }

    /// Backs up a client.
    pub fn back_up(&self, name: &str) {
        let (code, out, err) = self.workspace.mai("backup", &[name]);
        assert_eq!(code, 0, "{out}{err}");
    }

    pub fn found(&self) -> Vec<Found> {
        found(&self.workspace, &self.clients)
    }

    /// Ends the server and removes all that was on it.
    pub fn die(self) -> Vec<Client> {
        let Self { workspace, compose, clients } = self;
        compose.stop();
        std::fs::remove_dir_all(&workspace.documents).unwrap();
        std::fs::remove_dir_all(&workspace.state).unwrap();
        clients
    }
}

/// Returns what people of each client find.
pub fn found(workspace: &Workspace, clients: &[Client]) -> Vec<Found> {
    let status = workspace.status();
    let uid = |name: &str| {
        let item = status.iter().find(|item| item["metadata"]["name"] == name).unwrap();
        item["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    clients.iter().map(|client| Found { uid: uid(client.name), chats: client.chats(&client.sign_in()) }).collect()
}

/// Starts what came back and returns what people find.
pub fn start(workspace: &Workspace, clients: &[Client]) -> Vec<Found> {
    let compose = workspace.compose(&[]);
    for client in clients {
        compose.wait_for_line(&[client.name, "ready"]);
    }
    let found = found(workspace, clients);
    compose.stop();
    found
}

impl Client {
    fn body(&self) -> Value {
        json!({"name": "Ada Nowak", "email": format!("ada@{}.example", self.name), "password": PASSWORD})
    }

    /// Registers the administrator, who begins a chat.
    fn register(&self) {
        let (status, answer) = http("POST", self.port, "/api/v1/auths/signup", "", &self.body().to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
        let token = token(&answer);
        let form = format!("text=question+of+{}&model=openai%2Fgpt-5", self.name);
        let request = crate::fixtures::serve::client()
            .post(format!("http://127.0.0.1:{}/chat", self.port))
            .bearer_auth(&token)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let status = runtime.block_on(async { request.send().await.unwrap().status() });
        assert!(status.is_success() || status.is_redirection(), "{status}");
        wait_until(
            || format!("an answer; {:?}", self.chats(&token)),
            || {
                let chats = self.chats(&token).to_string();
                (chats.contains(&format!("> question of {}", self.name)) && !chats.contains("streaming")).then_some(())
            },
        );
    }

    /// Signs in; returns the token of the session.
    fn sign_in(&self) -> String {
        let (status, answer) = http("POST", self.port, "/api/v1/auths/signin", "", &self.body().to_string()).unwrap();
        assert_eq!(status, 200, "{}: {answer}", self.name);
        token(&answer)
    }

    fn chats(&self, token: &str) -> Value {
        let headers = format!("authorization: Bearer {token}\r\n");
        let get = |path: &str| -> Value {
            let (status, answer) = http("GET", self.port, path, &headers, "").unwrap();
            assert_eq!(status, 200, "{answer}");
            serde_json::from_str(&answer).unwrap()
        };
        let list = get("/api/v1/chats/");
        let ids = list.as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap().to_owned());
        ids.map(|id| get(&format!("/api/v1/chats/{id}"))).collect()
    }
}

fn token(answer: &str) -> String {
    serde_json::from_str::<Value>(answer).unwrap()["token"].as_str().unwrap().to_owned()
}
