//! Docker Engines for the tests (the script `engine`), and their images.
//!
//! Most tests share one. Those that restart it, remove its network or measure it take turns on
//! another, so that nobody waits for them.

use std::any::Any;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use bollard::query_parameters::{TagImageOptions, TagImageOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};

struct Engine {
    directory: PathBuf,
    /// Ends with its standard input, and therefore with this process, and the engine with it.
    script: Option<Mutex<Script>>,
    usage: RwLock<()>,
    has_own_image: OnceLock<()>,
}

struct Script {
    orders: ChildStdin,
    output: BufReader<ChildStdout>,
    _child: Child,
}

thread_local! {
    /// The engine of the test that runs in this thread, unless it is the shared one.
    static CURRENT: Cell<Option<&'static Engine>> = const { Cell::new(None) };
}

/// A test's use of an engine, which ends with the test.
pub struct Usage {
    _lock: Box<dyn Any>,
}

impl Drop for Usage {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// Returns the engine of the test that runs in this thread.
fn engine() -> &'static Engine {
    CURRENT.get().unwrap_or_else(shared_engine)
}

/// Returns the engine that tests share, or with MAI_TEST_ENGINE=DIRECTORY the one behind `docker.sock`
/// in there, such as Podman's; that one is not restarted.
fn shared_engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| match given_engine() {
        Some(directory) => {
            build_images(&directory);
            Engine { directory, script: None, usage: RwLock::default(), has_own_image: OnceLock::new() }
        }
        None => Engine::start("shared", "10.213"),
    })
}

/// Returns the engine that one test at a time uses.
fn engine_for_one() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    match given_engine() {
        Some(_) => shared_engine(),
        None => ENGINE.get_or_init(|| Engine::start("for-one", "10.214")),
    }
}

fn given_engine() -> Option<PathBuf> {
    std::env::var_os("MAI_TEST_ENGINE").map(PathBuf::from)
}

impl Engine {
    /// Starts an engine whose networks begin with these two numbers.
    fn start(name: &str, networks: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("mai-engine-{}-{name}", std::process::id()));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/engine");
        let mut command = Command::new(program);
        command.arg(&directory).arg(networks).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut script = Script { orders, output, _child: child };
        wait_ready(&mut script.output);
        build_images(&directory);
        let script = Some(Mutex::new(script));
        Self { directory, script, usage: RwLock::default(), has_own_image: OnceLock::new() }
    }
}

fn wait_ready(output: &mut impl BufRead) {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready", "these tests need a Docker Engine and root to start one of their own");
}

/// Returns a guard; while it exists, this test uses the engine that tests share, and does neither
/// restart it nor remove its network.
pub fn shared() -> Usage {
    Usage { _lock: Box::new(shared_engine().usage.read().unwrap_or_else(PoisonError::into_inner)) }
}

/// Returns a guard; while it exists, this test alone uses an engine.
pub fn alone() -> Usage {
    let engine = engine_for_one();
    let lock = engine.usage.write().unwrap_or_else(PoisonError::into_inner);
    CURRENT.set(Some(engine));
    Usage { _lock: Box::new(lock) }
}

/// Sends `restart`, `kill` or `clean` to the script and waits until the engine answers again.
pub fn send(order: &str) {
    let script =
        engine().script.as_ref().expect("only an engine of the tests' own can be restarted: unset MAI_TEST_ENGINE");
    let mut script = script.lock().unwrap();
    writeln!(script.orders, "{order}").unwrap();
    wait_ready(&mut script.output);
}

pub fn socket() -> PathBuf {
    engine().directory.join("docker.sock")
}

pub fn host() -> String {
    format!("unix://{}", socket().display())
}

/// Returns the one layer of the fixture images, as an archive.
pub fn layer() -> Vec<u8> {
    std::fs::read(engine().directory.join("rootfs.tar")).unwrap()
}

/// Runs `work` with a client of the engine, as an administrator would use the docker command.
pub fn with_docker<T>(work: impl AsyncFnOnce(Docker) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let docker =
            Docker::connect_with_unix(&host(), 120, API_DEFAULT_VERSION).unwrap().negotiate_version().await.unwrap();
        work(docker).await
    })
}

/// Gives an image another name.
pub fn tag(image: &str, name: &str) {
    let (repo, tag) = name.rsplit_once(':').unwrap();
    with_docker(async |docker| {
        let options: TagImageOptions = TagImageOptionsBuilder::new().repo(repo).tag(tag).build();
        docker.tag_image(image, Some(options)).await.unwrap();
    });
}

/// Builds `fixture:1` and `fixture:2` (two images of the same server) and `fixture:broken` (which
/// cannot be started).
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

/// Builds `mai-own:test` from the binary under test and its shared libraries.
pub fn build_own_image() {
    let engine = engine();
    engine.has_own_image.get_or_init(|| {
        let rootfs = engine.directory.join("own-rootfs");
        std::fs::create_dir_all(rootfs.join("tmp")).unwrap();
        let binary = env!("CARGO_BIN_EXE_mai");
        std::fs::copy(binary, rootfs.join("mai")).unwrap();
        let libraries = String::from_utf8(Command::new("ldd").arg(binary).output().unwrap().stdout).unwrap();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let target = rootfs.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(library, target).unwrap();
        }
        import(&engine.directory, "mai-own:test", "/mai", &pack(&rootfs));
    });
}

/// Imports an image by a plain API request: engines differ in how they read the client library's
/// list of changes.
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
