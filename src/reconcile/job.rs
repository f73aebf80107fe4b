//! Derivation of a backup job from a document: its order, and the values of its secret files.
//!
//! A job gets the credentials of its destinations and, if its archive is encrypted, what a server
//! on another machine would need. A server gets neither.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mai_contract::job::{
    BACKUPS_VOLUME, BackupId, BackupOrder, Destination, Encryption, Order, Retention, S3, Store, Subject,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::api::{
    self, API_VERSION, DOCUMENT_FILE, DOCUMENT_PROBLEM, MaiInstance, PlatformKind, Pruning, Reason, S3Destination,
    SecretRef, ServerKind, Volume,
};
use crate::core::{Blocked, Claim, InstanceId, Job, JobRequest, Location, Platform, Storage};

/// Name of the secret file with the key that signs sessions.
const SESSION_KEY: &str = "session-key";
/// Name of the secret file with an identity that opens archives.
pub const IDENTITY: &str = "age-identity";
/// Annotation of kubectl that repeats the whole document.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A secret file of a job, and the value that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Its name.
    pub name: String,
    /// Where its value is declared.
    pub reference: SecretRef,
}

/// The secret files of a job, by what their absence means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFiles {
    /// Those without which it cannot be started.
    pub required: Vec<SecretFile>,
    /// Secrets of the server that its archive holds if they are there and it is encrypted.
    pub archived: Vec<SecretFile>,
}

/// Returns where backups of an instance are kept, each with the secret files that its order names.
/// The first is its backups volume.
pub fn destinations(instance: &MaiInstance) -> Vec<(Destination, Vec<SecretFile>)> {
    let backup = instance.spec.backup.as_ref();
    // Nobody declared how many are kept of an instance without scheduled backups.
    let retention = backup.map(|backup| retention(&backup.retention));
    let volume = Destination { name: BACKUPS_VOLUME.to_owned(), store: Store::Volume, retention };
    let mut all = vec![(volume, Vec::new())];
    for declared in backup.iter().flat_map(|backup| &backup.destinations) {
        let (store, files) = match (&declared.s3, &declared.local) {
            (Some(bucket), _) => s3(&declared.name, bucket),
            (None, Some(local)) => (Store::Directory(PathBuf::from(&local.path)), Vec::new()),
            // A rule of the document excludes it.
            (None, None) => continue,
        };
        let own = declared.retention.as_ref().map(self::retention).or(retention);
        let retention = own.filter(|_| declared.pruning == Pruning::Mai);
        all.push((Destination { name: declared.name.clone(), store, retention }, files));
    }
    all
}

/// Returns the secret files of a backup job.
pub fn secret_files(instance: &MaiInstance) -> SecretFiles {
    let mut required: Vec<SecretFile> = destinations(instance).into_iter().flat_map(|(_, files)| files).collect();
    let encryption = instance.spec.backup.as_ref().and_then(|backup| backup.encryption.as_ref());
    if let Some(reference) = encryption.and_then(|encryption| encryption.identity_secret_ref.clone()) {
        required.push(SecretFile { name: IDENTITY.to_owned(), reference });
    }
    SecretFiles { required, archived: server_secrets(instance) }
}

