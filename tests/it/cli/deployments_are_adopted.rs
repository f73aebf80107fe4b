//! `mai adopt` writes a document for a Compose deployment, as Compose itself resolves it where it is
//! installed, and names all that the document cannot say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const SERVICE: &str = "services:\n  web:\n    image: mai-production:1\n    container_name: mai-abc\n    volumes: [./data:/app/backend/data]\n    ports: ['${PORT_OF_ABC:-8001}:8080']\n";

/// Runs `mai adopt` with the programs of `path` alone and without an engine.
fn adopt(deployment: &Path, path: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("adopt")
        .args(arguments)
        .current_dir(deployment)
        .env_clear()
        .env("PATH", path)
        .env("HOME", deployment)
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
}

/// A program that answers as Compose does.
fn program(directory: &Path, name: &str, script: &str) {
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn deployment_is_found_by_file_directory_or_variable() {
    let none = tempfile::tempdir().unwrap();
    let hidden = SERVICE.replace("./data", "./other");
    let port = |port: &str| format!("services: {{web: {{ports: !override ['{port}:8080']}}}}\n");
    for (files, arguments, data, published) in [
        (vec![("docker-compose.yml", SERVICE)], vec!["docker-compose.yml"], "data", 8001),
        (vec![("compose.yaml", SERVICE), ("docker-compose.yml", &hidden)], vec!["."], "data", 8001),
        (vec![("compose.yaml", SERVICE), ("compose.override.yaml", &port("8002"))], vec!["."], "data", 8002),
        (
            vec![("docker-compose.yml", SERVICE), ("docker-compose.override.yml", &port("8003"))],
            vec!["docker-compose.yml"],
            "data",
            8003,
        ),
        (vec![("a.yml", SERVICE), ("docker-compose.override.yml", &port("8003"))], vec!["a.yml"], "data", 8001),
        (vec![("a.yml", SERVICE), ("b.yml", &port("8004"))], vec!["a.yml", "b.yml"], "data", 8004),
        (
            vec![("a.yml", SERVICE), ("b.yml", &port("8005")), (".env", "COMPOSE_FILE=a.yml:b.yml\n")],
            vec!["."],
            "data",
            8005,
        ),
        (
            vec![("a.yml", SERVICE), ("compose.yml", &hidden), (".env", "COMPOSE_FILE=a.yml\n")],
            vec!["compose.yml"],
            "other",
            8001,
        ),
        (vec![("compose.yml", SERVICE), (".env", "PORT_OF_ABC=8006\n")], vec!["."], "data", 8006),
        (
            vec![("compose.yml", SERVICE), ("one.env", "PORT_OF_ABC=1\n"), ("two.env", "PORT_OF_ABC=8007\n")],
            vec!["--env-file", "one.env", "--env-file", "two.env", "."],
            "data",
            8007,
        ),
    ] {
        let deployment = tempfile::tempdir().unwrap();
        write(deployment.path(), &files);
        let output = adopt(deployment.path(), none.path(), &arguments);
        let (document, told) = texts(&output);
        assert!(output.status.success(), "{files:?}: {told}");
        assert!(document.contains(&format!("/{data}\n")), "{files:?}: {document}");
        assert!(document.contains(&format!("port: {published}\n")), "{files:?}: {document}");
        assert!(told.contains("Compose is not installed here"), "{told}");
    }
    let empty = tempfile::tempdir().unwrap();
    let (_, told) = texts(&adopt(empty.path(), none.path(), &["."]));
    assert!(told.contains("no docker-compose.yml"), "{told}");
}

#[test]
fn installed_compose_is_asked_for_the_resolved_project() {
    let deployment = tempfile::tempdir().unwrap();
    write(deployment.path(), &[("docker-compose.yml", SERVICE), ("docker-compose.override.yml", "services: {}\n")]);
    let v1 = "services:\n  web:\n    container_name: mai-abc\n    environment: {A: pa$$word}\n    image: mai-production:1\n    ports: [{published: 8011, target: 8080}]\n    volumes: ['/srv/v1:/app/backend/data:rw']\nversion: '3.3'\n";
    let v2 = r#"{"name":"x","services":{"web":{"command":null,"container_name":"mai-abc","environment":{"A":"pa$$word"},"image":"mai-production:1","ports":[{"mode":"ingress","target":8080,"published":"8012","protocol":"tcp"}],"volumes":[{"type":"bind","source":"/srv/v2","target":"/app/backend/data","bind":{}}]}}}"#;
    let files = "-f $PWD/docker-compose.yml -f $PWD/docker-compose.override.yml";
    let docker = |answer: &str| {
        format!(
            "case \"$*\" in\n'compose version --short') echo 2.39.4;;\n\"compose {files} --profile * config --format json\") {answer};;\n*) exit 9;;\nesac\n"
        )
    };
    let printing = |config: &str| format!("echo 'time=\"2026\" level=warning msg=\"a warning\"' >&2; echo '{config}'");
    let old = format!(
        "case \"$*\" in\n'version --short') echo 1.29.2;;\n\"{files} config\") echo '{}';;\n*) exit 9;;\nesac\n",
        v1.replace('\'', "\"")
    );
    let refusing = docker("echo 'web has a problem' >&2; exit 15");
    for (programs, place, words) in [
        (vec![("docker", docker(&printing(v2)))], "/srv/v2", "docker compose: a warning"),
        (vec![("docker", docker(&printing(v2))), ("docker-compose", old.clone())], "/srv/v2", "a warning"),
        (vec![("docker", "exit 1\n".to_owned()), ("docker-compose", old)], "/srv/v1", ""),
        (
            vec![("docker", refusing)],
            "/data",
            "docker compose does not accept these files, so mai read them itself: web has a problem",
        ),
    ] {
        let path = tempfile::tempdir().unwrap();
        programs.iter().for_each(|(name, script)| program(path.path(), name, script));
        let output = adopt(deployment.path(), path.path(), &["docker-compose.yml"]);
        let (document, told) = texts(&output);
        assert!(output.status.success(), "{told}");
        assert!(document.contains(place), "{place}: {document}{told}");
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(document.contains("pa$word"), place != "/data", "{document}");
        assert!(!told.contains("not installed"), "{told}");
    }
}

#[test]
fn secrets_are_written_to_a_private_file_alone() {
    let (deployment, none) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let environment = "    environment:\n      OPENAI_API_KEY: sk-or-s3same\n      DATABASE_URL: postgresql://u:s3same@db/x\n      WEBUI_SECRET_KEY:\n      QDRANT_API_KEY: ''\n";
    write(deployment.path(), &[("compose.yml", &format!("{SERVICE}{environment}"))]);
    let output = adopt(deployment.path(), none.path(), &["compose.yml", "--into", "documents"]);
    let (said, told) = texts(&output);
    assert!(output.status.success() && !format!("{said}{told}").contains("s3same"), "{said}{told}");
    let documents = deployment.path().join("documents");
    let read = |name: &str| fs::read_to_string(documents.join(name)).unwrap();
    let mode = |name: &str| fs::metadata(documents.join(name)).unwrap().permissions().mode() & 0o777;
    assert!(!read("abc.yaml").contains("s3same"));
    assert!(read("secrets/abc.yaml").contains("s3same") && !read("secrets/abc.yaml").contains("qdrant"));
    assert_eq!((mode("abc.yaml") & 0o77, mode("secrets/abc.yaml")), (0o44, 0o600));
    // What is taken over is the provider's to allow.
    let data = documents.parent().unwrap().canonicalize().unwrap().join("data");
    let line = format!("spec.storage.data.hostPath: {} is not allowed by the policy", data.display());
    assert!(told.contains("the policy has to allow:") && told.contains(&line), "{told}");
    let policy = none.path().join("policy.yaml");
    let validate = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mai"));
        command.env("MAI_POLICY", &policy).arg("validate").arg(&documents).output().unwrap()
    };
    let text = "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\nserverEnv: [DATABASE_URL, QDRANT_API_KEY]\n";
    fs::write(&policy, text).unwrap();
    let (said, _) = texts(&validate());
    assert!(said.contains(&format!("add `{}` to `paths`", data.display())), "{said}");
    fs::write(&policy, format!("{text}paths: [{}]\n", data.display())).unwrap();
    assert!(validate().status.success(), "{:?}", validate());
}

#[test]
fn kind_follows_the_database_unless_it_is_given() {
    let none = tempfile::tempdir().unwrap();
    for (database, arguments, kind, is_guess) in [
        ("webui.db", &["compose.yml"][..], "OpenWebUI", false),
        ("mai.db", &["compose.yml"][..], "Mai", false),
        ("other.db", &["compose.yml"][..], "Custom", true),
        ("other.db", &["compose.yml", "--kind", "open-webui"][..], "OpenWebUI", false),
    ] {
        let deployment = tempfile::tempdir().unwrap();
        fs::create_dir(deployment.path().join("data")).unwrap();
        let service = SERVICE.replace("mai-production:1", "registry.example.com/assistant:1");
        write(deployment.path(), &[("compose.yml", &service), (&format!("data/{database}"), "")]);
        let (document, told) = texts(&adopt(deployment.path(), none.path(), arguments));
        assert!(document.contains(&format!("kind: {kind}\n")), "{database}: {document}");
        assert_eq!(told.contains("--kind"), is_guess, "{told}");
    }
}
