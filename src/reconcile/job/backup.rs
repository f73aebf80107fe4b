//! Order of a backup.

use std::collections::{BTreeMap, BTreeSet};

use mai_contract::job::{BackupId, BackupOrder, Destination, Encryption, Order};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Given, IDENTITY, SESSION_KEY, SecretFile, SecretFiles, destinations, identity_file};
use crate::api::{API_VERSION, DOCUMENT_MARKS, MaiInstance, PlatformKind, Reason};
use crate::core::{Blocked, JobRequest};

/// Annotation of kubectl that repeats the whole document.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Returns the secret files of a backup as declared.
pub(super) fn secret_files(instance: &MaiInstance) -> SecretFiles {
    let required = destinations(instance).into_iter().flat_map(|(_, files)| files).chain(identity_file(instance));
    SecretFiles { required: required.collect(), archived: server_secrets(instance) }
}

/// Returns the order of a backup as declared. `values` gets the secrets that go into its archive.
pub(super) fn order(
    given: &Given<'_>,
    request: &JobRequest,
    backup: BackupId,
    values: &mut BTreeMap<String, SecretString>,
) -> Result<Order, Blocked> {
    let spec = &given.instance.spec;
    let encryption = spec.backup.as_ref().and_then(|backup| backup.encryption.as_ref());
    let files = server_secrets(given.instance);
    let mut archived: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let mut archived_values: BTreeMap<String, SecretString> = files
        .iter()
        .filter_map(|file| Some((file.name.clone(), given.secrets.get(&file.reference)?.clone())))
        .collect();
    if spec.server.secret_key_ref.is_none() {
        let key = given.session_key.as_ref();
        let key = key.map_err(|problem| Blocked::new(Reason::BackupBlocked, problem.clone()))?;
        archived.push(SESSION_KEY.to_owned());
        archived_values.insert(SESSION_KEY.to_owned(), key.clone());
    }
    if encryption.is_some() {
        // A server may be blocked by the lack of one; its data is backed up all the same.
        archived.retain(|name| archived_values.contains_key(name));
        values.extend(archived_values);
    }
    Ok(Order::Backup(BackupOrder {
        secrets: archived,
        encryption: encryption.map(|encryption| Encryption {
            recipients: encryption.recipients.clone(),
            identity: encryption.identity_secret_ref.as_ref().map(|_| IDENTITY.to_owned()),
        }),
        destinations: destinations(given.instance).into_iter().map(|(destination, _)| destination).collect(),
        ..plain(given, request, backup)
    }))
}

/// Returns the order of a backup before something that may destroy data.
pub(super) fn safety_order(given: &Given<'_>, request: &JobRequest, backup: BackupId) -> Order {
    Order::Backup(BackupOrder {
        destinations: vec![Destination::backups_volume(None)],
        ..plain(given, request, backup)
    })
}

/// Returns the order of a backup that is stored nowhere, not encrypted and without secrets.
fn plain(given: &Given<'_>, request: &JobRequest, backup: BackupId) -> BackupOrder {
    let spec = &given.instance.spec;
    BackupOrder {
        id: backup,
        instance: given.id.into(),
        reason: request.reason.clone(),
        image: (given.platform.kind != PlatformKind::Process).then(|| given.image.to_owned()),
        document: document(given.instance),
        secrets: Vec::new(),
        encryption: None,
        destinations: Vec::new(),
        time_zone: spec.backup.as_ref().map_or("UTC", |backup| &backup.time_zone).to_owned(),
    }
}

/// Returns the secrets of the server that the document names.
pub fn server_secrets(instance: &MaiInstance) -> Vec<SecretFile> {
    let spec = &instance.spec;
    let key = spec.server.secret_key_ref.as_ref().map(|reference| (SESSION_KEY.to_owned(), reference));
    let admin = spec.access.admin.as_ref().map(|admin| ("admin-password".to_owned(), &admin.password_secret_ref));
    let upstream = spec.open_router.as_ref().and_then(|upstream| upstream.api_key_secret_ref.as_ref());
    let upstream = upstream.map(|reference| ("openrouter-api-key".to_owned(), reference));
    let variables = spec.server.env.iter().filter_map(|variable| {
        let name = variable.name.to_ascii_lowercase().replace('_', "-");
        Some((format!("env-{name}"), variable.secret_ref.as_ref()?))
    });
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    for (name, reference) in key.into_iter().chain(admin).chain(upstream).chain(variables) {
        // Two variables may differ in their case alone.
        let mut unique = name.clone();
        let mut number = 2;
        while !names.insert(unique.clone()) {
            unique = format!("{name}-{number}");
            number += 1;
        }
        files.push(SecretFile { name: unique, reference: reference.clone() });
    }
    files
}

/// Returns the document as its author declared it, with its defaults and its uid.
fn document(instance: &MaiInstance) -> Value {
    let metadata = &instance.metadata;
    let mut kept = json!({"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid});
    if let Some(labels) = &metadata.labels {
        kept["labels"] = json!(labels);
    }
    let is_internal = |name: &str| name == LAST_APPLIED || DOCUMENT_MARKS.contains(&name);
    let annotations: BTreeMap<_, _> =
        metadata.annotations.iter().flatten().filter(|(name, _)| !is_internal(name)).collect();
    if !annotations.is_empty() {
        kept["annotations"] = json!(annotations);
    }
    json!({"apiVersion": API_VERSION, "kind": "MaiInstance", "metadata": kept, "spec": instance.spec})
}
