//! `mai drill` brings a backup back into a throw-away instance, of which nothing is left, and
//! `mai drill-report` tells of it.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::fixtures::compose::{Compose, Workspace, document, sign_up, signal, wait_until};
use crate::fixtures::ports::free_port;

/// Neither backups nor drills are due during a test.
const YEARLY: &str = "  backup: {schedule: \"0 0 1 1 *\", drill: Monthly}\n";
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// A client with an account.
struct Client {
    compose: Compose,
    workspace: Workspace,
}

impl Client {
    fn new(more: &str) -> Self {
        let workspace = Workspace::new();
        workspace.write_secret("identity", "key", IDENTITY);
        let port = free_port();
        workspace.write("a.yaml", &document("alpha", port, more));
        let compose = workspace.compose(&[]);
        compose.wait_for_line(&["alpha", "ready"]);
        sign_up(port);
        Self { compose, workspace }
    }

    /// Returns one that has a backup.
    fn backed_up(more: &str) -> Self {
        let client = Self::new(more);
        client.run("backup", &["alpha"], 0);
        client
    }

    /// Runs a verb; returns what it prints.
    fn run(&self, verb: &str, arguments: &[&str], expected: i32) -> String {
        let (code, out, err) = self.workspace.mai(verb, arguments);
        assert_eq!(code, expected, "{out}{err}; output of compose:\n{}", self.compose.output());
        out + &err
    }

    fn home(&self) -> PathBuf {
        self.workspace.state.join("instances/alpha")
    }

    fn drill(&self) -> Value {
        self.workspace.status()[0]["status"]["backup"]["drill"].clone()
    }

    /// Returns the process of the server of a drill, if one runs.
    fn trial_server(&self) -> Option<i32> {
        let job = self.home().join("job").canonicalize().ok()?;
        let below = format!("DATA_DIR={}", job.display());
        std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environ = std::fs::read(entry.path().join("environ")).ok()?;
            let is_it = environ.split(|byte| *byte == 0).any(|variable| variable.starts_with(below.as_bytes()));
            is_it.then_some(pid)
        })
    }

    /// Fails unless nothing of a drill is left.
    fn assert_nothing_is_left(&self) {
        let left = || (self.trial_server(), self.workspace.job("alpha"), self.home().join("job").exists());
        wait_until(|| format!("the end of the drill: {:?}", left()), || (left() == (None, None, false)).then_some(()));
        let hidden = std::fs::read_dir(self.home().join("backups")).unwrap().map(|entry| entry.unwrap().file_name());
        let hidden: Vec<_> = hidden.filter(|name| name.to_str().unwrap().starts_with(".staging")).collect();
        assert_eq!(hidden, [""; 0]);
    }
}

/// Returns the only archive in a directory of backups.
fn archive(backups: &Path) -> PathBuf {
    let paths = std::fs::read_dir(backups).unwrap().map(|entry| entry.unwrap().path());
    let archives: Vec<_> = paths.filter(|path| path.to_str().unwrap().contains(".tar.gz")).collect();
    let [archive] = &archives[..] else { panic!("{archives:?}") };
    archive.clone()
}

#[test]
fn drill_on_demand_starts_a_server_and_is_reported() {
    let client = Client::new(YEARLY);
    let refused = client.run("drill", &["alpha"], 1);
    assert!(refused.contains("no verified backup") && refused.contains("mai backup"), "{refused}");
    let refused = client.run("drill-report", &["alpha"], 1);
    assert!(refused.contains("no drill of alpha has ended yet"), "{refused}");
    client.run("backup", &["alpha"], 0);
    assert_eq!(client.workspace.condition("alpha", "RestoreVerified").unwrap().1, "DrillPending");
    let server = client.workspace.pid("alpha");

    let told = client.run("drill", &["alpha"], 0);
    assert!(told.contains("signed in; it has 1 accounts and 0 chats"), "{told}");
    client.assert_nothing_is_left();
    let message = client.workspace.wait_for_reason("alpha", "RestoreVerified", "DrillPassed");
    assert!(message.contains("came back from backups within") && message.contains("a server answered"), "{message}");
    let drill = client.drill();
    let passed = &drill["passed"];
    assert_eq!((passed["people"].as_i64(), passed["databases"].as_i64()), (Some(1), Some(1)), "{drill}");
    assert_eq!(passed["serverVersion"], env!("CARGO_PKG_VERSION"));
    let next = wait_until(
        || format!("the next one: {}", client.drill()),
        || client.drill()["next"].as_str().map(str::to_owned),
    );
    assert!(next.as_str() > drill["last"]["endedAt"].as_str().unwrap(), "{drill}");
    let events = client.run("status", &["alpha"], 0);
    assert!(events.contains("DrillPassed"), "{events}");
    assert_eq!(client.workspace.pid("alpha"), server, "the server in use was touched");

    let backup = passed["backup"].as_str().unwrap();
    let report = client.run("drill-report", &["alpha"], 0);
    assert!(report.starts_with("# Recovery test: alpha") && report.contains(backup), "{report}");
    let page = client.run("drill-report", &["alpha", "-o", "html", "--lang", "pl"], 0);
    assert!(page.contains("<html lang=\"pl\">") && page.contains("Udana") && page.contains(backup), "{page}");
    client.compose.stop();
}

