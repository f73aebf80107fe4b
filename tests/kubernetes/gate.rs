//! A way from pods to a bucket on this machine, which a test opens.

use std::net::SocketAddr;

use super::environment::Environment;

use crate::fixtures::forwarder::Forwarder;
use crate::fixtures::s3::{COPIES, Place, S3Server};

/// A port of this machine that pods reach. Connections wait until it is opened, and are then passed
/// on.
pub struct Gate {
    pub address: SocketAddr,
    forwarder: Forwarder,
}

impl Gate {
    /// Opens the way to the S3 server of the tests, and creates the Secret `s3` with keys for it.
    pub fn to_bucket(env: &Environment) -> Self {
        let gate = Self::new(env, Some(([127, 0, 0, 1], S3Server::get().port).into()));
        gate.open();
        let keys = Place::bucket("http://unused", COPIES, "full", "");
        let value = |key: &str, file: &str| {
            format!("--from-file={key}={}", keys.directory.path().join("secrets").join(file).display())
        };
        env.kubectl(&["create", "secret", "generic", "s3", &value("id", "id"), &value("key", "secret")]);
        gate
    }

    pub fn new(env: &Environment, target: Option<SocketAddr>) -> Self {
        let server = env.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]);
        let server = server.trim_start_matches("https://").split(':').next().unwrap().to_owned();
        let host = format!("{}.2", server.rsplit_once('.').unwrap().0);
        let forwarder = Forwarder::closed(&host, target);
        Self { address: forwarder.address, forwarder }
    }

    pub fn open(&self) {
        self.forwarder.open();
    }

    /// Returns lines below `spec:` that name a bucket behind it, with credentials of the Secret `s3`.
    pub fn destination(&self, bucket: &str) -> String {
        let reference = |key: &str| format!("{{name: s3, key: {key}}}");
        format!(
            "  backup:\n    schedule: '0 0 1 1 *'\n    destinations:\n    - name: offsite\n      s3: {{bucket: {bucket}, endpoint: 'http://{}', region: us-east-1, accessKeyIdRef: {}, secretAccessKeyRef: {}}}\n",
            self.address,
            reference("id"),
            reference("key"),
        )
    }
}
