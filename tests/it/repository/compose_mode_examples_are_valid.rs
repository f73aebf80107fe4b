//! The examples in `compose-mode/` agree with each other and are accepted by the programs that read
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-mode").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn clients() -> Vec<Value> {
    let mut names: Vec<String> = std::fs::read_dir(file("clients"))
        .unwrap()
        .map(|entry| format!("clients/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    names.sort();
    names.iter().map(|name| yaml(name)).collect()
}

/// Returns the NAME=value pairs of the example environment.
fn secrets() -> BTreeMap<String, String> {
    let lines = text("mai.env.example");
    let pairs = lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn example_clients_are_valid_and_have_their_secrets() {
    let output = Command::new(env!("CARGO_BIN_EXE_mai"))
        .args(["validate", "--runtime", "docker", "--policy"])
        .arg(file("policy.yaml"))
        .arg(file("clients"))
        .envs(secrets())
        .output();
    let output = output.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), stdout.trim()), (Some(0), "3 instances in 3 files are valid"));
    for client in clients() {
        assert_eq!(client["spec"]["image"], "mai-production:latest", "what docs/docker.md builds");
    }
}

#[test]
fn caddy_example_routes_each_client() {
    let caddyfile = text("Caddyfile");
    let mut sent = BTreeSet::new();
    let mut host = "";
    for line in caddyfile.lines() {
        if let Some(site) = line.strip_suffix(" {").filter(|site| site.contains('.')) {
            host = site;
        }
        if let Some(target) = line.trim().strip_prefix("reverse_proxy ") {
            sent.insert((host.to_owned(), target.to_owned()));
        }
    }
    let declared: BTreeSet<(String, String)> = clients()
        .iter()
        .map(|client| &client["spec"]["expose"])
        .map(|expose| (expose["host"].as_str().unwrap().to_owned(), format!("127.0.0.1:{}", expose["port"])))
        .collect();
    assert_eq!(sent, declared);
}

#[test]
fn systemd_units_and_their_command_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let service = text("mai.service");
    let mut command = service.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/mai ")).unwrap();
    command = command.strip_prefix("compose /etc/mai/clients ").expect("it keeps the clients of /etc/mai/clients");
    let understood = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("compose")
        .arg(file("clients"))
        .args(["--docker-host", "unix:///nonexistent.sock", "--state-dir"])
        .arg(directory.path().join("state"))
        .args(command.split(' '))
        .output()
        .unwrap();
    let output = String::from_utf8(understood.stderr).unwrap();
    assert!(output.contains("no container engine answers at /nonexistent.sock"), "{output}");

    let units = ["mai.service", "mai-git-pull.service", "mai-git-pull.timer"];
    for unit in units {
        // Neither program needs to be installed where the tests run.
        let here =
            text(unit).replace("/usr/local/bin/mai", env!("CARGO_BIN_EXE_mai")).replace("/usr/bin/git", "/bin/true");
        std::fs::write(directory.path().join(unit), here).unwrap();
    }
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units.map(|unit| directory.path().join(unit)))
        .output()
        .expect("this test needs systemd-analyze (Debian: apt-get install systemd)");
    let output = String::from_utf8(verified.stderr).unwrap();
    let ours: Vec<&str> = output.lines().filter(|line| units.iter().any(|unit| line.contains(unit))).collect();
    assert!(verified.status.success() && ours.is_empty(), "{output}");
}

#[test]
fn containerised_operator_has_the_mounts_it_needs() {
    let service = yaml("docker-compose.yml")["services"]["mai"].take();
    assert_eq!(service["command"], json!(["compose", "/etc/mai/clients", "--runtime", "docker"]));
    assert_eq!(service["network_mode"], "host", "the instances are asked at the ports of the server");
    let volumes: Vec<&str> =
        service["volumes"].as_array().unwrap().iter().map(|volume| volume.as_str().unwrap()).collect();
    for needed in ["/var/run/docker.sock:/var/run/docker.sock", "/etc/mai:/etc/mai:ro", "/var/lib/mai:/var/lib/mai"] {
        assert!(volumes.contains(&needed), "{needed} is not among {volumes:?}");
    }
    assert_eq!(service["healthcheck"]["disable"], true, "the check of the image asks a server");
    let proxy = yaml("caddy-docker-proxy.yml");
    for whole in [yaml("docker-compose.yml"), proxy.clone()] {
        assert_eq!(whole["name"], Value::Null, "docker-compose 1.29, which Debian 12 has, refuses it");
    }
    assert_eq!(proxy["networks"]["web"]["external"], true);
    assert_eq!(proxy["services"]["caddy"]["networks"], json!(["web"]));
}

#[test]
fn examples_are_valid_on_their_platform() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (runtime, examples) in [
        ("process", "compose-mode/quickstart"),
        ("kubernetes", "deploy/examples"),
        ("kubernetes", "deploy/restore/new-client.yaml"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_mai"))
            .args(["validate", "--runtime", runtime])
            .arg(root.join(examples))
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{examples}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
