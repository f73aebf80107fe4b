//! `kubectl mai report`: one archive for the diagnosis of a problem, without secrets.
//!
//! Objects that the caller may not read are left out, and the archive says so.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use serde_json::{Value, json};

use super::operator_log::LogFilter;
use super::redact::Redactor;
use super::{Cluster, EVENT_HEADER, event_row, is_about};
use crate::api::MaiInstance;
use crate::cli::shared::table;
use crate::cluster::names::{INSTANCE, SELECTOR};
use crate::cluster::{ApiFailure, classify, error_message};
use crate::core::Platform;
use crate::reconcile::references;
use crate::runtime::kubernetes::Kind;

/// Label selector of the operator's own objects.
const OPERATOR: &str = "app.kubernetes.io/part-of=mai";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this instance; else all of the namespace
    name: Option<String>,

    /// Where to write it [default: mai-report-….tar.gz in this directory]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Number of lines of each log
    #[arg(long, default_value_t = 500, value_name = "LINES")]
    tail: i64,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let mut report = Report::start(cluster, args).await?;
    report.add_instance_objects().await;
    report.add_instance_pods().await;
    report.add_events().await;
    report.add_operator().await;
    report.add_nodes().await;
    report.add_origin().await;
    let path = args.output.clone().unwrap_or_else(|| default_path(cluster, args));
    report.write(&path)?;
    for (name, text) in &report.files {
        println!("{name:<60} {:>8}", text.len());
    }
    for missing in &report.missing {
        println!("not in it: {missing}");
    }
    println!("written to {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn default_path(cluster: &Cluster, args: &Args) -> PathBuf {
    let what = args.name.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
    let at = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    PathBuf::from(format!("mai-report-{}{what}-{at}.tar.gz", cluster.namespace))
}

/// Files of a report that is being made.
struct Report<'a> {
    cluster: &'a Cluster,
    args: &'a Args,
    redactor: Redactor,
    /// Path in the archive and text, redacted.
    files: Vec<(String, String)>,
    /// Parts that could not be read, and the cause of each.
    missing: Vec<String>,
}

impl<'a> Report<'a> {
    /// Starts a report with the instances, and with the secrets to remove.
    async fn start(cluster: &'a Cluster, args: &'a Args) -> anyhow::Result<Self> {
        let instances = match &args.name {
            Some(name) => vec![cluster.instance(name).await?],
            None => {
                let listed = cluster.instances(false).list(&ListParams::default()).await;
                listed.map_err(|error| cluster.failed("list the instances", &error))?.items
            }
        };
        let mut missing = Vec::new();
        let secrets = secrets(cluster, &instances, &mut missing).await;
        let redactor = Redactor::new(&secrets)?;
        let mut report = Self { cluster, args, redactor, files: Vec::new(), missing };
        report.add_objects("instances.yaml", instances.iter().map(|instance| json!(instance)));
        let of_others = |secret: &Secret| match (&args.name, secret.labels().get(INSTANCE)) {
            (Some(name), Some(of)) => name != of,
            _ => false,
        };
        report.add("secrets.txt", &secret_names(secrets.iter().filter(|secret| !of_others(secret))));
        Ok(report)
    }

    fn add(&mut self, path: &str, text: &str) {
        let text = self.redactor.text(text);
        self.files.push((path.to_owned(), text));
    }

    fn add_objects(&mut self, path: &str, objects: impl Iterator<Item = Value>) {
        let items: Vec<Value> = objects.map(|object| self.redactor.object(object)).collect();
        match serde_saphyr::to_string(&json!({"apiVersion": "v1", "kind": "List", "items": items})) {
            Ok(text) => self.files.push((path.to_owned(), text)),
            Err(error) => self.missing.push(format!("{path}: it could not be written as YAML: {error}")),
        }
    }

    fn record_missing(&mut self, what: &str, error: &kube::Error) {
        self.missing.push(format!("{what}: {}", error_message(error)));
    }

