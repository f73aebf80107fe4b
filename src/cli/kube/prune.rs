//! `kubectl mai prune`: lists the claims that were made for instances which are gone, and removes them
//! on confirmation.

use std::collections::BTreeSet;
use std::process::ExitCode;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::Cluster;
use crate::cli::shared::confirmation::is_confirmed;
use crate::cli::shared::table;
use crate::cluster::names::{INSTANCE, SELECTOR, backups_claim, data_claim, session_secret};
use crate::core::InstanceId;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what was made for this instance
    name: Option<String>,

    /// Remove the claims of backups, too, and with them the session key
    #[arg(long)]
    with_backups: bool,

    /// Only list them
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for the name of each instance to be typed; counts only where standard input is no
    /// terminal
    #[arg(long)]
    yes: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A claim without an instance.
#[derive(Clone, Debug)]
struct Retired {
    instance: InstanceId,
    claim: PersistentVolumeClaim,
    is_backups: bool,
    /// A pod that has it mounted.
    used_by: Option<String>,
    is_kept: bool,
    is_removed: bool,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let mut found = find(cluster).await?;
    found.retain(|one| args.name.as_ref().is_none_or(|name| one.instance.name == *name));
    for one in &mut found {
        one.is_kept = one.used_by.is_some() || (one.is_backups && !args.with_backups);
    }
    if !args.json {
        print!("{}", shown(&found, args.name.as_deref(), &cluster.namespace));
    }
    let removed = if args.dry_run { Ok(()) } else { remove(cluster, args, &mut found).await };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&to_json(&found))?);
    } else {
        let removed = found.iter().filter(|one| one.is_removed);
        removed.for_each(|one| println!("removed persistentvolumeclaim/{}", one.claim.name_any()));
    }
    removed.map(|()| ExitCode::SUCCESS)
}

async fn find(cluster: &Cluster) -> anyhow::Result<Vec<Retired>> {
    let failed = |error: kube::Error| cluster.failed("list claims without an instance", &error);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    // Claims first: an instance that is made afterwards is seen.
    let claims = claims.list(&ListParams::default().labels(SELECTOR)).await.map_err(failed)?;
    let pods = pods.list(&ListParams::default()).await.map_err(failed)?;
    let instances = cluster.instances(false).list(&ListParams::default()).await.map_err(failed)?;
    Ok(retired(claims.items, &instances.items, &pods.items))
}

/// Returns the claims of which no instance is left, by instance.
fn retired(claims: Vec<PersistentVolumeClaim>, instances: &[DynamicObject], pods: &[Pod]) -> Vec<Retired> {
    let named: BTreeSet<String> = instances.iter().flat_map(declared_claims).collect();
    let mut found: Vec<Retired> = claims
        .into_iter()
        .filter_map(|claim| {
            let name = claim.labels().get(INSTANCE)?.clone();
            let exists = instances.iter().any(|instance| instance.name_any() == name);
            let id = InstanceId { namespace: claim.namespace()?, name, uid: String::new() };
            let is_backups = claim.name_any() == backups_claim(&id);
            let is_made = is_backups || claim.name_any() == data_claim(&id);
            (is_made && !exists && !named.contains(&claim.name_any())).then(|| Retired {
                instance: id,
                used_by: pods.iter().find(|pod| mounts(pod, &claim.name_any())).map(ResourceExt::name_any),
                claim,
                is_backups,
                is_kept: false,
                is_removed: false,
            })
        })
        .collect();
    found.sort_by(|a, b| (&a.instance, a.is_backups).cmp(&(&b.instance, b.is_backups)));
    found
}

/// Returns the claims that an instance names.
fn declared_claims(instance: &DynamicObject) -> Vec<String> {
    let storage = &instance.data["spec"]["storage"];
    let volumes = [&storage["data"], &storage["backups"]].into_iter();
    volumes.filter_map(|volume| volume["volumeName"].as_str().map(str::to_owned)).collect()
}

fn mounts(pod: &Pod, claim: &str) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let is_over = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(is_over, Some("Succeeded" | "Failed"))
        && volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()).any(|used| used.claim_name == claim)
}

/// Removes what is confirmed, instance by instance.
async fn remove(cluster: &Cluster, args: &Args, found: &mut [Retired]) -> anyhow::Result<()> {
    let owners: BTreeSet<InstanceId> =
        found.iter().filter(|one| !one.is_kept).map(|one| one.instance.clone()).collect();
    for owner in owners {
        let claims: Vec<String> =
            found.iter().filter(|one| !one.is_kept && one.instance == owner).map(|one| one.claim.name_any()).collect();
        let claims = claims.join(", ");
        let question = format!("This removes {claims} and what is in them for good.");
        if !is_confirmed(&owner.name, &question, &format!("remove {claims}"), args.yes)? {
            eprintln!("that is not {}; what was made for it is kept", owner.name);
            continue;
        }
        let exists = cluster.instances(false).get_opt(&owner.name).await;
        if exists.map_err(|error| cluster.failed(&format!("get {}", owner.name), &error))?.is_some() {
            anyhow::bail!("there is an instance {} again, so nothing of it was removed", owner.name);
        }
        let mut all_gone = true;
        for one in found.iter_mut().filter(|one| one.instance == owner) {
            if !one.is_kept {
                delete::<PersistentVolumeClaim>(cluster, &one.claim.metadata).await?;
                one.is_removed = true;
            }
            all_gone &= one.is_removed;
        }
        if args.with_backups && all_gone {
            remove_session_key(cluster, &owner).await?;
        }
    }
    Ok(())
}

