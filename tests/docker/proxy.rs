//! A proxy for the engine's socket that records requests, and can stop forwarding at the nth
//! change.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::engine;

use crate::fixtures::compose::{Compose, wait_until};

pub struct Proxy {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    changes: Arc<Mutex<Vec<String>>>,
    reads: Arc<AtomicUsize>,
}

/// The change at which the proxy stops forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// The change does not reach the engine.
    Before(usize),
    /// The engine executes the change; its answer is dropped.
    After(usize),
}

impl Proxy {
    /// Kills a reconciler once it has made this many changes.
    pub fn kill_at(&self, changes: usize, mut compose: Compose) {
        wait_until(
            || format!("change {changes}; {}", compose.output()),
            || (self.changes().len() >= changes).then_some(()),
        );
        compose.kill();
    }

    pub fn start(cut: Cut) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (changes, reads) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (recorded, count) = (Arc::clone(&changes), Arc::clone(&reads));
        let engine = engine::socket();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let (recorded, count, engine) = (Arc::clone(&recorded), Arc::clone(&count), engine.clone());
                std::thread::spawn(move || serve(client, &engine, cut, &recorded, &count));
            }
        });
        Self { _directory: directory, socket, changes, reads }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns all requests so far that can change something.
    pub fn changes(&self) -> Vec<String> {
        self.changes.lock().unwrap().clone()
    }

    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

/// Forwards one connection. The client opens one for each request, so its first line is the
/// request.
fn serve(mut client: UnixStream, engine: &Path, cut: Cut, recorded: &Mutex<Vec<String>>, reads: &AtomicUsize) {
    let mut head = [0; 4096];
    let Ok(length @ 1..) = client.read(&mut head) else { return };
    let text = String::from_utf8_lossy(&head[..length]);
    let line = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let number = if line.starts_with("GET ") || line.starts_with("HEAD ") {
        reads.fetch_add(1, Ordering::Relaxed);
        // Nothing is forwarded after the cut.
        let changes = recorded.lock().unwrap().len();
        if matches!(cut, Cut::Before(at) | Cut::After(at) if changes >= at) {
            return;
        }
        0
    } else {
        let mut recorded = recorded.lock().unwrap();
        recorded.push(line);
        recorded.len()
    };
    match cut {
        Cut::Before(at) if number >= at => return,
        Cut::After(at) if number > at => return,
        _ => {}
    }
    let Ok(mut engine) = UnixStream::connect(engine) else { return };
    engine.write_all(&head[..length]).unwrap();
    let mut to_engine = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    let upload = std::thread::spawn(move || {
        let _ = std::io::copy(&mut to_engine.0, &mut to_engine.1);
        let _ = to_engine.1.shutdown(std::net::Shutdown::Write);
    });
    if cut == Cut::After(number) && number > 0 {
        let mut answer = [0; 1];
        // The engine has executed the change when it begins to answer.
        let _ = engine.read(&mut answer);
    } else {
        let _ = std::io::copy(&mut engine, &mut client);
    }
    let _ = engine.shutdown(std::net::Shutdown::Both);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = upload.join();
}
