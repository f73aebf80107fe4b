//! `mai operator`: keeps the instances of a cluster as declared, until it is stopped.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::shared::counts_args::CountsArgs;
use crate::cli::shared::notifications::Notifications;
use crate::cli::shared::policy::PolicyArgs;
use crate::operator::{OperatorOptions, run as operate};
use crate::server::LogFormat;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Namespaces to reconcile, separated by commas [default: all]
    #[arg(long, env = "MAI_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACES")]
    namespaces: Vec<String>,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "MAI_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Interval between reconciliations of an unchanged instance, such as 5m
    #[arg(long, env = "MAI_RESYNC", default_value = "5m", value_parser = crate::api::parse_duration, value_name = "TIME")]
    resync: Duration,

    /// Work only while holding the Lease mai-operator, so that several may run and one is at work
    #[arg(long, env = "MAI_LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set, value_name = "true|false")]
    leader_election: bool,

    /// Namespace of the Lease [default: that of its pod, or `default`]
    #[arg(long, env = "MAI_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,

    #[command(flatten)]
    counts: CountsArgs,

    #[command(flatten)]
    entrances: Entrances,

    /// Image that holds mai, of this version, for backup jobs [default: that of this operator's
    /// pod; outside a cluster that of the instance, if it holds mai]
    #[arg(long, env = "MAI_HELPER_IMAGE", value_name = "IMAGE")]
    helper_image: Option<String>,

    #[command(flatten)]
    policy: PolicyArgs,

    /// Format of the log
    #[arg(long, env = mai_contract::environment::LOG_FORMAT, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,

    #[command(flatten)]
    notifications: Notifications,
}

/// Namespaces of ingress controllers: an argument of the operator that a plan needs too.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Entrances {
    /// Namespaces whose pods may reach instances that declare an Ingress or a Gateway: those of the
    /// controllers that serve them
    #[arg(
        long,
        env = "MAI_ENTRANCES",
        value_delimiter = ',',
        default_value = "ingress-nginx,traefik,haproxy-controller,envoy-gateway-system,istio-system,cilium-secrets",
        value_name = "NAMESPACES"
    )]
    entrances: Vec<String>,
}

impl Entrances {
    pub(in crate::cli) fn names(&self) -> BTreeSet<String> {
        names(&self.entrances)
    }
}

fn names(given: &[String]) -> BTreeSet<String> {
    given.iter().filter(|name| !name.is_empty()).cloned().collect()
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::cli::shared::logging::to_output(args.log_format);
    let pod_namespace = std::env::var("POD_NAMESPACE").ok();
    let options = OperatorOptions {
        policy: Arc::new(args.policy.file(None).read()?),
        senders: args.notifications.senders(args.resync)?,
        namespaces: names(&args.namespaces),
        listen: args.listen,
        resync: args.resync,
        counts: args.counts.options(),
        lease_namespace: args.leader_election.then(|| {
            args.lease_namespace.clone().or_else(|| pod_namespace.clone()).unwrap_or_else(|| "default".to_owned())
        }),
        identity: identity(),
        ingress_namespaces: args.entrances.names(),
        helper_image: args.helper_image.clone().filter(|image| !image.is_empty()),
        pod_name: std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()),
        pod_namespace: pod_namespace.clone().filter(|namespace| !namespace.is_empty()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let stop = crate::cli::shared::signals::stop()?;
        anyhow::Ok(operate(options, stop).await)
    })?;
    match outcome {
        Ok(()) => {
            runtime.shutdown_timeout(Duration::from_secs(1));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // At once: running work must not overlap with another leader's.
            eprintln!("mai: {error}");
            std::process::exit(1);
        }
    }
}

/// Returns a unique identity, also when a pod is started again under its name.
fn identity() -> String {
    let host = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "mai".to_owned());
    format!("{host}_{}", uuid::Uuid::new_v4())
}
