//! Deployments as people write them, and their documents.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;
use std::path::PathBuf;

use super::*;

const DIRECTORY: &str = "/opt/Mai-Client";

const CLIENT: &str = r#"
version: '3.8'
services:
  mai-client:
    image: mai-production:latest
    container_name: mai-${CLIENT_NAME:?name the client}
    volumes:
      - ./data:/app/backend/data
      - ./backups:/app/backups
    ports:
      - "80:8080"     # Direct HTTP access
      - "443:8080"    # HTTPS if SSL termination handled
    environment:
      - WEBUI_NAME=mAI - ${CLIENT_NAME}
      - ENABLE_SIGNUP=false
      - ENV=prod
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8080/health"]
    deploy:
      resources:
        limits: {cpus: '2', memory: 4G}
        reservations: {cpus: '1', memory: 2G}
volumes:
  client-data:
    name: mai_${CLIENT_NAME}_data
"#;

/// Reads files that stand one after another, each below a line `# NAME`.
fn project(files: &[(&str, &str)], variables: &[(&str, &str)], service: Option<&str>) -> Result<Project, AdoptError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let directory = Path::new(DIRECTORY);
    let main = files.iter().filter(|(name, _)| name.starts_with("compose")).map(|(name, _)| directory.join(name));
    let main: Vec<PathBuf> = main.collect();
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| directory.join(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    ComposeFiles { files: &main, directory, variables: &variables, service, read: &read }.project()
}

