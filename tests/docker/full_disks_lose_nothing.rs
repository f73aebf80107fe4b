//! A full disk is reported, stops nothing that can run without it, and is used again once it has
//! room.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::http;

/// A small file system.
struct SmallDisk {
    root: tempfile::TempDir,
}

impl SmallDisk {
    fn new(megabytes: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = format!("size={megabytes}m,mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(root.path()).status();
        assert!(mounted.unwrap().success(), "these tests need root to mount a small file system");
        Self { root }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// Fills the remaining space with one file; returns its path.
    fn fill(&self) -> PathBuf {
        let file = self.path().join("filling");
        let mut filling = std::fs::File::create(&file).unwrap();
        while std::io::Write::write(&mut filling, &[0; 4096]).is_ok_and(|written| written > 0) {}
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn declare(env: &Environment, data: Option<&Path>, backups: Option<&Path>) {
    let volume = |name: &str, path: Option<&Path>| path.map(|path| format!("{name}: {{hostPath: {}}}", path.display()));
    let volumes: Vec<String> = [volume("data", data), volume("backups", backups)].into_iter().flatten().collect();
    let more = format!("  storage: {{{}}}\n", volumes.join(", "));
    let key = "{apiKeySecretRef: {name: upstream, key: key}}";
    env.workspace.write("instance.yaml", &env.document("mai-own:test", &more).replace(key, "{mock: true}"));
}

fn sign_up(env: &Environment, name: &str) -> (u16, String) {
    let body =
        format!(r#"{{"name": "{name}", "email": "{name}@example.com", "password": "a-Long-passw0rd-for-tests"}}"#);
    http("POST", env.port, "/api/v1/auths/signup", "", &body).unwrap()
}

#[test]
fn full_data_disk_is_reported_and_recovers() {
    let _engine = engine::shared();
    engine::build_own_image();
    let env = Environment::new("crammed");
    let disk = SmallDisk::new(8);
    declare(&env, Some(&disk.path().join("data")), None);
    let compose = env.compose();
    env.wait_for("Ready");
    let run = env.run().unwrap();

    // It becomes full while the server runs: writes are refused, and nothing is restarted.
    let filling = disk.fill();
    let (status, answer) = sign_up(&env, "boss");
    assert!(status >= 500 && answer.contains("detail"), "{status} {answer}");
    assert_eq!(http("GET", env.port, "/health", "", "").unwrap().0, 200);
    env.assert_unchanged(&run);
    std::fs::remove_file(&filling).unwrap();
    let (status, answer) = sign_up(&env, "boss");
    assert_eq!(status, 200, "{answer}; {:?}", env.mai("logs", &["-n", "20"]));

    // It is full when the server starts.
    let document = std::fs::read_to_string(env.workspace.documents.join("instance.yaml")).unwrap();
    env.workspace.write("instance.yaml", &format!("{document}  suspend: true\n"));
    env.wait_for("Suspended");
    let filling = disk.fill();
    env.workspace.write("instance.yaml", &document);
    let message = env.wait_for("DataNotWritable");
    assert!(message.contains("No space left on device"), "{message}");
    std::fs::remove_file(&filling).unwrap();
    env.wait_for("Ready");
    assert!(!env.get("/api/config").contains("\"onboarding\":true"), "the account is gone");
    compose.stop();
}

#[test]
fn full_backup_disk_aborts_the_reset() {
    let _engine = engine::shared();
    engine::build_own_image();
    let env = Environment::new("brimful");
    let disk = SmallDisk::new(8);
    declare(&env, None, Some(&disk.path().join("backups")));
    let compose = env.compose();
    env.wait_for("Ready");
    assert_eq!(sign_up(&env, "boss").0, 200);
    let filling = disk.fill();
    let (code, out, err) = env.mai("reset", &["--everything", "--yes"]);
    assert!(code == 1 && err.contains("nothing of brimful was wiped") && err.contains("is full"), "{out}{err}");
    env.wait_for("Ready");
    assert!(!env.get("/api/config").contains("\"onboarding\":true"), "the account is gone");
    let left: Vec<_> = std::fs::read_dir(disk.path().join("backups")).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(left.iter().all(|entry| entry.file_name() == ".mai-job.lock"), "half a backup is left: {left:?}");
    std::fs::remove_file(filling).unwrap();
    compose.stop();
}
