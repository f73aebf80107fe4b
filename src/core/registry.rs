//! Credentials of image registries, from Secrets of type `kubernetes.io/dockerconfigjson`. Values
//! never leave `SecretString`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Key of the credentials in such a Secret.
pub const DOCKER_CONFIG: &str = ".dockerconfigjson";
/// Docker's own registry, which references may leave out.
const HUB: &str = "docker.io";
/// Other names of it.
const ALSO_HUB: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Credentials of several registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryLogins(Vec<RegistryLogin>);

/// Credentials of one registry, or of a part of it.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// Host, with a port where it has one.
    pub registry: String,
    /// Path below which they apply, without outer slashes; empty for the whole registry.
    path: String,
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: SecretString,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    username: Option<String>,
    password: Option<SecretString>,
    auth: Option<String>,
}

impl RegistryLogins {
    /// Adds the credentials of a Secret. The error names the problem and quotes no value.
    pub fn add(&mut self, docker_config: &SecretString) -> Result<(), String> {
        let config: DockerConfig = serde_json::from_str(docker_config.expose_secret())
            .map_err(|_| "is no JSON of the form {\"auths\": {\"REGISTRY\": {\"auth\": …}}}".to_owned())?;
        for (registry, auth) in config.auths {
            let (username, password) = read(auth)
                .ok_or_else(|| format!("holds neither username and password nor a readable auth for {registry}"))?;
            let place = registry.split_once("://").map_or(registry.as_str(), |(_, place)| place);
            let (host, path) = place.split_once('/').unwrap_or((place, ""));
            // Of an address of the API, such as https://index.docker.io/v1/, the path means
            // nothing.
            let path = Some(path.trim_matches('/')).filter(|path| !matches!(*path, "v1" | "v2")).unwrap_or_default();
            self.0.push(RegistryLogin { registry: usual(host).to_owned(), path: path.to_owned(), username, password });
        }
        Ok(())
    }

    /// Returns the credentials for an image: of those for its registry the ones for the longest
    /// path above it.
    pub fn login_for(&self, image: &str) -> Option<&RegistryLogin> {
        let (host, name) = place(image);
        let below = |path: &str| {
            path.is_empty()
                || name.strip_prefix(path).is_some_and(|rest| rest.starts_with(['/', ':', '@']) || rest.is_empty())
        };
        let fitting = self.0.iter().filter(|login| login.registry == host && below(&login.path));
        // The first of several, as the document orders its Secrets.
        fitting.rev().max_by_key(|login| login.path.len())
    }
}

fn read(auth: Auth) -> Option<(String, SecretString)> {
    if let (Some(username), Some(password)) = (auth.username, auth.password) {
        return Some((username, password));
    }
    let bytes: ByteString = serde_json::from_value(serde_json::Value::String(auth.auth?)).ok()?;
    let text = String::from_utf8(bytes.0).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), SecretString::from(password)))
}

/// Registry and path of an image, as engines read a reference.
fn place(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some((host, name)) if host.contains(['.', ':']) || host == "localhost" => (usual(host), name),
        _ => (HUB, image),
    }
}

fn usual(host: &str) -> &str {
    if ALSO_HUB.contains(&host) { HUB } else { host }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn logins(text: &str) -> Result<RegistryLogins, String> {
        let mut logins = RegistryLogins::default();
        logins.add(&SecretString::from(text))?;
        Ok(logins)
    }

    #[test]
    fn each_image_gets_the_login_of_its_registry() {
        let logins = logins(
            r#"{"auths": {
                "registry.example.com:5000": {"username": "all", "password": "p"},
                "https://registry.example.com:5000/team": {"auth": "dGVhbTp0OjE="},
                "https://index.docker.io/v1/": {"username": "hub", "password": "h", "email": "a@b.c"}
            }}"#,
        )
        .unwrap();
        for (image, expected) in [
            ("registry.example.com:5000/mai:1", Some("all")),
            ("registry.example.com:5000/team/mai:1", Some("team")),
            ("registry.example.com:5000/teams/mai:1", Some("all")),
            ("registry.example.com:5000/team:1", Some("team")),
            ("registry.example.com/mai", None),
            ("mai-production:latest", Some("hub")),
            ("company/mai@sha256:ab", Some("hub")),
            ("docker.io/company/mai", Some("hub")),
            ("localhost/mai", None),
        ] {
            assert_eq!(logins.login_for(image).map(|login| login.username.as_str()), expected, "{image}");
        }
        assert_eq!(logins.login_for("registry.example.com:5000/team/mai").unwrap().password.expose_secret(), "t:1");
        assert!(!format!("{logins:?}").contains("t:1"));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_value() {
        for (text, says) in [
            ("sesame", "no JSON"),
            (r#"{"auth": "sesame"}"#, "no JSON"),
            (r#"{"auths": {"r.example": {"password": "sesame"}}}"#, "r.example"),
            (r#"{"auths": {"r.example": {"auth": "sesame!"}}}"#, "r.example"),
        ] {
            let error = logins(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("sesame"), "{error}");
        }
    }
}
