//! Deployments of the first guide and their documents.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const CLIENT: &str = r#"
version: '3.8'
services:
  mai-client:
    image: mai-production:latest
    container_name: mai-${CLIENT_NAME}
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

const DEV: &str = r#"
services:
  mai-dev:
    image: mai-dev:latest
    container_name: mai-dev
    volumes: [mai-dev-data:/app/backend/data, /etc/localtime:/etc/localtime:ro]
    ports: ["127.0.0.1:3002:8080"]
    environment:
      WEBUI_NAME: mAI Development
      OLLAMA_BASE_URL: http://host.docker.internal:11434
      OPENAI_API_KEY: sk-or-v1-abc
      WEBUI_SECRET_KEY: ${KEY:-from the default}
      SMTP_PASSWORD: hush
      LOG_LEVEL: debug
    extra_hosts: ["host.docker.internal:host-gateway", "db:10.0.0.5"]
    networks: [web, inner]
    labels: ["caddy=mai.example.com", "caddy.reverse_proxy={{upstreams 8080}}"]
    privileged: true
volumes:
  mai-dev-data: {}
networks:
  web: {external: true}
  inner: {}
"#;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Adopted, AdoptError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    adopt(&Deployment {
        text,
        directory: Path::new("/opt/Mai-Client"),
        variables: &variables,
        service: None,
        name: None,
        kind: None,
    })
}

#[test]
fn the_client_of_the_first_guide_becomes_a_document() {
    let adopted = read(CLIENT, &[("CLIENT_NAME", "companyabc")]).unwrap();
    assert_eq!((adopted.name.as_str(), adopted.container.as_str()), ("companyabc", "mai-companyabc"));
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
fn named_volumes_networks_labels_and_secrets_find_their_places() {
    let adopted = read(DEV, &[]).unwrap();
    let spec = &adopted.document["spec"];
    assert_eq!(spec["storage"]["data"]["volumeName"], "mai-client_mai-dev-data");
    assert_eq!(spec["expose"]["networks"], json!(["web"]));
    assert_eq!(spec["expose"]["labels"]["caddy.reverse_proxy"], "{{upstreams 8080}}");
    assert_eq!(spec["expose"]["address"], "127.0.0.1");
    assert_eq!(spec["ollama"]["baseUrl"], "http://host.docker.internal:11434");
    assert_eq!(spec["openRouter"]["apiKeySecretRef"], json!({"name": "dev", "key": "openai-api-key"}));
    assert_eq!(adopted.secrets["webui-secret-key"], "from the default");
    assert_eq!(adopted.secret().unwrap()["metadata"]["name"], "dev");
    let text = adopted.document.to_string();
    assert!(!text.contains("sk-or-v1-abc") && !text.contains("hush") && text.contains("LOG_LEVEL"), "{text}");
    let left_out = adopted.left_out.join("\n");
    for word in ["db:10.0.0.5", "inner", "/etc/localtime", "privileged"] {
        assert!(left_out.contains(word), "{word}: {left_out}");
    }
    assert_eq!(adopted.left_out.len(), 4, "{left_out}");
}

#[test]
fn what_cannot_be_adopted_is_told() {
    for (text, variables, words) in [
        (CLIENT, &[][..], "CLIENT_NAME is used and has no value"),
        (CLIENT, &[("CLIENT_NAME", "żółw")][..], "choose a name"),
        ("services: {}", &[][..], "it has no services"),
        ("services: {a: {image: x}, b: {image: y}}", &[][..], "several services (a, b)"),
        ("a: [", &[][..], "it is not YAML"),
    ] {
        let error = read(text, variables).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn variables_are_read_as_compose_reads_them() {
    let env = read_env_file("# who\nexport CLIENT_NAME=\"Company A\"\nB=two # comment\nC='x'\n");
    assert_eq!((env["CLIENT_NAME"].as_str(), env["B"].as_str(), env["C"].as_str()), ("Company A", "two", "x"));
    let mut value = json!(["$$5 ${B} $C-", "${D:-else}", "${D-}", "a$"]);
    variables::fill_in(&mut value, &env).unwrap();
    assert_eq!(value, json!(["$5 two x-", "else", "", "a$"]));
}
