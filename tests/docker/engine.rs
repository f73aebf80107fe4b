//! An engine of the tests' own (the script `engine`), and the images they use.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bollard::{API_DEFAULT_VERSION, Docker};

struct Engine {
    directory: PathBuf,
    /// When this process ends, however it does, its end closes and the engine goes.
    script: Option<Mutex<Script>>,
    /// Restarts need the engine for themselves.
    use_of_it: RwLock<()>,
}

struct Script {
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
    _child: Child,
}

static ENGINE: OnceLock<Engine> = OnceLock::new();

/// The script's, or with MAI_TEST_ENGINE=DIRECTORY the one behind `docker.sock` in there, such as Podman's; that one is not restarted.
fn engine() -> &'static Engine {
    ENGINE.get_or_init(|| {
        let (directory, script) = match std::env::var_os("MAI_TEST_ENGINE") {
            Some(directory) => (PathBuf::from(directory), None),
            None => {
                let directory = std::env::temp_dir().join(format!("mai-engine-{}", std::process::id()));
                let script = start(&directory);
                (directory, Some(Mutex::new(script)))
            }
        };
        build_images(&directory);
        Engine { directory, script, use_of_it: RwLock::new(()) }
    })
}

fn start(directory: &Path) -> Script {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/engine");
    let mut child = Command::new(script).arg(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (orders, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut script = Script { orders, said, _child: child };
    wait_ready(&mut script.said);
    script
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
    let script =
        engine().script.as_ref().expect("only an engine of the tests' own can be restarted: unset MAI_TEST_ENGINE");
    let mut script = script.lock().unwrap();
    writeln!(script.orders, "{order}").unwrap();
    wait_ready(&mut script.said);
}

pub fn socket() -> PathBuf {
    engine().directory.join("docker.sock")
}

pub fn host() -> String {
    format!("unix://{}", socket().display())
}

/// The one layer of the fixture images, as an archive.
pub fn layer() -> Vec<u8> {
    std::fs::read(engine().directory.join("rootfs.tar")).unwrap()
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
    let archive = pack(&rootfs);
    for (image, entrypoint) in [("fixture:1", "/fixture"), ("fixture:2", "/fixture"), ("fixture:broken", "/nothing")] {
        import(directory, image, entrypoint, &archive);
    }
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
        import(&engine().directory, "mai-own:test", "/mai", &pack(&rootfs));
    });
}

/// By the API itself: each engine reads the client library's form of several changes in its own way.
fn import(directory: &Path, image: &str, entrypoint: &str, archive: &Path) {
    let changes =
        [format!("ENTRYPOINT [\"{entrypoint}\"]"), "CMD [\"serve\"]".to_owned(), format!("LABEL made={image}")];
    let encoded = |text: &String| text.replace(' ', "%20").replace('"', "%22").replace('[', "%5B").replace(']', "%5D");
    let changes: Vec<String> = changes.iter().map(|change| format!("changes={}", encoded(change))).collect();
    let url = format!("http://engine/v1.41/images/create?fromSrc=-&repo={image}&{}", changes.join("&"));
    let imported = Command::new("curl")
        .args(["-sf", "-X", "POST", "-H", "content-type: application/x-tar", "--data-binary"])
        .arg(format!("@{}", archive.display()))
        .arg("--unix-socket")
        .arg(directory.join("docker.sock"))
        .arg(url)
        .output()
        .unwrap();
    assert!(imported.status.success(), "{imported:?}");
}

fn pack(rootfs: &Path) -> PathBuf {
    let archive = rootfs.with_extension("tar");
    assert!(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(rootfs).arg(".").status().unwrap().success());
    archive
}
