//! An engine of the tests' own (the script `engine`), and the images they use.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bollard::{API_DEFAULT_VERSION, Docker};

struct Engine {
    directory: PathBuf,
    /// When this process ends, however it does, its end closes and the engine goes.
    orders: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _script: Child,
    /// Restarts need the engine for themselves.
    use_of_it: RwLock<()>,
}

static ENGINE: OnceLock<Engine> = OnceLock::new();

fn engine() -> &'static Engine {
    ENGINE.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("mai-engine-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/engine");
        let mut script =
            Command::new(script).arg(&directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, said) = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
        let mut orders = (orders, said);
        wait_ready(&mut orders.1);
        let engine = Engine { directory, orders: Mutex::new(orders), _script: script, use_of_it: RwLock::new(()) };
        build_images(&engine.directory);
        engine
    })
}

fn wait_ready(said: &mut impl BufRead) {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready", "these tests need a Docker Engine and root to start one of their own");
}

/// While it is held nobody restarts the engine.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    engine().use_of_it.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// While it is held nobody else uses the engine.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    engine().use_of_it.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// `restart` or `kill`; returns when it answers again.
pub fn order(order: &str) {
    let mut orders = engine().orders.lock().unwrap();
    writeln!(orders.0, "{order}").unwrap();
    wait_ready(&mut orders.1);
}

pub fn socket() -> PathBuf {
    engine().directory.join("docker.sock")
}

pub fn host() -> String {
    format!("unix://{}", socket().display())
}

/// Talks to the engine directly, as a person with the docker CLI would.
pub fn by_hand<T>(work: impl AsyncFnOnce(Docker) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let docker =
            Docker::connect_with_unix(&host(), 120, API_DEFAULT_VERSION).unwrap().negotiate_version().await.unwrap();
        work(docker).await
    })
}

/// `fixture:1`, `fixture:2` (the same server, other images), `fixture:broken` (nothing in it can be started).
fn build_images(directory: &Path) {
    let rootfs = directory.join("rootfs");
    std::fs::create_dir_all(rootfs.join("tmp")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/fixture/server.rs");
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
        .arg(rootfs.join("fixture"))
        .arg(source)
        .status()
        .unwrap();
    assert!(built.success());
    let archive = directory.join("rootfs.tar");
    assert!(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&rootfs).arg(".").status().unwrap().success());
    let archive = std::fs::read(archive).unwrap();
    let socket = format!("unix://{}", directory.join("docker.sock").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let docker =
            Docker::connect_with_unix(&socket, 120, API_DEFAULT_VERSION).unwrap().negotiate_version().await.unwrap();
        for (tag, entrypoint) in [("1", "/fixture"), ("2", "/fixture"), ("broken", "/nothing")] {
            import(&docker, "fixture", tag, entrypoint, archive.clone()).await;
        }
    });
}

/// `mai-own:test`: the very binary under test and the libraries it was linked with.
pub fn build_own_image() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let rootfs = engine().directory.join("own-rootfs");
        std::fs::create_dir_all(rootfs.join("tmp")).unwrap();
        let binary = env!("CARGO_BIN_EXE_mai");
        std::fs::copy(binary, rootfs.join("mai")).unwrap();
        let libraries = String::from_utf8(Command::new("ldd").arg(binary).output().unwrap().stdout).unwrap();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let target = rootfs.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(library, target).unwrap();
        }
        let archive = engine().directory.join("own-rootfs.tar");
        assert!(
            Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&rootfs).arg(".").status().unwrap().success()
        );
        let archive = std::fs::read(archive).unwrap();
        by_hand(async |docker| import(&docker, "mai-own", "test", "/mai", archive).await);
    });
}

async fn import(docker: &Docker, name: &str, tag: &str, entrypoint: &str, archive: Vec<u8>) {
    use bollard::query_parameters::{CreateImageOptions, CreateImageOptionsBuilder};
    use futures::StreamExt;
    let changes =
        vec![format!("ENTRYPOINT [\"{entrypoint}\"]"), "CMD [\"serve\"]".to_owned(), format!("LABEL fixture={tag}")];
    let options: CreateImageOptions =
        CreateImageOptionsBuilder::new().from_src("-").repo(name).tag(tag).changes(changes).build();
    let mut progress = docker.create_image(Some(options), Some(bollard::body_full(archive.into())), None);
    while let Some(message) = progress.next().await {
        message.unwrap();
    }
}
