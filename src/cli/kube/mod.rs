//! `kubectl mai`, or `mai kube`: verbs on the instances of a cluster, with the permissions of the
//! caller.

mod backup;
mod complete;
mod drill;
mod drill_report;
mod exec;
mod logs;
mod operator_log;
mod plan;
mod prune;
mod redact;
mod report;
mod request;
mod restart;
mod restore;
mod rotate_key;
mod statement;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::api::MaiInstance;
use crate::cli::shared::block_on::block_on;
use crate::cluster::names::INSTANCE;
use crate::cluster::{ApiFailure, classify, error_message};

/// Label of the pods of servers; those of jobs have another.
const SERVER: &str = "app.kubernetes.io/name=mai";
/// Name under which kubectl finds this program.
const PLUGIN: &str = "kubectl-mai";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(subcommand)]
    verb: Verb,
}

/// Private AI assistants in a cluster: how they stand, what they say, what would change.
#[derive(Debug, Parser)]
#[command(name = PLUGIN, bin_name = "kubectl mai", version, propagate_version = true)]
struct Plugin {
    #[command(flatten)]
    args: Args,
}

/// Connection to the cluster, as kubectl has it.
#[derive(Debug, Default, clap::Args)]
struct ConnectionArgs {
    /// Namespace [default: that of the context]
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Context of the kubeconfig [default: the current one]
    #[arg(long, global = true, value_name = "CONTEXT")]
    context: Option<String>,

    /// The kubeconfig [default: what KUBECONFIG names, or ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how instances stand
    Status(status::Args),
    /// Print what the server of an instance wrote
    Logs(logs::Args),
    /// Run a command in the pod of an instance, by kubectl's own exec
    Exec(exec::Args),
    /// Show what the operator would change now and why; exit code 0: nothing, 2: something, 1: a
    /// document has an error or an instance is blocked
    Plan(plan::Args),
    /// Stop the server of an instance and start it again as it is; says how long that took
    Restart(restart::Args),
    /// Give an instance another key of its own at its upstream, and wait until its server has it
    RotateKey(rotate_key::Args),
    /// Make a backup of an instance now, and wait until it is verified
    Backup(backup::Args),
    /// Bring a backup of an instance back for trial now, and wait until it was checked
    Drill(drill::Args),
    /// Print the statement of a closed month of an instance, with cost and margin
    Statement(statement::Args),
    /// Print a page about the newest drill of an instance that its client may be sent
    DrillReport(drill_report::Args),
    /// Bring the data of an instance back from a backup, after all of it was checked
    Restore(restore::Args),
    /// List the claims that were made for instances which are gone, and remove them on confirmation
    Prune(prune::Args),
    /// Gather what helps to find out what is wrong into one archive, without secrets
    Report(report::Args),
    /// The words so far, the last unfinished: kubectl asks what may follow.
    #[command(skip)]
    Complete(Vec<String>),
}

