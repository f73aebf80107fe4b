//! The cluster of the tests (`tests/cluster`), one for all tests of a process, or an existing one.
//!
//! MAI_TEST_KUBECONFIG=FILE     an existing cluster, such as kind's; none of its programs is restarted.
//! MAI_TEST_LOAD_IMAGE=COMMAND  loads an archive onto its nodes, such as "kind load image-archive"; the path follows.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::api::Api;

pub struct Cluster {
    kubeconfig: PathBuf,
    own: Option<Own>,
    api: OnceLock<Api>,
    /// Shared by tests; exclusive for those that stop a program of the cluster.
    usage: RwLock<()>,
}

struct Own {
    binary: PathBuf,
    directory: PathBuf,
    /// Ends with its standard input, and therefore with this process, and the cluster with it.
    _supervisor: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

pub fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| {
        let cluster = match std::env::var_os("MAI_TEST_KUBECONFIG") {
            Some(kubeconfig) => Cluster::at(kubeconfig.into(), None),
            None => Cluster::start(),
        };
        cluster.install_definitions();
        cluster
    })
}

/// Returns a guard; while it exists, no test stops a program of the cluster.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    cluster().usage.read().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a guard; while it exists, no other test uses the cluster.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    cluster().usage.write().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    fn at(kubeconfig: PathBuf, own: Option<Own>) -> Self {
        Self { kubeconfig, own, api: OnceLock::new(), usage: RwLock::new(()) }
    }

    fn start() -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster");
        script(&home.join("packages"));
        let binary = PathBuf::from(script(&home.join("build")).trim());
        let directory = std::env::temp_dir().join(format!("mai-cluster-{}", std::process::id()));
        let mut supervisor = Command::new(&binary)
            .args(["up", "--attached", "--discard"])
            .env("MAI_CLUSTER_DIR", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stages = Vec::new();
        for line in BufReader::new(supervisor.stdout.take().unwrap()).lines().map_while(Result::ok) {
            stages.push(line);
            if stages.last().is_some_and(|stage| stage == "ready") {
                let kubeconfig = directory.join("kubeconfig/admin");
                let own = Some(Own { binary, directory, _supervisor: supervisor });
                return Self::at(kubeconfig, own);
            }
        }
        let ended = supervisor.wait().unwrap();
        panic!(
            "these tests need a Kubernetes, and root to start one of their own; it ended with {ended} after:\n{}",
            stages.join("\n")
        );
    }

    /// Applies the committed CRDs, whatever a test has changed in them.
    pub fn install_definitions(&self) {
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        let definitions = definitions.to_str().unwrap();
        for arguments in [
            &["apply", "--server-side", "--force-conflicts", "-f", definitions][..],
            &["wait", "--for=condition=Established", "--timeout=3m", "-f", definitions],
        ] {
            let output = self.kubectl(arguments, "");
            assert!(
                output.status.success(),
                "the cluster refuses our CRDs: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    pub fn api(&self) -> &Api {
        self.api.get_or_init(|| Api::open(&self.kubeconfig))
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl with the given standard input.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = match &self.own {
            Some(own) => {
                let mut command = Command::new(&own.binary);
                command.arg("kubectl").env("KUBECACHEDIR", own.directory.join("kubectl"));
                command
            }
            None => Command::new("kubectl"),
        };
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig);
        run_with_input(command, input)
    }

    /// Returns a script that runs kubectl, for programs that search it on PATH.
    pub fn kubectl_script(&self) -> String {
        match &self.own {
            Some(own) => format!("#!/bin/sh\nexec {} kubectl \"$@\"\n", own.binary.display()),
            None => {
                let path = std::env::var_os("PATH").expect("kubectl is needed");
                let found =
                    std::env::split_paths(&path).map(|directory| directory.join("kubectl")).find(|file| file.exists());
                format!("#!/bin/sh\nexec {} \"$@\"\n", found.expect("kubectl is needed").display())
            }
        }
    }

    /// Sends `restart`, `kill` (both until it answers again), `stop` or `start` for a program such
    /// as `kube-apiserver`.
    pub fn send(&self, verb: &str, program: &str) {
        let own =
            self.own.as_ref().expect("only a cluster of the tests' own can be restarted: unset MAI_TEST_KUBECONFIG");
        self.run(own.command(&[verb, program]));
    }

    /// Loads an image of one layer onto the node.
    pub fn load_image(&self, image: &str, rootfs: &Path, entrypoint: &[&str]) {
        let archive = rootfs.with_extension("image");
        let paths = [rootfs.to_str().unwrap(), archive.to_str().unwrap()];
        match &self.own {
            Some(own) => {
                let mut pack = own.command(&["pack-image", image, paths[0], paths[1], "--user", "65532:65532"]);
                pack.args(entrypoint);
                self.run(pack);
                self.run(own.command(&["load-image", paths[1]]));
            }
            None => {
                let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/build");
                let mut pack = Command::new(script(&pack).trim());
                pack.args(["pack-image", image, paths[0], paths[1], "--user", "65532:65532"]).args(entrypoint);
                self.run(pack);
                let load = std::env::var("MAI_TEST_LOAD_IMAGE").expect(
                    "set MAI_TEST_LOAD_IMAGE to what loads an archive into your cluster: kind load image-archive",
                );
                let mut words = load.split_whitespace();
                let mut command = Command::new(words.next().unwrap());
                command.args(words).arg(paths[1]);
                self.run(command);
            }
        }
        std::fs::remove_file(archive).unwrap();
    }

    fn run(&self, mut command: Command) {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Own {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("MAI_CLUSTER_DIR", &self.directory);
        command
    }
}

/// Runs a script; returns its standard output and shows its progress.
fn script(path: &Path) -> String {
    let output = Command::new(path).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", path.display());
    String::from_utf8(output.stdout).unwrap()
}

fn run_with_input(mut command: Command, input: &str) -> Output {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl is needed");
    // It may end without reading all of its input, and reports the cause itself.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