fn adopted(project: &Project) -> Result<Adopted, AdoptError> {
    let home = Some(Path::new("/root"));
    adopt(&Deployment { project, directory: Path::new(DIRECTORY), home, name: None, kind: None })
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Adopted, AdoptError> {
    adopted(&project(&[("compose.yml", text)], variables, None)?)
}

/// Adopts a service of an image of ours with these further lines.
fn with(lines: &str) -> Adopted {
    read(&format!("services:\n  web:\n    image: mai:1\n    container_name: web\n{lines}"), &[]).unwrap()
}

#[test]
fn client_of_the_first_guide_becomes_a_document() {
    let adopted = read(CLIENT, &[("CLIENT_NAME", "companyabc")]).unwrap();
    assert_eq!(
        (adopted.name.as_str(), adopted.containers.as_slice()),
        ("companyabc", &["mai-companyabc".to_owned()][..])
    );
    assert_eq!(
        adopted.document["spec"],
        json!({
            "displayName": "mAI - companyabc",
            "image": "mai-production:latest",
            "server": {"kind": "Mai", "environment": "prod"},
            "access": {"signup": "FirstUserOnly"},
            "storage": {
                "data": {"hostPath": "/opt/Mai-Client/data"},
                "backups": {"hostPath": "/opt/Mai-Client/backups"},
            },
            "resources": {"limits": {"cpu": "2", "memory": "4Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}},
            "expose": {"port": 80, "address": "0.0.0.0"},
        })
    );
    assert!(adopted.secret().is_none());
    let left_out = adopted.left_out.join("\n");
    assert!(left_out.contains("443:8080") && left_out.contains("healthcheck"), "{left_out}");
    assert_eq!(adopted.left_out.len(), 2, "{left_out}");
}

#[test]
fn volumes_are_taken_where_the_data_is() {
    let top = "volumes:\n  d: {}\n  n: \n  old: {external: {name: real}}\n  ext: {external: true}\n  fixed: {name: fixed-name}\n  nfs: {driver_opts: {type: nfs, o: 'addr=10.0.0.8', device: ':/x'}}\n  drv: {driver: rexray}\n";
    for (mounts, data, sentence) in [
        ("[d:/app/backend/data]", json!({"volumeName": "mai-client_d"}), ""),
        ("[n:/app/backend/data/]", json!({"volumeName": "mai-client_n"}), ""),
        ("[old:/app/backend/data]", json!({"volumeName": "real"}), ""),
        ("[ext:/app/backend/data:rw]", json!({"volumeName": "ext"}), ""),
        ("[fixed:/app/backend/data]", json!({"volumeName": "fixed-name"}), ""),
        ("[~/d:/app/backend/data]", json!({"hostPath": "/root/d"}), ""),
        ("[../d/./x:/app/backend/data]", json!({"hostPath": "/opt/d/x"}), ""),
        ("[{type: bind, source: ./d, target: /app/backend/data}]", json!({"hostPath": "/opt/Mai-Client/d"}), ""),
        (
            "[{type: volume, source: d, target: /app/backend/data, volume: {nocopy: true}}]",
            json!({"volumeName": "mai-client_d"}),
            "",
        ),
        ("[nfs:/app/backend/data]", json!({"volumeName": "mai-client_nfs"}), "on a share (NFS)"),
        ("[drv:/app/backend/data]", json!({"volumeName": "mai-client_drv"}), "volume driver rexray"),
        ("[d:/app/backend/data:ro]", json!({"volumeName": "mai-client_d"}), "it is read-only"),
        ("[./all:/app/backend]", json!({"hostPath": "/opt/Mai-Client/all/data"}), "from its subdirectory"),
        (
            "[d:/app/backend/data, ./up:/app/backend/data/uploads]",
            json!({"volumeName": "mai-client_d"}),
            "a part of the data (uploads)",
        ),
        (
            "[./x:/app/backend/data, ./y:/app/backend/data]",
            json!({"hostPath": "/opt/Mai-Client/y"}),
            "./x:/app/backend/data: another one",
        ),
        (
            "[d:/app/backend/data, ./ca.pem:/etc/ca.pem:ro]",
            json!({"volumeName": "mai-client_d"}),
            "./ca.pem:/etc/ca.pem:ro: instances have",
        ),
        ("[d:/app]", Value::Null, "data: d:/app: the data is in a subdirectory of the volume"),
        ("[/app/backend/data]", Value::Null, "data: /app/backend/data: it has no name"),
        ("[{type: tmpfs, target: /app/backend/data}]", Value::Null, "data: tmpfs /app/backend/data: it has no name"),
        (
            "[{type: volume, source: d, target: /app/backend/data, volume: {subpath: a}}]",
            Value::Null,
            "only a subdirectory of the volume",
        ),
        ("[]", Value::Null, "data: no volume is mounted at /app/backend/data"),
    ] {
        let adopted = with(&format!("    ports: ['1:8080']\n    volumes: {mounts}\n{top}"));
        assert_eq!(adopted.document["spec"]["storage"]["data"], data, "{mounts}");
        let told = adopted.left_out.join("\n");
        assert!(told.contains(sentence) && (sentence.is_empty() == told.is_empty()), "{mounts}: {told}");
    }
    let adopted = with("    volumes: [./d:/srv]\n    environment: {DATA_DIR: /srv}\n");
    assert_eq!(adopted.document["spec"]["storage"]["data"]["hostPath"], "/opt/Mai-Client/d");
}

#[test]
fn ports_and_networks_find_their_places() {
    for (lines, expose, sentence) in [
        ("ports: ['127.0.0.1:3002:8080/tcp']", json!({"port": 3002, "address": "127.0.0.1"}), ""),
        ("ports: ['[::1]:3002:8080']", json!({"port": 3002, "address": "::1"}), ""),
        (
            "ports: [{target: 8080, published: '8001', host_ip: 10.0.0.1, mode: host}]",
            json!({"port": 8001, "address": "10.0.0.1"}),
            "",
        ),
        (
            "ports: ['1:8080', '2:8080']",
            json!({"port": 1, "address": "0.0.0.0"}),
            "ports: 2:8080: an instance has one port",
        ),
        ("ports: ['53:8080/udp']", json!({}), "ports: 53:8080/udp: only one fixed port"),
        ("ports: ['8080']", json!({}), "ports: 8080: only one fixed port"),
        ("ports: ['3000-3001:8080-8081']", json!({}), "only one fixed port"),
        (
            "ports: ['1:9000']\n    environment: {PORT: 9000}",
            json!({"port": 1, "address": "0.0.0.0"}),
            "PORT: mai sets it itself",
        ),
        (
            "network_mode: host\n    environment: {PORT: 8081}",
            json!({"port": 8081, "address": "0.0.0.0"}),
            "publishes port 8081",
        ),
        (
            "network_mode: 'service:vpn'\n    ports: ['1:8080']",
            json!({"port": 1, "address": "0.0.0.0"}),
            "those of the service vpn",
        ),
        (
            "ports: ['1:8080']\n    networks: [old, ext, own]",
            json!({"port": 1, "address": "0.0.0.0", "networks": ["proxy", "ext"]}),
            "networks: own: it belongs",
        ),
        (
            "ports: ['1:8080']\n    networks: {ext: {aliases: [chat]}}",
            json!({"port": 1, "address": "0.0.0.0", "networks": ["ext"]}),
            "networks: ext: aliases",
        ),
        ("ports: ['1:8080', '1:8080']\n    networks: {default: null}", json!({"port": 1, "address": "0.0.0.0"}), ""),
    ] {
        let top = "networks: {old: {external: {name: proxy}}, ext: {external: true}, own: }\n";
        let adopted = with(&format!("    volumes: [./d:/app/backend/data]\n    {lines}\n{top}"));
        assert_eq!(adopted.document["spec"]["expose"], expose, "{lines}");
        let told = adopted.left_out.join("\n");
        assert!(told.contains(sentence) && (sentence.is_empty() == told.is_empty()), "{lines}: {told}");
    }
}

#[test]
fn secrets_never_stand_in_the_document() {
    let adopted = with(
        "    environment:\n      OPENAI_API_KEY: sk-or-v1-s3same\n      WEBUI_SECRET_KEY: s3same\n      DATABASE_URL: postgresql://u:s3same@db/x\n      SMTP_PASS: s3same\n      OPENAI_API_BASE_URL: https://u:s3same@proxy/v1\n      OLLAMA_BASE_URL:\n      QDRANT_API_KEY: ''\n      LOG_LEVEL: debug\n    labels: {traefik.http.middlewares.a.basicauth.users: 'a:$$apr1$$s3same', caddy: a.example.com}\n",
    );
    let document = adopted.document.to_string();
    assert!(
        !document.contains("s3same") && document.contains("debug") && document.contains("a.example.com"),
        "{document}"
    );
    assert_eq!(adopted.secrets.len(), 5, "{:?}", adopted.secrets.keys());
    assert!(adopted.secrets.values().all(|value| value.contains("s3same")));
    let spec = &adopted.document["spec"];
    assert_eq!(spec["openRouter"], json!({"apiKeySecretRef": {"name": "web", "key": "openai-api-key"}}));
    assert_eq!(spec["ollama"], Value::Null);
    let told = adopted.left_out.join("\n");
    assert!(told.contains("basicauth.users") && !told.contains("s3same"), "{told}");
}

#[test]
fn labels_arrive_as_compose_sets_them() {
    let mut lines = "    labels:\n      ratio: 1.50\n      on: true\n      empty:\n      com.docker.compose.project: x\n      com.centurylinklabs.watchtower.enable: true\n      mai.dev/x: y\n".to_owned();
    (0..70).for_each(|number| lines.push_str(&format!("      l{number}: v\n")));
    let adopted = with(&lines);
    let labels = adopted.document["spec"]["expose"]["labels"].as_object().unwrap();
    assert_eq!(
        (labels["ratio"].as_str(), labels["on"].as_str(), labels["empty"].as_str()),
        (Some("1.50"), Some("true"), Some(""))
    );
    assert_eq!(labels.len(), 64);
    let told = adopted.left_out.join("\n");
    for word in ["watchtower.enable: another program", "mai.dev/x", "these are left out: l"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("com.docker.compose"), "{told}");
}

#[test]
fn every_field_without_a_place_is_named() {
    let adopted = with(
        "    deploy: {replicas: 2, mode: replicated, labels: {a: b}, resources: {limits: {pids: 5}, reservations: {devices: [{capabilities: [gpu]}]}}}\n    read_only: true\n    tmpfs: /tmp\n    cap_drop: [ALL]\n    user: '1000'\n    profiles: [x]\n    secrets: [s]\n    extra_hosts: ['host.docker.internal:host-gateway', 'db=10.0.0.5']\n    restart: 'no'\n    depends_on: {db: {condition: service_healthy}}\n    build: {context: .}\n    command: serve\n    privileged: false\n    x-own: 1\n    environment: {OLLAMA_BASE_URL: 'http://127.0.0.1:11434'}\n",
    );
    let told = adopted.left_out.join("\n");
    for field in [
        "deploy.replicas: 2",
        "deploy.labels",
        "deploy.resources.limits.pids",
        "reservations.devices",
        "read_only",
        "tmpfs",
        "cap_drop",
        "user",
        "profiles",
        "secrets",
        "extra_hosts: db:10.0.0.5",
        "restart",
        "depends_on: db",
        "build",
        "command",
        "OLLAMA_BASE_URL: 127.0.0.1",
    ] {
        assert!(told.contains(field), "{field}: {told}");
    }
    assert!(!told.contains("x-own") && !told.contains("privileged") && !told.contains("deploy.mode"), "{told}");
}

#[test]
fn what_a_document_refuses_is_left_out_and_told() {
    let long = "x".repeat(300);
    let adopted = with(&format!(
        "    mem_limit: 0\n    environment: {{WEBUI_NAME: {long}, bad.name: x, OLLAMA_BASE_URL: 'no url', GOOD: y}}\n"
    ));
    let spec = &adopted.document["spec"];
    assert_eq!((spec["displayName"].as_str(), &spec["ollama"]), (Some("web"), &Value::Null));
    assert_eq!(spec["server"]["env"], json!([{"name": "GOOD", "value": "y"}]));
    let told = adopted.left_out.join("\n");
    for word in ["WEBUI_NAME", "spec.server.env[", "spec.ollama.baseUrl"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let named = read("services: {web: {image: mai:1, container_name: 1st}}", &[]).unwrap_err().to_string();
    assert!(named.contains("--name"), "{named}");
}

#[test]
fn override_include_extends_and_env_files_are_read() {
    let files = [
        (
            "compose.yml",
            "include: [sub/other.yml, {path: none.yml}]\nservices:\n  chat:\n    extends: {file: base.yml, service: base}\n    profiles: [prod]\n    ports: ['8130:8080']\n    volumes: [./wrong:/app/backend/data]\n    env_file: [a.env, {path: none.env, required: false}, gone.env]\n    environment: {A: own, PASSED: }\n",
        ),
        (
            "compose.override.yml",
            "services:\n  chat:\n    ports: !override ['8131:8080']\n    volumes: [./right:/app/backend/data]\n    container_name: !reset null\n",
        ),
        (
            "sub/other.yml",
            "services: {db: {extends: {file: no.yml, service: b}, image: 'pg:${PG:-1}', profiles: [db]}}\nvolumes: {shared: {name: '${VOLUME}'}}\n",
        ),
        ("sub/.env", "VOLUME=from-sub\n"),
        (
            "base.yml",
            "services:\n  base: {image: mai-production:1, container_name: base, environment: [B=base, A=base], cpus: 2}\n",
        ),
        ("a.env", "A=file\nC='${X}'\nD=${X}\n"),
    ];
    let project = project(&files, &[("COMPOSE_PROFILES", "prod"), ("X", "x"), ("PASSED", "on")], None).unwrap();
    assert_eq!(project.file["volumes"]["shared"]["name"], "from-sub");
    let adopted = adopted(&project).unwrap();
    let spec = &adopted.document["spec"];
    assert_eq!(adopted.containers, ["mai-client-chat-1", "mai-client_chat_1"]);
    assert_eq!((&spec["image"], &spec["expose"]["port"]), (&json!("mai-production:1"), &json!(8131)));
    assert_eq!(spec["storage"]["data"]["hostPath"], "/opt/Mai-Client/right");
    assert_eq!(spec["resources"]["limits"]["cpu"], "2");
    let env: Vec<_> = spec["server"]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{}={}", entry["name"].as_str().unwrap(), entry["value"].as_str().unwrap()))
        .collect();
    assert_eq!(env.join(" "), "A=own C=${X} D=x B=base PASSED=on");
    let told = adopted.left_out.join("\n");
    for word in ["include: none.yml", "env_file: gone.env", "extends: /opt/Mai-Client/sub/no.yml"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("none.env"), "{told}");
}

#[test]
fn what_cannot_be_adopted_is_told() {
    for (text, variables, words) in [
        (CLIENT, &[][..], "CLIENT_NAME (name the client)"),
        (CLIENT, &[("CLIENT_NAME", "żółw")][..], "choose a name"),
        ("services: {}", &[][..], "it has no services"),
        ("services: {a: text}", &[][..], "it has no services"),
        ("", &[][..], "it has no services"),
        ("- a", &[][..], "is not a mapping"),
        ("services: {a: {image: x}, b: {image: y}}", &[][..], "several services (a, b)"),
        ("a: [", &[][..], "it is not YAML"),
    ] {
        let error = read(text, variables).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn unset_variables_are_empty_and_named_together() {
    let adopted = read(
        "services:\n  other: {image: '$NOT_WANTED', profiles: [x]}\n  web: {image: mai:1, container_name: web, environment: {A: $ONE, B: '${TWO}/x', OPENAI_API_KEY: $EMPTY}}\n",
        &[("EMPTY", "")],
    )
    .unwrap();
    let told = adopted.left_out.join("\n");
    assert!(told.contains("variables: ONE, TWO: not set") && !told.contains("NOT_WANTED"), "{told}");
    assert!(adopted.secrets.is_empty());
}

// Version 1 of Compose prints YAML, version 2 JSON.
#[test]
fn projects_printed_by_compose_give_one_document() {
    let v1 = "services:\n  chat:\n    container_name: chat\n    cpus: 0.5\n    environment:\n      A: pa$$word\n      PASSED: null\n    extra_hosts:\n    - host.docker.internal:host-gateway\n    image: mai:1\n    networks:\n      front: null\n    ports:\n    - published: 8005\n      target: 8080\n    volumes:\n    - data:/app/backend/data:rw\n    - /opt/x/backups:/app/backups:rw\nnetworks:\n  front:\n    external: true\n    name: reverse_proxy\nversion: '3.3'\nvolumes:\n  data:\n    external: true\n    name: clientdata\n";
    let v2 = r#"{"name": "x", "networks": {"front": {"name": "reverse_proxy", "ipam": {}, "external": true}},
        "services": {"chat": {"command": null, "container_name": "chat", "cpus": 0.5, "entrypoint": null,
          "environment": {"A": "pa$$word", "PASSED": null}, "extra_hosts": ["host.docker.internal=host-gateway"], "image": "mai:1",
          "networks": {"front": null}, "ports": [{"mode": "ingress", "target": 8080, "published": "8005", "protocol": "tcp"}],
          "volumes": [{"type": "volume", "source": "data", "target": "/app/backend/data", "volume": {}},
            {"type": "bind", "source": "/opt/x/backups", "target": "/app/backups", "bind": {"create_host_path": true}}]}},
        "volumes": {"data": {"name": "clientdata", "external": true}}}"#;
    let documents = [v1, v2].map(|config| {
        let variables = BTreeMap::from([("PASSED".to_owned(), "on".to_owned())]);
        let project = Project::from_config(config, None, &variables, Path::new("/opt/x")).unwrap();
        let adopted = adopted(&project).unwrap();
        assert_eq!(adopted.left_out, Vec::<String>::new());
        adopted.document
    });
    assert_eq!(documents[0], documents[1]);
    let spec = &documents[0]["spec"];
    assert_eq!(
        spec["storage"],
        json!({"data": {"volumeName": "clientdata"}, "backups": {"hostPath": "/opt/x/backups"}})
    );
    assert_eq!(spec["server"]["env"], json!([{"name": "A", "value": "pa$word"}, {"name": "PASSED", "value": "on"}]));
    assert_eq!(spec["expose"], json!({"port": 8005, "address": "0.0.0.0", "networks": ["reverse_proxy"]}));
}