/// Removes the session key, without which nothing could be read that is gone now.
async fn remove_session_key(cluster: &Cluster, owner: &InstanceId) -> anyhow::Result<()> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &owner.namespace);
    let name = session_secret(owner);
    let failed = |error: kube::Error| cluster.failed(&format!("remove Secret {name}"), &error);
    match api.get_metadata_opt(&name).await.map_err(failed)? {
        Some(secret) if secret.labels().get(INSTANCE) == Some(&owner.name) => {
            delete::<Secret>(cluster, &secret.metadata).await
        }
        _ => Ok(()),
    }
}

/// Deletes this very object, and not another one of its name.
async fn delete<K>(cluster: &Cluster, object: &ObjectMeta) -> anyhow::Result<()>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let name = object.name.clone().unwrap_or_default();
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let same = Preconditions { uid: object.uid.clone(), resource_version: None };
    let deleted = api.delete(&name, &DeleteParams::background().preconditions(same)).await;
    deleted.map(drop).map_err(|error| cluster.failed(&format!("remove {} {name}", K::kind(&())), &error))
}

fn size(claim: &PersistentVolumeClaim) -> Option<&str> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|size| size.0.as_str())
}

/// Returns a table of all, or of those made for the instance `name`.
fn shown(found: &[Retired], name: Option<&str>, namespace: &str) -> String {
    if found.is_empty() {
        let of = name.map(|name| format!(" of {name}")).unwrap_or_default();
        return format!("there is no claim{of} without an instance in namespace {namespace}\n");
    }
    let mut table = table::table(["INSTANCE", "WHAT", "SIZE", "CREATED", "CLAIM"]);
    for one in found {
        let what = if one.is_backups { "backups" } else { "data" };
        let kept = match &one.used_by {
            Some(pod) => format!(", used by pod {pod}"),
            None if one.is_kept => ", kept".to_owned(),
            None => String::new(),
        };
        let created = one.claim.creation_timestamp().map(|time| time.0.strftime("%Y-%m-%d").to_string());
        table.add_row([
            one.instance.name.clone(),
            format!("{what}{kept}"),
            size(&one.claim).unwrap_or_default().to_owned(),
            created.unwrap_or_default(),
            one.claim.name_any(),
        ]);
    }
    table::text(&table)
}

fn to_json(found: &[Retired]) -> Value {
    let items = found.iter().map(|one| {
        json!({
            "namespace": one.instance.namespace,
            "name": one.instance.name,
            "kind": if one.is_backups { "backups" } else { "data" },
            "claim": one.claim.name_any(),
            "size": size(&one.claim),
            "createdAt": one.claim.creation_timestamp().map(|time| time.0),
            "usedBy": one.used_by,
            "kept": one.is_kept,
            "removed": one.is_removed,
        })
    });
    json!({"items": items.collect::<Vec<_>>()})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn claim(instance: &str, name: &str) -> PersistentVolumeClaim {
        let metadata = json!({"name": name, "namespace": "a", "labels": {INSTANCE: instance}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn only_claims_that_no_instance_uses_are_retired() {
        let instances: Vec<DynamicObject> = serde_json::from_value(json!([
            {"metadata": {"name": "live"}, "spec": {"storage": {"data": {"volumeName": "mai-moved-data"}}}},
            {"metadata": {"name": "broken", "deletionTimestamp": "2026-11-30T02:00:00Z"}, "spec": 1},
        ]))
        .unwrap();
        let pod = |phase: &str| {
            let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "mai-gone-backups"}});
            let spec = json!({"containers": [], "volumes": [volume]});
            serde_json::from_value(json!({"metadata": {"name": phase}, "spec": spec, "status": {"phase": phase}}))
        };
        let pods: [Pod; 2] = [pod("Succeeded").unwrap(), pod("Running").unwrap()];
        let claims = [
            ("gone", "mai-gone-data"),
            ("gone", "mai-gone-backups"),
            ("gone", "archive"),
            ("live", "mai-live-data"),
            ("broken", "mai-broken-data"),
            ("moved", "mai-moved-data"),
        ];
        let found = retired(claims.map(|(instance, name)| claim(instance, name)).into(), &instances, &pods);
        let shown: Vec<_> = found.iter().map(|one| (one.claim.name_any(), one.used_by.as_deref())).collect();
        assert_eq!(shown, [("mai-gone-data".to_owned(), None), ("mai-gone-backups".to_owned(), Some("Running"))]);
    }
}
