//! Connects to the engine's socket, in the engine's version of the API.

use std::path::{Path, PathBuf};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http::HeaderValue;

use super::error::message;
use crate::runtime::RuntimeError;

const TIMEOUT_SECONDS: u64 = 120;
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Connects to the engine that `host` names in the form of DOCKER_HOST; without it to Docker's
/// usual socket, or to Podman's.
pub(super) async fn connect(host: Option<&str>) -> Result<Docker, RuntimeError> {
    let socket = socket(host)?;
    let refused = |error: bollard::errors::Error| {
        RuntimeError::Unsupported(format!(
            "no container engine answers at {} ({}); start Docker there, set DOCKER_HOST, or use --runtime process",
            socket.display(),
            message(&error)
        ))
    };
    let docker =
        Docker::connect_with_unix(&socket.to_string_lossy(), TIMEOUT_SECONDS, API_DEFAULT_VERSION).map_err(refused)?;
    docker.with_request_modifier(encode_login_for_engines).negotiate_version().await.map_err(refused)
}

/// Changes the registry login of a request to the URL-safe alphabet of base64. Engines ignore a
/// header in the standard alphabet, which the client library writes; both differ for passwords with
/// `~`, `>` or `?`.
fn encode_login_for_engines(mut request: BollardRequest) -> BollardRequest {
    if let Some(value) = request.headers_mut().get_mut("x-registry-auth") {
        let text = value.to_str().unwrap_or_default().replace('+', "-").replace('/', "_");
        if let Ok(mut rewritten) = HeaderValue::from_str(&text) {
            rewritten.set_sensitive(true);
            *value = rewritten;
        }
    }
    request
}

fn socket(host: Option<&str>) -> Result<PathBuf, RuntimeError> {
    match host.filter(|host| !host.is_empty()) {
        Some(host) => host.strip_prefix("unix://").map(PathBuf::from).ok_or_else(|| {
            RuntimeError::Unsupported(format!(
                "the engine at {host} cannot be used: only unix:// sockets are supported, because volumes and secrets of the instances are on this very machine"
            ))
        }),
        None => {
            let podman = std::env::var_os("XDG_RUNTIME_DIR").map(|directory| Path::new(&directory).join("podman/podman.sock"));
            let candidates = [Some(PathBuf::from(DOCKER_SOCKET)), podman, Some(PathBuf::from("/run/podman/podman.sock"))];
            let found = candidates.into_iter().flatten().find(|socket| socket.exists());
            Ok(found.unwrap_or_else(|| PathBuf::from(DOCKER_SOCKET)))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn host_other_than_a_socket_is_refused() {
        assert_eq!(socket(Some("unix:///run/x.sock")).unwrap(), Path::new("/run/x.sock"));
        let error = socket(Some("tcp://10.0.0.1:2375")).unwrap_err().to_string();
        assert!(error.contains("tcp://10.0.0.1:2375"), "{error}");
    }

    #[tokio::test]
    async fn missing_engine_is_reported_with_a_remedy() {
        let error = connect(Some("unix:///nonexistent/docker.sock")).await.unwrap_err().to_string();
        assert!(error.contains("no container engine answers at /nonexistent/docker.sock"), "{error}");
        assert!(error.contains("DOCKER_HOST"), "{error}");
    }
}
