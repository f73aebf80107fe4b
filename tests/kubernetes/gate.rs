//! A way from pods to a bucket on this machine, which a test opens.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::environment::Environment;

use crate::fixtures::s3::{COPIES, Place, S3Server};

/// A port of this machine that pods reach. Connections wait until it is opened, and are then passed
/// on.
pub struct Gate {
    pub address: SocketAddr,
    open: Arc<AtomicBool>,
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
        let listener = TcpListener::bind((host.as_str(), 0)).unwrap();
        let gate = Self { address: listener.local_addr().unwrap(), open: Arc::default() };
        let open = Arc::clone(&gate.open);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let open = Arc::clone(&open);
                std::thread::spawn(move || {
                    while !open.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    if let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) {
                        pass_on(connection, server);
                    }
                });
            }
        });
        gate
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
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

fn pass_on(client: TcpStream, server: TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut piece) {
                if to.write_all(&piece[..read]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    copy(client.try_clone().unwrap(), server.try_clone().unwrap());
    copy(server, client);
}
