//! The operator on a real API server with many instances. There is no node, so their pods stay
//! pending and the operator alone is measured.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::connect;
use crate::process::{Program, cpu_seconds, free_port, mai, peak_kib, resident_kib};
use crate::report::Report;

/// Namespace of the operator.
const NAMESPACE: &str = "bench";
/// Instances in a namespace. With all in one namespace the cluster's controllers, which match each
/// pod with every selector there, would take most of the time.
const TOGETHER: usize = 100;
/// Service account of the operator and of the baseline's client.
const ACCOUNT: &str = "mai-operator";
/// Changes whose latency is measured.
const CHANGES: usize = 200;
/// Kinds applied for each instance: ServiceAccount, two claims, Service, NetworkPolicy, budget,
/// Deployment, and two Secrets.
const OBJECTS: usize = 9;

/// Measures the first apply of all instances, an idle period, changes of specs, and a restart.
pub async fn measure(
    binary: &Path,
    cluster: Option<&Path>,
    instances: usize,
    idle: Duration,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let Some(cluster) = cluster.filter(|_| report.wants("cluster")) else { return Ok(()) };
    let place = tempfile::tempdir()?;
    let stage = ControlPlane::start(cluster, place.path()).await?;

    // Beside: a client that writes as many objects and does nothing else, as fast as the API server
    // takes them.
    let began = Instant::now();
    stage.create_plain_objects(instances).await?;
    let raw = began.elapsed().as_secs_f64();
    stage.create_instances(instances).await?;

    let began = Instant::now();
    let operator = stage.operator(binary).await?;
    let pid = operator.pid()?;
    stage.wait_for_deployments(instances / 2).await?;
    let half = (began.elapsed().as_secs_f64(), cpu_seconds(pid)?);
    stage.wait_for_deployments(instances).await?;
    let took = began.elapsed().as_secs_f64();
    let rest = (took - half.0, cpu_seconds(pid)? - half.1);
    report.add(
        &format!("cluster: {instances} instances, all children applied"),
        format!("{raw:.1} s for as many ConfigMaps by a bare client"),
        format!("{took:.1} s = {:.2} x, {:.1} s CPU", took / raw, cpu_seconds(pid)?),
        "≤ 60 s for 1,000",
        took <= 60.0 * instances as f64 / 1000.0,
    );

    report.add(
        &format!("cluster: the last half of {instances}, compared with the first"),
        format!("{:.1} s, {:.1} s CPU", half.0, half.1),
        format!("{:.1} s = {:.2} x, {:.1} s CPU = {:.2} x", rest.0, rest.0 / half.0, rest.1, rest.1 / half.1),
        "linear: ≤ 1.5 x",
        rest.0 <= 1.5 * half.0,
    );

    stage.wait_until_settled().await?;
    report.add(
        &format!("cluster: memory of the operator at {instances}"),
        "-".to_owned(),
        format!("{:.1} MiB resident, {:.1} MiB at most", mib(resident_kib(pid)?), mib(peak_kib(pid)?)),
        "≤ 64 MB at 1,000",
        peak_kib(pid)? <= 62_500 * u64::try_from(instances.div_ceil(1000))?,
    );

    let (before, cpu) = (stage.versions().await?, cpu_seconds(pid)?);
    tokio::time::sleep(idle).await;
    let share = (cpu_seconds(pid)? - cpu) / idle.as_secs_f64();
    let moved = stage.changed_since(&before).await?;
    report.add(
        &format!("cluster: {instances} unchanged for {} s", idle.as_secs()),
        format!("{} objects", before.len()),
        format!("{moved} written, {:.2} % of a core", share * 100.0),
        "none, < 1 %",
        moved == 0 && share < 0.01,
    );

    let mut latencies = stage.change_some(instances).await?;
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    report.add(
        "cluster: change of a spec to its Deployment applied",
        format!("{CHANGES} changes, median {:.0} ms", at(0.5)),
        format!("p99 {:.0} ms", at(0.99)),
        "≤ 250 ms p99",
        at(0.99) <= 250.0,
    );

    stage.wait_until_settled().await?;
    operator.stop().await?;
    let before = stage.versions().await?;
    let began = Instant::now();
    let operator = stage.operator(binary).await?;
    stage.wait_for_first_pass(&operator, instances).await?;
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let moved = stage.changed_since(&before).await?;
    report.add(
        &format!("cluster: restart with {instances}"),
        format!("{} objects", before.len()),
        format!("{moved} written, {:.1} s until each was reconciled", took.as_secs_f64()),
        "none written",
        moved == 0,
    );
    operator.stop().await
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A control plane, reached without TLS through `kubectl proxy`.
struct ControlPlane {
    kubeconfig: PathBuf,
    proxy: SocketAddr,
    _programs: Vec<Child>,
}

impl ControlPlane {
    async fn start(cluster: &Path, place: &Path) -> anyhow::Result<Self> {
        let directory = place.join("cluster");
        let mut supervisor = Command::new(cluster)
            .args(["up", "--control-plane", "--attached", "--discard"])
            .env("MAI_CLUSTER_DIR", &directory)
            // Room for its memory to grow: otherwise a fourth of what the API server does is
            // looking for what can be freed.
            .env("GOGC", "400")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the cluster")?;
        wait_for_line(&mut supervisor, |line| line == "ready").await?;
        // No claim is bound without a node, and this looks at all of them five times a second.
        let mut provisioner = Command::new(cluster);
        if !provisioner.args(["stop", "volumes"]).env("MAI_CLUSTER_DIR", &directory).status().await?.success() {
            bail!("the provisioner of volumes cannot be stopped");
        }
        let kubectl = |kubeconfig: &Path, arguments: &[&str]| {
            let mut command = Command::new(cluster);
            command.arg("kubectl").args(arguments).env("MAI_CLUSTER_DIR", &directory);
            command.env("KUBECONFIG", kubeconfig).kill_on_drop(true);
            command
        };
        let admin = directory.join("kubeconfig/admin");
        let account = format!("{NAMESPACE}:{ACCOUNT}");
        let run = async |arguments: &[&str]| {
            let output = kubectl(&admin, arguments).stderr(Stdio::inherit()).output().await?;
            if !output.status.success() {
                bail!("kubectl {arguments:?} failed");
            }
            Ok(String::from_utf8(output.stdout)?)
        };
        for arguments in [
            &["apply", "--server-side", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/../crds")][..],
            &["wait", "--for=condition=Established", "crd/maiinstances.mai.dev"],
            &["create", "namespace", NAMESPACE],
            &["create", "serviceaccount", ACCOUNT, "--namespace", NAMESPACE],
            &["create", "clusterrolebinding", ACCOUNT, "--clusterrole=cluster-admin", "--serviceaccount", &account],
        ] {
            run(arguments).await?;
        }
        // As in a pod, by a token: a client's certificate is verified anew for each request, at a
        // fifth of what the API server does.
        let config = run(&["config", "view", "--raw", "--minify", "--flatten", "--output=json"]).await?;
        let token = run(&["create", "token", ACCOUNT, "--namespace", NAMESPACE, "--duration=24h"]).await?;
        let mut config: Value = serde_json::from_str(&config)?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let kubeconfig = place.join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string())?;
        let proxy = free_port()?;
        let port = format!("--port={}", proxy.port());
        let mut forwards = kubectl(&kubeconfig, &["proxy", &port]).stdout(Stdio::piped()).spawn()?;
        wait_for_line(&mut forwards, |line| line.contains("Starting to serve")).await?;
        Ok(Self { kubeconfig, proxy, _programs: vec![forwards, supervisor] })
    }

    async fn operator(&self, binary: &Path) -> anyhow::Result<Program> {
        let address = free_port()?;
        let mut command = mai(binary, &["operator", "--lease-namespace", NAMESPACE, "--listen"]);
        command.arg(address.to_string()).env("KUBECONFIG", &self.kubeconfig);
        Ok(Program::start(command, address, "/readyz", 200).await?.0)
    }

    /// Creates as many small objects as an operator writes for `instances`.
    async fn create_plain_objects(&self, instances: usize) -> anyhow::Result<()> {
        self.post_all(instances * OBJECTS, |index| {
            let object = json!({"metadata": {"name": format!("plain-{index}")}, "data": {"text": "x".repeat(600)}});
            (format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), object)
        })
        .await
    }

    async fn create_instances(&self, instances: usize) -> anyhow::Result<()> {
        self.post_all(instances.div_ceil(TOGETHER), |index| {
            ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": namespace(index * TOGETHER)}}))
        })
        .await?;
        self.post_all(instances, |index| {
            let object = json!({
                "apiVersion": "mai.dev/v1alpha1",
                "kind": "MaiInstance",
                "metadata": {"name": format!("client-{index}")},
                "spec": {"displayName": format!("Client {index}"), "image": "mai-production:1", "openRouter": {"mock": true}},
            });
            (format!("/apis/mai.dev/v1alpha1/namespaces/{}/maiinstances", namespace(index)), object)
        })
        .await
    }

    async fn post_all(&self, count: usize, object: impl Fn(usize) -> (String, Value)) -> anyhow::Result<()> {
        const CLIENTS: usize = 16;
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let requests: Vec<(String, Value)> = (client..count).step_by(CLIENTS).map(&object).collect();
            let proxy = self.proxy;
            clients.push(tokio::spawn(async move {
                let mut sender = connect(proxy).await?;
                for (path, object) in requests {
                    send(&mut sender, "POST", &path, "application/json", &object).await?;
                }
                anyhow::Ok(())
            }));
        }
        for client in clients {
            client.await??;
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        send(&mut connect(self.proxy).await?, "GET", path, "application/json", &Value::Null).await
    }

    /// Waits until each instance has its Deployment, which is applied last.
    async fn wait_for_deployments(&self, wanted: usize) -> anyhow::Result<()> {
        let patience = Duration::from_mins(20) * u32::try_from(wanted.div_ceil(1000))?;
        let until = Instant::now() + patience;
        loop {
            let list = self.get("/apis/apps/v1/deployments?limit=1").await?;
            let listed = list["items"].as_array().map_or(0, Vec::len) as u64;
            if listed + list["metadata"]["remainingItemCount"].as_u64().unwrap_or_default() >= wanted as u64 {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("not all children are applied after {patience:?}: {listed} and {list}");
            }
            // Counting costs the API server the more the more there are.
            tokio::time::sleep(Duration::from_millis(wanted as u64 / 10)).await;
        }
    }

    /// Waits until no object changes any more.
    async fn wait_until_settled(&self) -> anyhow::Result<()> {
        let mut before = self.versions().await?;
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let now = self.versions().await?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
    }

    /// Returns the resource version of each object that the operator writes.
    async fn versions(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut versions = BTreeMap::new();
        for resource in [
            "apis/mai.dev/v1alpha1/maiinstances",
            "apis/apps/v1/deployments",
            "apis/networking.k8s.io/v1/networkpolicies",
            "apis/policy/v1/poddisruptionbudgets",
            "api/v1/services",
            "api/v1/serviceaccounts",
            "api/v1/persistentvolumeclaims",
            "api/v1/secrets",
        ] {
            let mut sender = connect(self.proxy).await?;
            let request = Request::get(format!("/{resource}"))
                .header("host", "localhost")
                // Only metadata is read.
                .header("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
                .body(Full::default())?;
            let list = read(sender.send_request(request).await?).await?;
            for item in list["items"].as_array().context("no list")? {
                let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
                versions.insert(format!("{resource}/{}/{}", text("namespace"), text("name")), text("resourceVersion"));
            }
        }
        Ok(versions)
    }

    async fn changed_since(&self, before: &BTreeMap<String, String>) -> anyhow::Result<usize> {
        let now = self.versions().await?;
        let changed = now.iter().filter(|(name, version)| before.get(*name) != Some(version)).count();
        Ok(changed + before.keys().filter(|name| !now.contains_key(*name)).count())
    }

    /// Changes some specs; returns the time from each answer until the Deployment has the change.
    async fn change_some(&self, instances: usize) -> anyhow::Result<Vec<Duration>> {
        let mut sender = connect(self.proxy).await?;
        let mut latencies = Vec::new();
        for change in 0..CHANGES {
            let index = change * 7919 % instances;
            let (namespace, name) = (namespace(index), format!("client-{index}"));
            let wanted = format!("Renamed {change}");
            let path = format!("/apis/mai.dev/v1alpha1/namespaces/{namespace}/maiinstances/{name}");
            let patch = json!({"spec": {"displayName": wanted}});
            send(&mut sender, "PATCH", &path, "application/merge-patch+json", &patch).await?;
            let began = Instant::now();
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/mai-{name}");
            while !has_display_name(&send(&mut sender, "GET", &path, "application/json", &Value::Null).await?, &wanted)
            {
                if began.elapsed() > Duration::from_secs(30) {
                    bail!("{name} was not changed within 30 s");
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    /// Waits until an operator has reconciled every instance once.
    async fn wait_for_first_pass(&self, operator: &Program, instances: usize) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(300);
        loop {
            let mut sender = connect(operator.address).await?;
            let request = Request::get("/metrics").header("host", "localhost").body(Full::default())?;
            let text = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&text).into_owned();
            let passes = text.lines().filter(|line| line.starts_with("mai_operator_reconcile_total"));
            let passes: f64 = passes.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            if passes >= instances as f64 {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("{passes} passes after five minutes");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Returns the namespace of an instance.
fn namespace(index: usize) -> String {
    format!("{NAMESPACE}-{}", index / TOGETHER)
}

fn has_display_name(deployment: &Value, wanted: &str) -> bool {
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array();
    variables.into_iter().flatten().any(|variable| variable["name"] == "WEBUI_NAME" && variable["value"] == wanted)
}

async fn wait_for_line(program: &mut Child, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let output = program.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if wanted(&line) {
            // Whoever writes on must find a reader.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(());
        }
    }
    bail!("a program ended before it was ready")
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    kind: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", kind)
        .body(Full::new(Bytes::from(bytes)))?;
    sender.ready().await?;
    read(sender.send_request(request).await?).await
}

async fn read(answer: http::Response<hyper::body::Incoming>) -> anyhow::Result<Value> {
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("the API server answered {status}: {}", String::from_utf8_lossy(&bytes));
    }
    Ok(serde_json::from_slice(&bytes)?)
}