    /// Adds the objects of the instances but their Secrets.
    async fn add_instance_objects(&mut self) {
        let selector = self.selector(SELECTOR);
        let mut found = Vec::new();
        for kind in Kind::WATCHED.into_iter().filter(|kind| *kind != Kind::Pod) {
            let api: Api<kube::api::DynamicObject> =
                Api::namespaced_with(self.cluster.client.clone(), &self.cluster.namespace, &kind.resource());
            match api.list(&ListParams::default().labels(&selector)).await {
                Ok(listed) => found.extend(listed.items.into_iter().map(|mut object| {
                    object.types = Some(listed.types.clone());
                    if let Some(types) = &mut object.types {
                        types.kind = kind.as_str().to_owned();
                    }
                    json!(object)
                })),
                Err(error) if kind.is_optional() && classify(&error) == ApiFailure::NotServed => {}
                Err(error) => self.record_missing(kind.as_str(), &error),
            }
        }
        self.add_objects("objects.yaml", found.into_iter());
    }

    fn selector(&self, all: &str) -> String {
        match &self.args.name {
            Some(name) => format!("{all},{INSTANCE}={name}"),
            None => all.to_owned(),
        }
    }

    /// Adds the pods of the instances and their logs.
    async fn add_instance_pods(&mut self) {
        let selector = self.selector(SELECTOR);
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        self.add_pods(api, &selector, None).await;
    }

    /// Adds pods and their logs; `operator` filters those of the operator.
    async fn add_pods(&mut self, api: Api<Pod>, selector: &str, operator: Option<&LogFilter<'_>>) {
        let below = if operator.is_some() { "operator/" } else { "" };
        let pods = match api.list(&ListParams::default().labels(selector)).await {
            Ok(listed) => listed.items,
            Err(error) => return self.record_missing(&format!("{below}pods"), &error),
        };
        self.add_objects(
            &format!("{below}pods.yaml"),
            pods.iter().map(|pod| match operator {
                Some(filter) => filter.pod(pod),
                None => json!(pod),
            }),
        );
        for pod in &pods {
            let name = pod.name_any();
            let home = pod.namespace().unwrap_or_default();
            let in_its_namespace: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &home);
            let restarts = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            let restarted = restarts.is_some_and(|all| all.iter().any(|container| container.restart_count > 0));
            for previous in [false, true].into_iter().filter(|previous| !previous || restarted) {
                // Only a few lines of the operator's log may be about these instances.
                let tail_lines = operator.is_none().then_some(self.args.tail);
                let params = LogParams { previous, tail_lines, ..LogParams::default() };
                let path = format!("{below}logs/{name}{}.log", if previous { ".previous" } else { "" });
                match in_its_namespace.logs(&name, &params).await {
                    Ok(text) => {
                        let text = match operator {
                            Some(filter) => filter.lines(&text, &home, usize::try_from(self.args.tail).unwrap_or(0)),
                            None => text,
                        };
                        self.add(&path, &text);
                    }
                    Err(error) => self.record_missing(&path, &error),
                }
            }
        }
    }

    async fn add_events(&mut self) {
        let gathered = async {
            let mut events = self.cluster.events(&self.cluster.namespace).await?;
            if let Some(name) = &self.args.name {
                let pods = self.cluster.pods(&self.cluster.namespace, name).await?;
                events.retain(|event| is_about(event, name, &pods));
            }
            anyhow::Ok(events)
        };
        match gathered.await {
            Ok(events) => {
                let mut table = table::table(EVENT_HEADER);
                table.add_rows(events.iter().map(event_row));
                self.add("events.txt", &table::text(&table));
            }
            Err(error) => self.missing.push(format!("events: {error}")),
        }
    }

    async fn add_operator(&mut self) {
        let api: Api<Pod> = Api::all(self.cluster.client.clone());
        match LogFilter::new(&self.cluster.namespace, self.args.name.as_deref()) {
            Ok(filter) => self.add_pods(api, OPERATOR, Some(&filter)).await,
            Err(error) => self.missing.push(format!("operator: {error}")),
        }
    }

    /// Adds a line for each node.
    async fn add_nodes(&mut self) {
        let nodes = match Api::<Node>::all(self.cluster.client.clone()).list(&ListParams::default()).await {
            Ok(listed) => listed.items,
            Err(error) => return self.record_missing("nodes", &error),
        };
        let mut table = table::table(["NODE", "VERSION", "RUNTIME", "CPU", "MEMORY", "CONDITIONS"]);
        for node in &nodes {
            let status = json!(node.status);
            let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let conditions: Vec<&str> = conditions
                .filter(|condition| condition["status"] == "True")
                .filter_map(|condition| condition["type"].as_str())
                .collect();
            table.add_row([
                node.name_any(),
                text("/nodeInfo/kubeletVersion"),
                text("/nodeInfo/containerRuntimeVersion"),
                text("/allocatable/cpu"),
                text("/allocatable/memory"),
                conditions.join(","),
            ]);
        }
        self.add("nodes.txt", &table::text(&table));
    }

    /// Adds the origin of the report, and the parts that are missing.
    async fn add_origin(&mut self) {
        let server = match self.cluster.client.apiserver_version().await {
            Ok(version) => version.git_version,
            Err(error) => error_message(&error),
        };
        let mut text = format!(
            "gathered   {}\nmai        {}\nKubernetes {server}\nnamespace  {}\ninstance   {}\n",
            Timestamp::now(),
            env!("CARGO_PKG_VERSION"),
            self.cluster.namespace,
            self.args.name.as_deref().unwrap_or("all"),
        );
        for missing in &self.missing {
            text.push_str(&format!("not in it: {missing}\n"));
        }
        self.add("about.txt", &text);
    }

    /// Writes the archive, readable for its owner alone.
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let failed = || format!("the report cannot be written to {}", path.display());
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut archive = tar::Builder::new(GzEncoder::new(file.with_context(failed)?, Compression::default()));
        for (name, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(Timestamp::now().as_second().try_into().unwrap_or_default());
            archive.append_data(&mut header, format!("mai-report/{name}"), text.as_bytes()).with_context(failed)?;
        }
        archive.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush()).with_context(failed)
    }
}

