//! Twenty clients backed up to a local S3 service, and brought back from there, beside `age` and
//! `tar` on the same archives.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::backup::fill;
use crate::report::Report;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/s3_server.py");
const BUCKET: &str = "copies";

/// Adds the rows of this many clients of this size.
pub fn measure(
    mai: &Path,
    python: Option<&Path>,
    clients: usize,
    mib: u64,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let Some(python) = python.filter(|_| report.wants("recover: ")) else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let bench = Bench::new(mai, python, directory.path(), clients)?;
    let uids = bench.back_up_server()?;
    let data = directory.path().join("data");
    std::fs::create_dir(&data)?;
    fill(&data.join("mai.db"), mib << 20)?;

    let began = Instant::now();
    for (number, uid) in uids.iter().enumerate() {
        bench.back_up(number, uid, &data, &bench.bucket(), true)?;
    }
    let backed_up = began.elapsed();
    report.add(
        &format!("recover: back up {clients} clients of {mib} MiB to S3"),
        "each is read back, unpacked and checked".to_owned(),
        format!("{:.1} s", backed_up.as_secs_f64()),
        "≤ 60 s",
        backed_up <= Duration::from_secs(60),
    );

    let age = Command::new("age").arg("--version").output().is_ok();
    let copies = directory.path().join("copies");
    std::fs::create_dir(&copies)?;
    let store = json!({"directory": copies});
    for (number, uid) in uids.iter().enumerate() {
        bench.back_up(number, uid, &data, &store, age)?;
    }
    let began = Instant::now();
    for number in 0..clients {
        bench.unpack_by_hand(number, &copies, age)?;
    }
    let by_hand = began.elapsed();
    let began = Instant::now();
    bench.recover()?;
    let recovered = began.elapsed();
    report.add(
        &format!("recover: {clients} clients of {mib} MiB from S3"),
        format!("{} {:.1} s", if age { "age -d | tar xzf" } else { "tar xzf alone" }, by_hand.as_secs_f64()),
        format!("{:.1} s", recovered.as_secs_f64()),
        "≤ 90 s",
        recovered <= Duration::from_secs(90),
    );
    Ok(())
}