/// Returns the backup job that was requested. `secrets` holds values of [`secret_files`], all that
/// are required and those of the server that are there; `session_key` is the generated one.
pub fn derive(
    instance: &MaiInstance,
    id: &InstanceId,
    request: &JobRequest,
    secrets: &BTreeMap<SecretRef, SecretString>,
    session_key: &SecretString,
    platform: &Platform,
    helper_image: Option<&str>,
) -> Result<Job, Blocked> {
    let spec = &instance.spec;
    let blocked = |message: String| Blocked::new(Reason::BackupBlocked, message);
    let backup_id: BackupId = request.name.parse().map_err(|error| blocked(format!("{error}")))?;
    let files = secret_files(instance);
    let encryption = spec.backup.as_ref().and_then(|backup| backup.encryption.as_ref());

    let mut values = BTreeMap::new();
    for file in &files.required {
        let value = secrets.get(&file.reference);
        let value = value.ok_or_else(|| blocked(format!("the value of {} is not known", file.reference)))?;
        values.insert(file.name.clone(), value.clone());
    }
    let mut archived: Vec<String> = files.archived.iter().map(|file| file.name.clone()).collect();
    let mut archived_values: BTreeMap<String, SecretString> = files
        .archived
        .iter()
        .filter_map(|file| Some((file.name.clone(), secrets.get(&file.reference)?.clone())))
        .collect();
    if spec.server.secret_key_ref.is_none() {
        archived.push(SESSION_KEY.to_owned());
        archived_values.insert(SESSION_KEY.to_owned(), session_key.clone());
    }
    if encryption.is_some() {
        // A server may be blocked by the lack of one; its data is backed up all the same.
        archived.retain(|name| archived_values.contains_key(name));
        values.extend(archived_values);
    }

    let destinations: Vec<Destination> =
        self::destinations(instance).into_iter().map(|(destination, _)| destination).collect();
    let directories = destinations.iter().filter_map(|destination| match &destination.store {
        Store::Directory(path) => Some(path.clone()),
        Store::Volume | Store::S3(_) => None,
    });
    Ok(Job {
        name: request.name.clone(),
        image: image(instance, platform, helper_image)?,
        secrets: values,
        storage: storage(instance),
        directories: directories.collect(),
        order: Order::Backup(BackupOrder {
            id: backup_id,
            instance: Subject { namespace: id.namespace.clone(), name: id.name.clone(), uid: id.uid.clone() },
            reason: request.reason.clone(),
            image: (platform.kind != PlatformKind::Process).then(|| spec.image.clone()),
            document: document(instance),
            secrets: archived,
            encryption: encryption.map(|encryption| Encryption {
                recipients: encryption.recipients.clone(),
                identity: encryption.identity_secret_ref.as_ref().map(|_| IDENTITY.to_owned()),
            }),
            destinations,
            time_zone: spec.backup.as_ref().map_or("UTC", |backup| &backup.time_zone).to_owned(),
        }),
    })
}

/// Returns the volumes of an instance.
pub fn storage(instance: &MaiInstance) -> Storage {
    let storage = &instance.spec.storage;
    let location = |volume: &Volume, size: &str| Location {
        path: volume.host_path.as_ref().map(PathBuf::from),
        volume: volume.volume_name.clone(),
        claim: Claim {
            size: size.to_owned(),
            class: volume.storage_class_name.clone(),
            existing: volume.volume_name.clone(),
        },
    };
    Storage {
        data: location(&storage.data, storage.data_size()),
        backups: location(&storage.backups, storage.backups_size()),
    }
}

/// Returns the image with our program: that of the instance if it is ours, and where the platform
/// has images at all.
fn image(instance: &MaiInstance, platform: &Platform, helper_image: Option<&str>) -> Result<Option<String>, Blocked> {
    let own = (instance.spec.server.kind == ServerKind::Mai).then_some(instance.spec.image.as_str());
    match own.or(helper_image) {
        _ if platform.kind == PlatformKind::Process => Ok(None),
        Some(image) => Ok(Some(image.to_owned())),
        None => Err(Blocked::new(
            Reason::BackupBlocked,
            format!(
                "the image of server.kind {} holds no program that makes backups; start mai with --helper-image IMAGE, where IMAGE is that of a mai server",
                instance.spec.server.kind.as_ref()
            ),
        )),
    }
}

fn retention(declared: &api::Retention) -> Retention {
    let count = |declared: i32| u32::try_from(declared).unwrap_or(0);
    Retention {
        last: count(declared.keep_last),
        hourly: count(declared.keep_hourly),
        daily: count(declared.keep_daily),
        weekly: count(declared.keep_weekly),
        monthly: count(declared.keep_monthly),
        yearly: count(declared.keep_yearly),
    }
}

