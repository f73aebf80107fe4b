//! Labels of a server in its own environment, by which any reconciler recognises it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;
use mai_contract::environment::EXIT_WITH_STDIN;

use crate::core::InstanceId;

const STATE_DIR: &str = "MAI_STATE_DIR";
const NAMESPACE: &str = "MAI_INSTANCE_NAMESPACE";
const NAME: &str = "MAI_INSTANCE_NAME";
const UID: &str = "MAI_INSTANCE_UID";
const HASH: &str = "MAI_WORKLOAD_HASH";
const STARTED_AT: &str = "MAI_STARTED_AT";
const STARTED_BY: &str = "MAI_STARTED_BY";
const HOST: &str = "HOST";
const PORT: &str = "PORT";
const JOB: &str = "MAI_JOB";

/// Labels of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Its instance.
    pub id: InstanceId,
    /// `Workload::hash` it was started with.
    pub hash: String,
    /// Its address.
    pub listen: SocketAddr,
    /// Time of its start.
    pub started_at: Timestamp,
    /// Process id of the reconciler that started it.
    pub started_by: u32,
    /// It ends when that reconciler does.
    pub attached: bool,
}

impl Labels {
    /// The names of the variables that carry the labels.
    pub(super) fn names() -> [&'static str; 10] {
        [STATE_DIR, NAMESPACE, NAME, UID, HASH, HOST, PORT, STARTED_AT, STARTED_BY, EXIT_WITH_STDIN]
    }

    /// The variables that carry the labels, the address included.
    pub(super) fn variables<'a>(&self, state_dir: &'a Path) -> Vec<(&'static str, Cow<'a, OsStr>)> {
        let text = |value: &str| Cow::Owned(OsStr::new(value).to_owned());
        vec![
            (STATE_DIR, Cow::Borrowed(state_dir.as_os_str())),
            (NAMESPACE, text(&self.id.namespace)),
            (NAME, text(&self.id.name)),
            (UID, text(&self.id.uid)),
            (HASH, text(&self.hash)),
            (HOST, text(&self.listen.ip().to_string())),
            (PORT, text(&self.listen.port().to_string())),
            (STARTED_AT, text(&self.started_at.to_string())),
            (STARTED_BY, text(&self.started_by.to_string())),
            (EXIT_WITH_STDIN, text(if self.attached { "true" } else { "false" })),
        ]
    }

    /// Reads the labels from a process's environment as `/proc/PID/environ` shows it; none when it
    /// belongs to no instance of this state directory.
    pub(super) fn parse(environ: &[u8], state_dir: &Path) -> Option<Self> {
        let text = |name: &str| text(environ, name);
        Some(Self {
            id: read_instance(environ, state_dir)?,
            hash: text(HASH)?.to_owned(),
            listen: SocketAddr::new(text(HOST)?.parse::<IpAddr>().ok()?, text(PORT)?.parse().ok()?),
            started_at: text(STARTED_AT)?.parse().ok()?,
            started_by: text(STARTED_BY)?.parse().ok()?,
            attached: text(EXIT_WITH_STDIN) == Some("true"),
        })
    }
}

/// Labels of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobLabels {
    /// Its instance.
    pub(super) id: InstanceId,
    /// Its name.
    pub(super) name: String,
}

impl JobLabels {
    /// The variables that carry the labels.
    pub(super) fn variables<'a>(&'a self, state_dir: &'a Path) -> [(&'static str, &'a OsStr); 5] {
        let Self { id, name } = self;
        [
            (STATE_DIR, state_dir.as_os_str()),
            (NAMESPACE, OsStr::new(&id.namespace)),
            (NAME, OsStr::new(&id.name)),
            (UID, OsStr::new(&id.uid)),
            (JOB, OsStr::new(name)),
        ]
    }

    /// Reads the labels, as [`Labels::parse`].
    pub(super) fn parse(environ: &[u8], state_dir: &Path) -> Option<Self> {
        Some(Self { name: text(environ, JOB)?.to_owned(), id: read_instance(environ, state_dir)? })
    }
}

fn read_instance(environ: &[u8], state_dir: &Path) -> Option<InstanceId> {
    if variable(environ, STATE_DIR)? != state_dir.as_os_str().as_bytes() {
        return None;
    }
    let text = |name: &str| text(environ, name).map(str::to_owned);
    Some(InstanceId { namespace: text(NAMESPACE)?, name: text(NAME)?, uid: text(UID)? })
}

fn text<'a>(environ: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(variable(environ, name)?).ok()
}

fn variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environ.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn labels(attached: bool) -> Labels {
        Labels {
            id: InstanceId { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "u-1".to_owned() },
            hash: "f00".to_owned(),
            listen: "[::1]:8001".parse().unwrap(),
            started_at: "2026-11-24T08:00:00.123456789Z".parse().unwrap(),
            started_by: 42,
            attached,
        }
    }

    fn environ(labels: &Labels, state_dir: &Path) -> Vec<u8> {
        let mut bytes = b"WEBUI_NAME=MAI_STATE_DIR=/elsewhere\0".to_vec();
        for (name, value) in labels.variables(state_dir) {
            bytes.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        bytes
    }

    #[test]
    fn labels_survive_the_way_through_the_environment() {
        let state_dir = Path::new("/var/lib/mai");
        for attached in [true, false] {
            assert_eq!(Labels::parse(&environ(&labels(attached), state_dir), state_dir), Some(labels(attached)));
        }
    }

    #[test]
    fn labels_of_a_job_are_not_those_of_a_server() {
        let state_dir = Path::new("/var/lib/mai");
        let job = JobLabels { id: labels(true).id, name: "20261130-020000-1f2e3d".to_owned() };
        let variables =
            job.variables(state_dir).map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
        let environ = variables.join(&0);
        assert_eq!(JobLabels::parse(&environ, state_dir), Some(job));
        assert_eq!(JobLabels::parse(&environ, Path::new("/var/lib")), None);
        assert_eq!(Labels::parse(&environ, state_dir), None);
        assert_eq!(JobLabels::parse(&super::tests::environ(&labels(true), state_dir), state_dir), None);
    }

    #[test]
    fn process_of_another_state_directory_is_not_ours() {
        let theirs = environ(&labels(true), Path::new("/var/lib/mai2"));
        assert_eq!(Labels::parse(&theirs, Path::new("/var/lib/mai")), None);
        assert_eq!(
            Labels::parse(b"MAI_STATE_DIR=/var/lib/mai\0MAI_INSTANCE_NAME=abc\0", Path::new("/var/lib/mai")),
            None
        );
        assert_eq!(Labels::parse(b"", Path::new("/var/lib/mai")), None);
    }
}
