//! A disk that is full is told, stops nothing that can go on, and is used again once there is room.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine;
use super::stage::Stage;

use crate::fixtures::compose::http;

/// A file system of its own that is soon full.
struct SmallDisk {
    root: tempfile::TempDir,
}

impl SmallDisk {
    fn new(megabytes: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(root.path()).status();
        assert!(mounted.unwrap().success(), "these tests need root to mount a small file system");
        Self { root }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// Takes up all that is left of it.
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

fn declare(stage: &Stage, data: Option<&Path>, backups: Option<&Path>) {
    let place = |name: &str, path: Option<&Path>| {
        path.map(|path| format!("{name}: {{size: 1Gi, hostPath: {}}}", path.display()))
    };
    let places: Vec<String> = [place("data", data), place("backups", backups)].into_iter().flatten().collect();
    let more = format!("  storage: {{{}}}\n", places.join(", "));
    let key = "{apiKeySecretRef: {name: upstream, key: key}}";
    stage.place.write("instance.yaml", &stage.document("mai-own:test", &more).replace(key, "{mock: true}"));
}

fn sign_up(stage: &Stage, name: &str) -> (u16, String) {
    let body =
        format!(r#"{{"name": "{name}", "email": "{name}@example.com", "password": "a-Long-passw0rd-for-tests"}}"#);
    http("POST", stage.port, "/api/v1/auths/signup", "", &body).unwrap()
}

#[test]
fn a_server_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    let _engine = engine::shared();
    engine::build_own_image();
    let stage = Stage::new("crammed");
    let disk = SmallDisk::new(8);
    declare(&stage, Some(&disk.path().join("data")), None);
    let compose = stage.compose();
    stage.wait_for("Ready");
    let run = stage.run().unwrap();

    // It fills up while the server runs: what needs room is refused, and nothing is restarted for it.
    let filling = disk.fill();
    let (status, answer) = sign_up(&stage, "boss");
    assert!(status >= 500 && answer.contains("detail"), "{status} {answer}");
    assert_eq!(http("GET", stage.port, "/health", "", "").unwrap().0, 200);
    stage.assert_calm(&run);
    std::fs::remove_file(&filling).unwrap();
    let (status, answer) = sign_up(&stage, "boss");
    assert_eq!(status, 200, "{answer}; {:?}", stage.mai("logs", &["-n", "20"]));

    // It is full when the server starts.
    let document = std::fs::read_to_string(stage.place.documents.join("instance.yaml")).unwrap();
    stage.place.write("instance.yaml", &format!("{document}  suspend: true\n"));
    stage.wait_for("Suspended");
    let filling = disk.fill();
    stage.place.write("instance.yaml", &document);
    let message = stage.wait_for("DataNotWritable");
    assert!(message.contains("No space left on device"), "{message}");
    std::fs::remove_file(&filling).unwrap();
    stage.wait_for("Ready");
    assert!(!stage.get("/api/config").contains("\"onboarding\":true"), "the account is gone");
    compose.stop();
}

#[test]
fn a_full_disk_of_the_backups_keeps_a_reset_from_wiping_anything() {
    let _engine = engine::shared();
    engine::build_own_image();
    let stage = Stage::new("brimful");
    let disk = SmallDisk::new(8);
    declare(&stage, None, Some(&disk.path().join("backups")));
    let compose = stage.compose();
    stage.wait_for("Ready");
    assert_eq!(sign_up(&stage, "boss").0, 200);
    let filling = disk.fill();
    let (code, out, err) = stage.mai("reset", &["--everything", "--yes"]);
    assert!(code == 1 && err.contains("nothing of brimful was wiped") && err.contains("is full"), "{out}{err}");
    stage.wait_for("Ready");
    assert!(!stage.get("/api/config").contains("\"onboarding\":true"), "the account is gone");
    assert_eq!(std::fs::read_dir(disk.path().join("backups")).unwrap().count(), 0, "half a copy is left");
    std::fs::remove_file(filling).unwrap();
    compose.stop();
}
