//! A request that a verb creates in the cluster and follows until it has its answer.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Cluster;

/// Interval between checks.
pub(super) const AGAIN: Duration = Duration::from_millis(500);

/// Options of every verb that makes a request.
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// Return at once; `kubectl mai status NAME` shows how it goes on
    #[arg(long)]
    pub(super) no_wait: bool,

    /// Time to wait until it is done
    #[arg(long, default_value = "1h", value_parser = crate::api::parse_duration, value_name = "TIME")]
    pub(super) timeout: Duration,
}

/// A kind of request.
pub(super) trait Request:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
    /// The work that it asks for.
    const WORK: &'static str;

    /// Returns whether it has its answer.
    fn is_answered(&self) -> bool;

    /// Returns its state as a sentence.
    fn message(&self) -> Option<&str>;
}

/// Creates a request for an instance and prints its messages. Returns it with its answer; nothing
/// when it is not waited for.
pub(super) async fn request<K: Request>(
    cluster: &Cluster,
    instance: &str,
    mut wanted: K,
    wait: &WaitArgs,
) -> anyhow::Result<Option<K>> {
    let (work, kind) = (K::WORK, K::kind(&()));
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let failed = |error: kube::Error| cluster.failed_for(&format!("{work} of {instance}"), &kind, &error);
    wanted.meta_mut().name = None;
    wanted.meta_mut().generate_name = Some(format!("{instance}-"));
    let name = api.create(&PostParams::default(), &wanted).await.map_err(failed)?.name_any();
    let resource = kind.to_lowercase();
    println!("{instance:<20} {work} requested as {resource}/{name}");
    if wait.no_wait {
        return Ok(None);
    }
    let began = Instant::now();
    let mut shown = None;
    loop {
        let found = api.get(&name).await.map_err(failed)?;
        if found.is_answered() {
            return Ok(Some(found));
        }
        if let Some(message) = found.message().filter(|message| shown.as_deref() != Some(*message)) {
            println!("{instance:<20} {message}");
            shown = Some(message.to_owned());
        }
        if began.elapsed() > wait.timeout {
            anyhow::bail!(
                "the {work} of {instance} is not done after {} s and goes on; `kubectl get {resource} {name} -n {}` shows its state, `kubectl mai status {instance}` that of the instance",
                wait.timeout.as_secs(),
                cluster.namespace
            );
        }
        tokio::time::sleep(AGAIN).await;
    }
}
