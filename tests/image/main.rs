//! The image of the Dockerfile contains the binary alone, runs without root and serves a client.
//!
//! The binary is the debug build, linked like the release, so that nothing is compiled twice. With
//! MAI_TEST_IMAGE_BASE, an archive from `tests/image/base`, the whole Dockerfile is built in that
//! base instead, without a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../docker/engine.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../fixtures/mod.rs"]
mod fixtures;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::fixtures::compose::{Workspace, document, http, read_file, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

const IMAGE: &str = "mai-production:test";

/// Runs the docker command on the tests' engine.
fn docker(arguments: &[&str]) -> Output {
    Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", engine::host())
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .expect("these tests need the docker command line")
}

fn docker_output(arguments: &[&str]) -> String {
    let output = docker(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "docker {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn inspect(what: &str) -> Value {
    serde_json::from_str::<Value>(&docker_output(&["inspect", what])).unwrap()[0].take()
}

/// Builds the static binary; returns its path.
fn binary() -> String {
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["rustc", "--locked", "--bin", "mai", "--message-format=json", "--", "-C", "target-feature=+crt-static"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).unwrap();
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(str::to_owned));
    executables.next_back().unwrap()
}

fn image() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os("MAI_TEST_IMAGE_BASE") {
        Some(base) => build_whole(Path::new(&base)),
        None => pack(),
    });
    IMAGE
}

/// Builds the whole Dockerfile, with settings for a short build instead of a fast binary.
fn build_whole(base: &Path) {
    const BUILDER: &str = "mai-builder:test";
    let quickly = "ENV CARGO_NET_OFFLINE=true CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_LTO=off";
    docker_output(&["import", "--change", quickly, base.to_str().unwrap(), BUILDER]);
    let builder = format!("BUILDER_IMAGE={BUILDER}");
    docker_output(&[
        "build",
        "-q",
        "--network",
        "none",
        "--build-arg",
        &builder,
        "-t",
        IMAGE,
        env!("CARGO_MANIFEST_DIR"),
    ]);
}

/// Builds only the last part of the Dockerfile, from an existing binary.
fn pack() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let context = tempfile::tempdir().unwrap();
    let certificates = context.path().join("certificates");
    std::fs::write(&certificates, "those of the builder\n").unwrap();
    let archive = Command::new(root.join("image/rootfs")).arg(binary()).arg(certificates).output().unwrap();
    assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
    std::fs::write(context.path().join("rootfs.tar"), archive.stdout).unwrap();
    for file in ["Dockerfile", "LICENSE"] {
        std::fs::copy(root.join(file), context.path().join(file)).unwrap();
    }
    let context = context.path().to_str().unwrap();
    docker_output(&[
        "build",
        "-q",
        "--target",
        "from-binary",
        "--build-arg",
        "ROOTFS=rootfs.tar",
        "-t",
        IMAGE,
        context,
    ]);
}

/// A container that is removed at the end of the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