#[test]
fn annotation_asks_for_one_drill_with_each_value() {
    let client = Client::new(YEARLY);
    let path = client.workspace.documents.join("a.yaml");
    let plain = std::fs::read_to_string(&path).unwrap();
    let annotate = |value: &str| {
        let annotations = format!("  name: alpha\n  annotations: {{mai.dev/drill-requested: \"{value}\"}}\n");
        client.workspace.write("a.yaml", &plain.replace("  name: alpha\n", &annotations));
    };
    let passed = |value: &str| {
        let ended = || {
            let drill = client.drill();
            let is_passed = drill["handledRequest"] == value && drill["last"]["result"] == "Passed";
            is_passed.then(|| drill["last"]["id"].as_str().unwrap().to_owned())
        };
        wait_until(|| format!("the drill of {value}: {}; {}", client.drill(), client.compose.output()), ended)
    };
    // It waits for the first verified backup.
    annotate("before the move");
    client.run("backup", &["alpha"], 0);
    let first = passed("before the move");
    annotate("after it");
    let second = passed("after it");
    assert_ne!(second, first);

    // A value counts once, and again after it was taken away.
    client.workspace.write("a.yaml", &plain);
    wait_until(
        || format!("the value to be forgotten: {}", client.drill()),
        || client.drill()["handledRequest"].is_null().then_some(()),
    );
    assert_eq!(client.drill()["last"]["id"], *second);
    annotate("after it");
    assert_ne!(passed("after it"), second);
    client.compose.stop();
}

#[test]
fn drill_of_a_corrupted_backup_fails_and_says_so() {
    let client = Client::backed_up(YEARLY);
    let archive = archive(&client.home().join("backups"));
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&archive, bytes).unwrap();

    let told = client.run("drill", &["alpha"], 1);
    assert!(told.contains("the drill failed") && told.contains("was changed after it was stored"), "{told}");
    client.assert_nothing_is_left();
    let message = client.workspace.wait_for_reason("alpha", "RestoreVerified", "DrillFailed");
    assert!(message.contains("was changed after it was stored"), "{message}");
    assert_eq!(client.workspace.condition("alpha", "RestoreVerified").unwrap().0, "False");
    assert_eq!(client.workspace.condition("alpha", "Ready").unwrap().0, "True");
    let drill = client.drill();
    assert_eq!((drill["failures"].as_i64(), drill["last"]["result"].as_str()), (Some(1), Some("Failed")), "{drill}");
    let report = client.run("drill-report", &["alpha"], 0);
    assert!(report.contains("**Failed**") && report.contains("was changed after it was stored"), "{report}");
    client.compose.stop();
}

#[test]
fn encrypted_backup_is_drilled_with_its_identity() {
    let encryption =
        format!("encryption: {{recipients: [{RECIPIENT}], identitySecretRef: {{name: identity, key: key}}}}");
    let client = Client::backed_up(&format!("  backup: {{schedule: \"0 0 1 1 *\", {encryption}}}\n"));
    client.run("drill", &["alpha"], 0);
    assert_eq!(client.drill()["passed"]["encrypted"], true, "{}", client.drill());
    client.workspace.wait_for_reason("alpha", "RestoreVerified", "DrillPassed");
    client.compose.stop();
}

#[test]
fn encrypted_backup_without_an_identity_is_no_alarm() {
    let client = Client::backed_up(&format!(
        "  backup: {{schedule: \"0 0 1 1 *\", encryption: {{recipients: [{RECIPIENT}]}}}}\n"
    ));
    let message = client.workspace.wait_for_reason("alpha", "RestoreVerified", "DrillNeedsIdentity");
    assert!(message.contains("identitySecretRef") && message.contains("Never"), "{message}");
    assert_eq!(client.workspace.condition("alpha", "RestoreVerified").unwrap().0, "Unknown");
    let refused = client.run("drill", &["alpha"], 1);
    assert!(refused.contains("identitySecretRef"), "{refused}");
    client.compose.stop();
}

#[test]
fn killed_drill_leaves_neither_server_nor_data() {
    let client = Client::backed_up(YEARLY);
    let (job, server) = wait_until(
        || format!("the server of the drill; output of compose:\n{}", client.compose.output()),
        || {
            let Some(server) = client.trial_server() else {
                // One that ended unseen is repeated; while one is in progress, another is refused.
                client.workspace.mai("drill", &["alpha", "--no-wait"]);
                return None;
            };
            signal(server, Signal::STOP);
            Some((client.workspace.job("alpha")?, server))
        },
    );
    assert!(client.home().join("job/staging").is_dir());
    signal(job, Signal::KILL);
    signal(server, Signal::CONT);
    let message = client.workspace.wait_for_reason("alpha", "RestoreVerified", "DrillFailed");
    assert!(message.contains("signal 9"), "{message}");
    client.assert_nothing_is_left();
    client.run("drill", &["alpha"], 0);
    client.workspace.wait_for_reason("alpha", "RestoreVerified", "DrillPassed");
    client.compose.stop();
}