/// A server with clients, none of which runs.
struct Bench<'a> {
    mai: &'a Path,
    top: &'a Path,
    clients: usize,
    s3: S3,
    recipient: String,
    identity: PathBuf,
    connection: PathBuf,
    secrets: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(mai: &'a Path, python: &Path, top: &'a Path, clients: usize) -> anyhow::Result<Self> {
        let s3 = S3::start(python)?;
        let key = Identity::generate();
        let (identity, connection, secrets) = (top.join("identity"), top.join("s3.yaml"), top.join("secrets"));
        std::fs::create_dir(&secrets)?;
        write_private(&identity, key.to_string().expose_secret())?;
        write_private(
            &connection,
            &format!("endpoint: {}\naccessKeyId: {}\nsecretAccessKey: {}\n", s3.endpoint, s3.id, s3.secret),
        )?;
        write_private(&secrets.join("id"), &s3.id)?;
        write_private(&secrets.join("secret"), &s3.secret)?;
        let recipient = key.to_public().to_string();
        Ok(Self { mai, top, clients, s3, recipient, identity, connection, secrets })
    }

    fn bucket(&self) -> Value {
        json!({"s3": {
            "bucket": BUCKET, "endpoint": self.s3.endpoint, "prefix": "bench", "pathStyle": true,
            "accessKeyId": "id", "secretAccessKey": "secret",
        }})
    }

    /// Declares the clients, suspended, and waits for the backup of their server. Returns their uids.
    fn back_up_server(&self) -> anyhow::Result<Vec<String>> {
        let (documents, state) = (self.top.join("documents"), self.top.join("state"));
        std::fs::create_dir(&documents)?;
        for number in 0..self.clients {
            let text = format!(
                "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: client-{number}}}\nspec:\n  displayName: Client {number}\n  suspend: true\n  openRouter: {{mock: true}}\n  expose: {{port: {}}}\n",
                20_000 + number
            );
            std::fs::write(documents.join(format!("client-{number}.yaml")), text)?;
        }
        let mut compose = Command::new(self.mai)
            .arg("compose")
            .arg(&documents)
            .arg("--state-dir")
            .arg(&state)
            .args(["--recovery-to", &format!("s3://{BUCKET}/bench"), "--recovery-interval", "1s"])
            .args(["--recovery-recipient", &self.recipient, "--recovery-s3"])
            .arg(&self.connection)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = compose.stdout.take().context("no output")?;
        let made = BufReader::new(out).lines().map_while(Result::ok).find(|line| line.starts_with("server backup"));
        let mut status = Command::new(self.mai);
        status.arg("status").arg(&documents).arg("--state-dir").arg(&state).args(["-o", "json"]);
        let listed = status.output()?;
        compose.kill()?;
        compose.wait()?;
        let made = made.context("mai compose ended early")?;
        ensure!(made.contains("made"), "{made}");
        let listed: Value = serde_json::from_slice(&listed.stdout)?;
        let items = listed["items"].as_array().context("no instances")?;
        let uid = |number| {
            let name = format!("client-{number}");
            let item = items.iter().find(|item| item["metadata"]["name"] == name).context("no instance")?;
            Ok(item["metadata"]["uid"].as_str().context("no uid")?.to_owned())
        };
        (0..self.clients).map(uid).collect()
    }

    fn back_up(&self, number: usize, uid: &str, data: &Path, store: &Value, encrypt: bool) -> anyhow::Result<()> {
        let order = self.top.join("order.json");
        let encryption = encrypt.then(|| json!({"recipients": [self.recipient], "identity": "identity"}));
        std::fs::copy(&self.identity, self.secrets.join("identity"))?;
        let text = json!({
            "kind": "backup",
            "id": format!("20261130-020000-{number:06x}"),
            "instance": {"namespace": "default", "name": format!("client-{number}"), "uid": uid},
            "reason": "a measurement",
            "document": {},
            "encryption": encryption,
            "destinations": [{"name": "there", "store": store}],
            "timeZone": "UTC",
        });
        std::fs::write(&order, serde_json::to_vec(&text)?)?;
        let backups = self.top.join("backups");
        std::fs::create_dir_all(&backups)?;
        let mut command = Command::new(self.mai);
        command.arg("job").env_clear();
        command.args([Path::new("--order"), &order, Path::new("--data"), data, Path::new("--backups"), &backups]);
        let output = command.arg("--secrets").arg(&self.secrets).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(text.contains("\"verified\""), "{text}{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn unpack_by_hand(&self, number: usize, copies: &Path, encrypted: bool) -> anyhow::Result<()> {
        let into = self.top.join(format!("by-hand-{number}"));
        std::fs::create_dir(&into)?;
        let archive = copies.join(format!("default/client-{number}/20261130-020000-{number:06x}.tar.gz"));
        let mut script = format!("tar xzf {} -C {}", archive.display(), into.display());
        if encrypted {
            let identity = self.identity.display();
            script = format!("age -d -i {identity} {}.age | tar xz -C {}", archive.display(), into.display());
        }
        let status = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).status()?;
        ensure!(status.success(), "{script}: {status}");
        Ok(())
    }

    fn recover(&self) -> anyhow::Result<()> {
        let output = Command::new(self.mai)
            .arg("recover")
            .arg(self.top.join("new-documents"))
            .arg("--state-dir")
            .arg(self.top.join("new-state"))
            .args(["--from", &format!("s3://{BUCKET}/bench"), "--s3"])
            .arg(&self.connection)
            .arg("--identity")
            .arg(&self.identity)
            .output()?;
        if !output.status.success() {
            bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// The S3 service of the tests. It ends when its standard input is closed.
struct S3 {
    endpoint: String,
    id: String,
    secret: String,
    process: Child,
    _input: ChildStdin,
}

impl S3 {
    fn start(python: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(python);
        command.arg(SERVER).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().context("cannot start the S3 service")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).context("the S3 service tells no port")?;
        let input = process.stdin.take().context("no input")?;
        let key =
            |index: usize| Ok::<_, anyhow::Error>(told["keys"]["full"][index].as_str().context("no key")?.to_owned());
        let endpoint = format!("http://127.0.0.1:{}", told["port"]);
        Ok(Self { endpoint, id: key(0)?, secret: key(1)?, process, _input: input })
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}