#[test]
fn image_contains_the_binary_alone_and_is_labelled() {
    let _shared = engine::shared();
    let config = inspect(image())["Config"].take();
    for (path, expected) in [
        ("/User", json!("65532:65532")),
        ("/Entrypoint", json!(["/usr/local/bin/mai"])),
        ("/Cmd", json!(["serve"])),
        ("/Healthcheck/Test", json!(["CMD", "mai", "health"])),
        ("/ExposedPorts", json!({"8080/tcp": {}})),
        ("/StopSignal", json!("SIGTERM")),
        ("/Labels/org.opencontainers.image.version", json!(env!("CARGO_PKG_VERSION"))),
        ("/Labels/org.opencontainers.image.licenses", json!("Apache-2.0")),
    ] {
        assert_eq!(config.pointer(path), Some(&expected), "{path} in {config:#}");
    }
    assert!(config["Volumes"].is_null(), "a declared volume leaves nameless volumes behind");

    let container = Container(docker_output(&["create", IMAGE]));
    let archive = tempfile::NamedTempFile::new().unwrap();
    let path = archive.path().to_str().unwrap();
    docker_output(&["export", "-o", path, &container.0]);
    let listed = Command::new("tar").args(["--numeric-owner", "-tvf", path]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    // Files that engines add to every container.
    let of_engines =
        [".dockerenv", "dev/", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc/", "sys/"];
    let mut files: Vec<(&str, &str, &str)> = listed
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields[5], fields[0], fields[1])
        })
        .filter(|(name, ..)| !of_engines.iter().any(|of_engines| name.starts_with(of_engines)))
        .collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            ("app/", "drwxr-xr-x", "65532/65532"),
            ("app/backend/", "drwxr-xr-x", "65532/65532"),
            ("app/backend/data/", "drwxr-xr-x", "65532/65532"),
            ("app/backups/", "drwxr-xr-x", "65532/65532"),
            ("etc/", "drwxr-xr-x", "0/0"),
            ("etc/ssl/", "drwxr-xr-x", "0/0"),
            ("etc/ssl/certs/", "drwxr-xr-x", "0/0"),
            ("etc/ssl/certs/ca-certificates.crt", "-rw-r--r--", "0/0"),
            ("tmp/", "drwxrwxrwt", "0/0"),
            ("usr/", "drwxr-xr-x", "0/0"),
            ("usr/local/", "drwxr-xr-x", "0/0"),
            ("usr/local/bin/", "drwxr-xr-x", "0/0"),
            ("usr/local/bin/mai", "-rwxr-xr-x", "0/0"),
            ("usr/share/", "drwxr-xr-x", "0/0"),
            ("usr/share/doc/", "drwxr-xr-x", "0/0"),
            ("usr/share/doc/mai/", "drwxr-xr-x", "0/0"),
            ("usr/share/doc/mai/THIRD-PARTY-NOTICES", "-rw-r--r--", "0/0"),
        ]
    );

    let notices = Command::new("tar").args(["-xOf", path, "usr/share/doc/mai/THIRD-PARTY-NOTICES"]).output().unwrap();
    let notices = String::from_utf8(notices.stdout).unwrap();
    let expected = ["\ntokio 1.", "\nring 0.", "  cssparser ", "Apache License", "Mozilla Public License", "SQLite"];
    for text in expected {
        assert!(notices.contains(text), "{text:?} in {notices}");
    }
    assert!(!notices.contains("\nmai-"), "our own crates are no third party");
}

#[test]
fn manual_container_answers_with_only_its_volume_writable() {
    let _shared = engine::shared();
    let port = free_port();
    // The network of the host, because the tests' engine has no bridge; a volume that the engine
    // initialises from the image.
    let container = Container(docker_output(&[
        "run",
        "--detach",
        "--network=host",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--tmpfs=/tmp",
        "--health-interval=1s",
        "--volume=/app/backend/data",
        "--env=HOST=127.0.0.1",
        &format!("--env=PORT={port}"),
        image(),
    ]));
    wait_ready(port);
    wait_until(
        || format!("the engine to call it healthy: {:#}", inspect(&container.0)["State"]),
        || (inspect(&container.0)["State"]["Health"]["Status"] == "healthy").then_some(()),
    );
    let pid = inspect(&container.0)["State"]["Pid"].clone();
    let status = read_file(Path::new(&format!("/proc/{pid}/status")));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid"), ["65532"; 4]);
    assert_eq!(field("CapEff"), ["0000000000000000"]);
    assert_eq!(field("CapBnd"), ["0000000000000000"]);
    assert_eq!(field("NoNewPrivs"), ["1"]);
    assert!(!docker(&["exec", &container.0, "sh", "-c", "true"]).status.success(), "there is a shell in the image");
    docker_output(&["stop", "--time=30", &container.0]);
    assert_eq!(inspect(&container.0)["State"]["ExitCode"], 0, "it does not end cleanly");
}

#[test]
fn document_runs_a_client_from_the_image() {
    let _shared = engine::shared();
    let workspace = Workspace::new();
    let port = free_port();
    let image = image();
    workspace.write("image.yaml", &document("image", port, &format!("  image: {image}\n  imagePullPolicy: Never\n")));
    let _container = Container("mai-image".to_owned());
    let compose = workspace.compose(&["--runtime", "docker", "--docker-host", &engine::host()]);
    compose.wait_for_line(&["mai keeps"]);
    workspace.wait_for_reason("image", "Ready", "Ready");
    wait_ready(port);

    let container = inspect("mai-image");
    assert_eq!(container["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(container["Config"]["Healthcheck"]["Test"], json!(["CMD", "mai", "health"]));
    assert_eq!(docker_output(&["exec", "mai-image", "mai", "health"]), "");
    let keys = container["Config"]["Env"].to_string();
    assert!(!keys.contains("WEBUI_SECRET_KEY"), "the session key shows when the container is inspected: {keys}");

    // The first account is registered, which the server writes to its volume as its own user.
    let person = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"}).to_string();
    let (status, answer) = http("POST", port, "/api/v1/auths/signup", "", &person).unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("admin"), "{answer}");
    compose.stop();
}