fn s3(destination: &str, bucket: &S3Destination) -> (Store, Vec<SecretFile>) {
    let mut files = Vec::new();
    let mut file = |suffix: &str, reference: &SecretRef| {
        let name = format!("dest-{destination}-{suffix}");
        files.push(SecretFile { name: name.clone(), reference: reference.clone() });
        name
    };
    let store = Store::S3(S3 {
        bucket: bucket.bucket.clone(),
        endpoint: bucket.endpoint.clone(),
        region: bucket.region.clone(),
        prefix: bucket.prefix.as_deref().unwrap_or_default().trim_matches('/').to_owned(),
        path_style: bucket.path_style.unwrap_or(bucket.endpoint.is_some()),
        access_key_id: file("access-key-id", &bucket.access_key_id_ref),
        secret_access_key: file("secret-access-key", &bucket.secret_access_key_ref),
        ca: bucket.ca_secret_ref.as_ref().map(|reference| file("ca", reference)),
    });
    (store, files)
}

/// Returns the secrets of the server that the document names.
fn server_secrets(instance: &MaiInstance) -> Vec<SecretFile> {
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
    let internal = [LAST_APPLIED, DOCUMENT_FILE, DOCUMENT_PROBLEM];
    let annotations: BTreeMap<_, _> =
        metadata.annotations.iter().flatten().filter(|(name, _)| !internal.contains(&name.as_str())).collect();
    if !annotations.is_empty() {
        kept["annotations"] = json!(annotations);
    }
    json!({"apiVersion": API_VERSION, "kind": "MaiInstance", "metadata": kept, "spec": instance.spec})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::JobWork;
    use secrecy::ExposeSecret;

    fn instance(spec: Value) -> MaiInstance {
        let document = json!({
            "apiVersion": API_VERSION, "kind": "MaiInstance", "spec": spec,
            "metadata": {
                "name": "abc", "namespace": "clients", "uid": "1", "managedFields": [],
                "annotations": {LAST_APPLIED: "{}", DOCUMENT_FILE: "a.yaml", "team": "a"},
            },
        });
        serde_json::from_value(crate::api::check(&document, None, None).unwrap()).unwrap()
    }

    fn derived(
        spec: Value,
        secrets: &[&str],
        platform: &Platform,
        helper_image: Option<&str>,
    ) -> Result<(Job, BackupOrder), Blocked> {
        let id = InstanceId { namespace: "clients".to_owned(), name: "abc".to_owned(), uid: "1".to_owned() };
        let request =
            JobRequest { name: "20261130-020000-1f2e3d".to_owned(), reason: "asked".to_owned(), work: JobWork::Backup };
        let secrets = secrets
            .iter()
            .map(|name| {
                let reference = SecretRef { name: (*name).to_owned(), key: Some("key".to_owned()) };
                (reference, SecretString::from(format!("value of {name}")))
            })
            .collect();
        let key = SecretString::from("generated");
        let job = derive(&instance(spec), &id, &request, &secrets, &key, platform, helper_image)?;
        let Order::Backup(order) = job.order.clone() else { unreachable!() };
        Ok((job, order))
    }

    fn bucket() -> Value {
        let reference = |name: &str| json!({"name": name, "key": "key"});
        json!({
            "bucket": "b", "endpoint": "https://s3.example.com", "prefix": "/mai/",
            "accessKeyIdRef": reference("id"), "secretAccessKeyRef": reference("secret"), "caSecretRef": reference("ca"),
        })
    }

    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn document_becomes_an_order_with_its_secret_files() {
        let spec = json!({
            "displayName": "A", "image": "mai:1",
            "openRouter": {"apiKeySecretRef": {"name": "upstream", "key": "key"}},
            "server": {"env": [
                {"name": "A_B", "secretRef": {"name": "one", "key": "key"}},
                {"name": "a_b", "secretRef": {"name": "two", "key": "key"}},
            ]},
            "backup": {
                "timeZone": "Europe/Warsaw",
                "encryption": {"recipients": [RECIPIENT], "identitySecretRef": {"name": "identity", "key": "key"}},
                "destinations": [
                    {"name": "off-site", "s3": bucket(), "pruning": "Store"},
                    {"name": "nas", "local": {"path": "/nas"}, "retention": {"keepLast": 9}},
                ],
            },
        });
        let secrets = ["id", "secret", "ca", "identity", "upstream", "one"];
        let (job, order) = derived(spec, &secrets, &Platform::DOCKER, Some("helper:1")).unwrap();
        let values: Vec<(&str, &str)> =
            job.secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(
            values,
            [
                ("age-identity", "value of identity"),
                ("dest-off-site-access-key-id", "value of id"),
                ("dest-off-site-ca", "value of ca"),
                ("dest-off-site-secret-access-key", "value of secret"),
                ("env-a-b", "value of one"),
                ("openrouter-api-key", "value of upstream"),
                ("session-key", "generated"),
            ]
        );
        assert_eq!(order.secrets, ["openrouter-api-key", "env-a-b", "session-key"], "those that are there");
        assert_eq!((job.name.as_str(), job.image.as_deref()), ("20261130-020000-1f2e3d", Some("mai:1")));
        assert_eq!(job.directories, [PathBuf::from("/nas")]);
        assert_eq!((order.time_zone.as_str(), order.image.as_deref()), ("Europe/Warsaw", Some("mai:1")));
        let kept: Vec<_> =
            order.destinations.iter().map(|one| (one.name.as_str(), one.retention.map(|r| r.last))).collect();
        assert_eq!(kept, [("backups", Some(3)), ("off-site", None), ("nas", Some(9))]);
        let Store::S3(s3) = &order.destinations[1].store else { unreachable!() };
        assert_eq!((s3.prefix.as_str(), s3.path_style), ("mai", true));
        assert_eq!(order.document["metadata"]["annotations"], json!({"team": "a"}));
        assert_eq!(order.document["metadata"].get("managedFields"), None);
        let text = serde_json::to_string(&job.order).unwrap();
        assert!(!text.contains("value of") && !text.contains("generated"), "{text}");
    }

    #[test]
    fn unencrypted_archive_gets_no_secret_of_the_server() {
        let spec = json!({"displayName": "A", "openRouter": {"apiKeySecretRef": {"name": "upstream", "key": "key"}}});
        let (job, order) = derived(spec, &["upstream"], &Platform::PROCESS, None).unwrap();
        assert!(job.secrets.is_empty(), "{:?}", job.secrets);
        assert_eq!(order.secrets, ["openrouter-api-key", "session-key"], "they are named as missing");
        assert_eq!(order.destinations[0].retention, None, "nobody declared how many are kept");
        assert_eq!((job.image, order.image), (None, None));
    }

    #[test]
    fn missing_credential_or_image_blocks_the_job() {
        let spec = || json!({"displayName": "A", "backup": {"destinations": [{"name": "s3", "s3": bucket()}]}});
        let blocked = derived(spec(), &["id", "ca"], &Platform::DOCKER, None).unwrap_err();
        assert_eq!(
            (blocked.reason, blocked.message.as_str()),
            (Reason::BackupBlocked, "the value of secret/key is not known")
        );
        let other = json!({"displayName": "A", "image": "open-webui:1", "server": {"kind": "OpenWebUI"}});
        let blocked = derived(other.clone(), &[], &Platform::DOCKER, None).unwrap_err();
        assert!(blocked.message.contains("--helper-image IMAGE"), "{}", blocked.message);
        let (job, order) = derived(other, &[], &Platform::DOCKER, Some("mai:2")).unwrap();
        assert_eq!((job.image.as_deref(), order.image.as_deref()), (Some("mai:2"), Some("open-webui:1")));
    }
}
