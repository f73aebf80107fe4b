//! Images are pulled from a registry with a login, and a moved tag is deployed if the document says
//! so.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::engine;
use super::environment::{Environment, json as shown};

use crate::fixtures::compose::{wait_ready, wait_until};

/// A password whose base64 form differs between the two alphabets at each position of a group of
/// three.
const PASSWORD: &str = "s3same~~~???>>>";

/// The part of a registry that an engine uses. It ends with the process.
struct Registry {
    port: u16,
    /// Manifest, configuration and layer of the tag `current`.
    image: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Registry {
    fn start(image: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = Self { port: listener.local_addr().unwrap().port(), image: Arc::default() };
        registry.move_tag(image);
        let image = Arc::clone(&registry.image);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let image = Arc::clone(&image);
                std::thread::spawn(move || answer(stream, &image.lock().unwrap().clone()));
            }
        });
        registry
    }

    fn reference(&self) -> String {
        format!("127.0.0.1:{}/team/fixture:current", self.port)
    }

    /// Moves the tag to another image with the given label.
    fn move_tag(&self, label: &str) {
        let layer = engine::layer();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Entrypoint": ["/fixture"], "Cmd": ["serve"], "Labels": {"made": label}},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}, "history": [{"created_by": "fixture"}],
        });
        let config = config.to_string().into_bytes();
        let blob = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "size": bytes.len(), "digest": digest(bytes)});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": blob("application/vnd.docker.container.image.v1+json", &config),
            "layers": [blob("application/vnd.docker.image.rootfs.diff.tar", &layer)],
        });
        *self.image.lock().unwrap() = vec![manifest.to_string().into_bytes(), config, layer];
    }

    /// Returns the document of a Secret with a login for this registry.
    fn secret(&self, password: &str) -> String {
        let login = json!({"auths": {format!("127.0.0.1:{}", self.port): {"username": "mai", "password": password}}});
        format!(
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {{name: registry}}\nstringData:\n  .dockerconfigjson: '{login}'\n"
        )
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn base64(text: &str) -> String {
    serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap().as_str().unwrap().to_owned()
}

fn answer(mut stream: TcpStream, image: &[Vec<u8>]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    // Engines try TLS first.
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let login = format!("basic {}", base64(&format!("mai:{PASSWORD}")));
    let is_login = |line: &String| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && value.replacen("Basic", "basic", 1) == login
        })
    };
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let wanted = path.rsplit('/').next().unwrap_or_default();
    let found =
        image.iter().enumerate().find(|(at, bytes)| (*at == 0 && wanted == "current") || digest(bytes) == wanted);
    let (status, more, body): (&str, String, &[u8]) = match found {
        _ if !["GET", "HEAD"].contains(&method) => ("400 Bad Request", String::new(), b""),
        _ if !headers.iter().any(is_login) => (
            "401 Unauthorized",
            "www-authenticate: Basic realm=\"fixture\"\r\n".to_owned(),
            b"{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}",
        ),
        _ if path == "/v2/" => ("200 OK", String::new(), b"{}"),
        Some((at, bytes)) => {
            let kind = if at == 0 { MANIFEST } else { "application/octet-stream" };
            ("200 OK", format!("content-type: {kind}\r\ndocker-content-digest: {}\r\n", digest(bytes)), bytes)
        }
        None => ("404 Not Found", String::new(), b""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ndocker-distribution-api-version: registry/2.0\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(body);
    }
}

fn declare(env: &Environment, registry: &Registry) {
    env.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
    let document = env.document(&registry.reference(), "  imagePullSecrets: [registry]\n");
    env.workspace.write("instance.yaml", &document.replace("imagePullPolicy: Never", "imagePullPolicy: Always"));
}

fn login(env: &Environment, registry: &Registry, password: &str) {
    use std::os::unix::fs::PermissionsExt;
    env.workspace.write("registry.yaml", &registry.secret(password));
    let file = env.workspace.documents.join("registry.yaml");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn made(env: &Environment) -> Option<String> {
    shown(&env.inspect()?)["Config"]["Labels"]["made"].as_str().map(str::to_owned)
}

#[test]
fn registry_login_uses_the_secret_without_showing_it() {
    let _engine = engine::shared();
    let env = Environment::new("registered");
    let registry = Registry::start("one");
    declare(&env, &registry);
    let compose = env.compose();
    let message = env.wait_for("MissingSecret");
    assert!(message.contains("Secret registry"), "{message}");
    let (_, out, err) = env.workspace.validate();
    assert!(format!("{out}{err}").contains("spec.imagePullSecrets[0]"), "{out}{err}");

    login(&env, &registry, "wr0ng-password");
    let message = env.wait_for("ImageUnavailable");
    assert!(message.contains(&registry.reference()) && !message.contains("wr0ng"), "{message}");

    login(&env, &registry, PASSWORD);
    wait_ready(env.port);
    env.wait_for("Ready");
    assert_eq!(made(&env).as_deref(), Some("one"));
    let output = format!("{} {} {:?}", compose.output(), shown(&env.inspect().unwrap()), env.workspace.status());
    assert!(!output.contains("s3same") && !output.contains("wr0ng"), "{output}");
    compose.stop();
}

#[test]
fn moved_tag_is_deployed_on_the_same_data() {
    let _engine = engine::shared();
    let env = Environment::new("tagged");
    let registry = Registry::start("one");
    declare(&env, &registry);
    login(&env, &registry, PASSWORD);
    let compose = env.compose();
    env.wait_for("Ready");
    assert_eq!(made(&env).as_deref(), Some("one"));
    let before = env.run().unwrap();
    compose.stop();

    registry.move_tag("two");
    let compose = env.compose();
    wait_until(|| format!("the moved tag; {}", compose.output()), || (made(&env)? == "two").then_some(()));
    env.wait_for_another(&before);
    env.wait_for("Ready");
    assert_eq!(env.starts(), 2, "the data is another");
    // The tag does not move any more, and the server keeps running.
    env.assert_unchanged(&env.run().unwrap());
    compose.stop();
}