/// Returns the arguments if this program was called as kubectl calls its plugins. `matches` parses
/// a command line or ends the program.
pub(super) fn called_by_kubectl(matches: fn(Command) -> ArgMatches) -> Option<Args> {
    let mut words = std::env::args_os();
    let called = PathBuf::from(words.next()?);
    match called.file_stem()?.to_str()? {
        PLUGIN => {
            let plugin = Plugin::from_arg_matches(&matches(Plugin::command()));
            Some(plugin.unwrap_or_else(|error| error.exit()).args)
        }
        complete::NAME => {
            let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
            Some(Args { connection: ConnectionArgs::default(), verb: Verb::Complete(words) })
        }
        _ => None,
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { connection, verb } = args;
    match verb {
        Verb::Status(args) => run_verb(&connection, async |cluster| status::run(&cluster, &args).await),
        Verb::Logs(args) => run_verb(&connection, async |cluster| logs::run(&cluster, &args).await),
        Verb::Exec(args) => exec::run(&connection, &args),
        Verb::Statement(args) => statement::run(&connection, &args),
        Verb::Plan(args) => run_verb(&connection, async |cluster| plan::run(&cluster, &args).await),
        Verb::Restart(args) => run_verb(&connection, async |cluster| restart::run(&cluster, &args).await),
        Verb::RotateKey(args) => run_verb(&connection, async |cluster| rotate_key::run(&cluster, &args).await),
        Verb::Backup(args) => run_verb(&connection, async |cluster| backup::run(&cluster, &args).await),
        Verb::Drill(args) => run_verb(&connection, async |cluster| drill::run(&cluster, &args).await),
        Verb::DrillReport(args) => run_verb(&connection, async |cluster| drill_report::run(&cluster, &args).await),
        Verb::Restore(args) => run_verb(&connection, async |cluster| restore::run(&cluster, &args).await),
        Verb::Prune(args) => run_verb(&connection, async |cluster| prune::run(&cluster, &args).await),
        Verb::Report(args) => run_verb(&connection, async |cluster| report::run(&cluster, &args).await),
        Verb::Complete(words) => complete::run(&words),
    }
}

/// Connects and runs a verb.
fn run_verb(
    connection: &ConnectionArgs,
    verb: impl AsyncFnOnce(Cluster) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let outcome = block_on(async { verb(Cluster::connect(connection).await?).await });
    match outcome {
        // The reader of a pipe, such as `head`, has closed it.
        Err(error)
            if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome,
    }
}

/// A cluster and the chosen namespace in it.
struct Cluster {
    client: Client,
    namespace: String,
    url: String,
}

impl Cluster {
    async fn connect(connection: &ConnectionArgs) -> anyhow::Result<Self> {
        let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
        let config = match &connection.kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path)
                    .with_context(|| format!("the kubeconfig {} cannot be read", path.display()))?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(anyhow::Error::from)
            }
            None if connection.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(anyhow::Error::from)
            }
            None => Config::infer().await.map_err(anyhow::Error::from),
        };
        let config =
            config.context("there is no way to a cluster; set KUBECONFIG, or name a --kubeconfig and a --context")?;
        let namespace = connection.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).context("there is no way to a cluster")?;
        Ok(Self { client, namespace, url })
    }

    /// Returns a failure of the API server as a sentence.
    fn failed(&self, action: &str, error: &kube::Error) -> anyhow::Error {
        self.failed_for(action, "MaiInstance", error)
    }

    /// Returns a failure of a request for a kind as a sentence.
    fn failed_for(&self, action: &str, kind: &str, error: &kube::Error) -> anyhow::Error {
        match classify(error) {
            ApiFailure::NotServed => {
                anyhow::anyhow!(
                    "{action}: this cluster does not know {kind}; install the operator, or apply its custom resource definitions (`mai crd`)"
                )
            }
            _ if matches!(error, kube::Error::Api(_)) => {
                anyhow::anyhow!("{action}: the API server says: {}", error_message(error))
            }
            _ => anyhow::anyhow!(
                "{action}: the API server at {} does not answer: {}; is it the right --context?",
                self.url,
                error_message(error)
            ),
        }
    }

    /// Returns the API of MaiInstances without their schema, so that invalid ones are included.
    fn instances(&self, everywhere: bool) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<MaiInstance>(&());
        if everywhere {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        }
    }

    /// Returns one instance, or an error that says how to find it.
    async fn instance(&self, name: &str) -> anyhow::Result<DynamicObject> {
        let found = self.instances(false).get_opt(name).await;
        let found = found.map_err(|error| self.failed(&format!("get {name}"), &error))?;
        found.ok_or_else(|| self.unknown(name))
    }

    /// Returns one instance as this version of mai understands it.
    async fn understood_instance(&self, name: &str) -> anyhow::Result<MaiInstance> {
        let found = self.instance(name).await?;
        found.try_parse().with_context(|| format!("the MaiInstance {name} is not understood by this version of mai"))
    }

    fn unknown(&self, name: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "there is no instance {name} in namespace {}; `kubectl mai status -A` lists those of all",
            self.namespace
        )
    }

    /// Returns the pods of the server of an instance, the newest first.
    async fn pods(&self, namespace: &str, name: &str) -> anyhow::Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let of_it = ListParams::default().labels(&format!("{SERVER},{INSTANCE}={name}"));
        let listed =
            api.list(&of_it).await.map_err(|error| self.failed(&format!("list the pods of {name}"), &error))?;
        let mut pods = listed.items;
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp.clone()));
        Ok(pods)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the events of a namespace, the oldest first.
    async fn events(&self, namespace: &str) -> anyhow::Result<Vec<Event>> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let listed = api.list(&ListParams::default()).await.map_err(|error| self.failed("list events", &error))?;
        let mut events = listed.items;
        events.sort_by_key(seen);
        Ok(events)
    }
}

/// Returns the parameters of a patch.
fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(PLUGIN.to_owned()), ..PatchParams::default() }
}

/// Returns the time of the last occurrence of an event.
fn seen(event: &Event) -> Option<jiff::Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    series
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Returns whether an event is about an instance or one of its objects.
fn is_about(event: &Event, name: &str, pods: &[Pod]) -> bool {
    let about = &event.involved_object;
    let is = |other: &str| about.name.as_deref() == Some(other);
    match about.kind.as_deref() {
        Some("MaiInstance") => is(name),
        Some("Pod") => pods.iter().any(|pod| pod.metadata.name.as_deref().is_some_and(is)),
        _ => is(&format!("mai-{name}")) || is(&format!("mai-{name}-data")) || is(&format!("mai-{name}-backups")),
    }
}

/// Returns an event as a row of a table.
fn event_row(event: &Event) -> [String; 6] {
    let about = &event.involved_object;
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    [
        seen(event).map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default(),
        count.to_string(),
        event.type_.clone().unwrap_or_default(),
        format!("{}/{}", about.kind.as_deref().unwrap_or_default(), about.name.as_deref().unwrap_or_default()),
        event.reason.clone().unwrap_or_default(),
        event.message.clone().unwrap_or_default(),
    ]
}

/// Header of such rows.
const EVENT_HEADER: [&str; 6] = ["LAST SEEN", "COUNT", "TYPE", "OBJECT", "REASON", "MESSAGE"];