/// Returns the Secrets of instances, whose values are removed.
async fn secrets(cluster: &Cluster, instances: &[kube::api::DynamicObject], missing: &mut Vec<String>) -> Vec<Secret> {
    const LOST: &str = "the log lines were only searched for what looks like a secret, since the values of";
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut found = match api.list(&ListParams::default().labels(SELECTOR)).await {
        Ok(listed) => listed.items,
        Err(error) => {
            missing.push(format!("{LOST} the Secrets made for instances may not be read: {}", error_message(&error)));
            Vec::new()
        }
    };
    let named: std::collections::BTreeSet<String> = instances
        .iter()
        .filter_map(|instance| serde_json::from_value::<MaiInstance>(json!(instance)).ok())
        // The logins at registries too, which the operator itself leaves to the nodes.
        .flat_map(|instance| references(&instance, &Platform::PROCESS))
        .map(|reference| reference.name)
        .collect();
    for name in named {
        match api.get_opt(&name).await {
            Ok(secret) => found.extend(secret),
            Err(error) => missing.push(format!("{LOST} Secret {name} may not be read: {}", error_message(&error))),
        }
    }
    found
}

/// Returns a table of names and keys, never of values.
fn secret_names<'a>(secrets: impl Iterator<Item = &'a Secret>) -> String {
    let mut table = table::table(["SECRET", "TYPE", "KEYS", "MADE"]);
    for secret in secrets {
        let keys: Vec<&str> = secret.data.iter().flat_map(|data| data.keys()).map(String::as_str).collect();
        table.add_row([
            secret.name_any(),
            secret.type_.clone().unwrap_or_default(),
            keys.join(","),
            secret.creation_timestamp().map(|time| time.0.to_string()).unwrap_or_default(),
        ]);
    }
    table::text(&table)
}
