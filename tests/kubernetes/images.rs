//! The images on the node: the mai server, and a fixture that fails on demand. Nothing is pulled.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::cluster::cluster;

pub const OWN: &str = "mai-own:test";
/// Image of `tests/docker/fixture/server.rs`.
pub const FIXTURE: &str = "mai-fixture:1";
/// The same server under another tag.
pub const FIXTURE_NEXT: &str = "mai-fixture:2";

/// Loads an image of the binary under test and its shared libraries, laid out like the real image.
pub fn own() -> &'static str {
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let binary = env!("CARGO_BIN_EXE_mai");
        let certificates = directory.path().join("certificates");
        std::fs::write(&certificates, "nobody is asked over TLS\n").unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/rootfs");
        let archive = directory.path().join("own.tar");
        let made = Command::new(script).arg(binary).arg(certificates).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(&archive, made.stdout).unwrap();
        let libraries = String::from_utf8(Command::new("ldd").arg(binary).output().unwrap().stdout).unwrap();
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        let appended =
            Command::new("tar").args(["-C", "/", "--dereference", "-rf"]).arg(&archive).args(libraries).output();
        assert!(appended.as_ref().unwrap().status.success(), "{appended:?}");
        cluster().load_image(OWN, &archive, &["/usr/local/bin/mai", "serve"]);
    });
    OWN
}

pub fn fixture() -> &'static str {
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/fixture/server.rs");
        let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
            .arg(directory.path().join("fixture"))
            .arg(source)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let archive = directory.path().join("fixture.tar");
        let packed =
            Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(directory.path()).arg("fixture").status();
        assert!(packed.unwrap().success());
        for image in [FIXTURE, FIXTURE_NEXT] {
            cluster().load_image(image, &archive, &["/fixture"]);
        }
    });
    FIXTURE
}
