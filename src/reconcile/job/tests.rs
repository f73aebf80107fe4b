//! Jobs as documents declare them.
#![allow(clippy::unwrap_used)]

use mai_contract::job::{BackupOrder, Choice, SwapStep};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::api::{API_VERSION, DOCUMENT_FILE, RestoreSource};
use crate::core::DrillChoice;

/// Annotation of kubectl that repeats the whole document.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

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
    let job = derived_for(JobWork::Backup, spec, secrets, platform, helper_image)?;
    let Order::Backup(order) = job.order.clone() else { unreachable!() };
    Ok((job, order))
}

fn derived_for(
    work: JobWork,
    spec: Value,
    secrets: &[&str],
    platform: &Platform,
    helper_image: Option<&str>,
) -> Result<Job, Blocked> {
    let id = InstanceId { namespace: "clients".to_owned(), name: "abc".to_owned(), uid: "1".to_owned() };
    let request = JobRequest { name: "20261130-020000-1f2e3d".to_owned(), reason: "asked".to_owned(), work };
    let secrets = secrets
        .iter()
        .map(|name| {
            let reference = SecretRef { name: (*name).to_owned(), key: Some("key".to_owned()) };
            (reference, SecretString::from(format!("value of {name}")))
        })
        .collect();
    let instance = instance(spec);
    let given = Given {
        instance: &instance,
        id: &id,
        image: &instance.spec.image,
        secrets: &secrets,
        session_key: &Ok(SecretString::from("generated")),
        platform: *platform,
        helper_image,
    };
    derive(&given, &request)
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

#[test]
fn job_beside_a_new_image_goes_by_the_helper_image() {
    let own = || json!({"displayName": "A", "image": "mai:3"});
    for (work, helper, image) in [
        (JobWork::Backup, Some("mai:2"), "mai:3"),
        (JobWork::SafetyBackup, Some("mai:2"), "mai:2"),
        (JobWork::SafetyBackup, None, "mai:3"),
    ] {
        let job = derived_for(work.clone(), own(), &[], &Platform::DOCKER, helper).unwrap();
        assert_eq!(job.image.as_deref(), Some(image), "{work:?}");
    }
}

/// A document whose backups are encrypted and go to a bucket and a directory.
fn elsewhere() -> Value {
    json!({
        "displayName": "A", "image": "mai:1", "openRouter": {"apiKeySecretRef": {"name": "upstream", "key": "key"}},
        "backup": {
            "encryption": {"recipients": [RECIPIENT], "identitySecretRef": {"name": "identity", "key": "key"}},
            "destinations": [{"name": "off-site", "s3": bucket()}, {"name": "nas", "local": {"path": "/nas"}}],
        },
    })
}

#[test]
fn safety_backup_is_plain_and_in_the_backups_volume() {
    let job = derived_for(JobWork::SafetyBackup, elsewhere(), &[], &Platform::DOCKER, None).unwrap();
    assert!(job.secrets.is_empty() && job.directories.is_empty());
    let Order::Backup(order) = job.order else { unreachable!() };
    assert_eq!((order.reason.as_str(), order.encryption, order.secrets.len()), ("asked", None, 0));
    let places: Vec<_> = order.destinations.iter().map(|one| (one.name.as_str(), one.retention)).collect();
    assert_eq!(places, [("backups", None)], "nothing older is removed");
}

#[test]
fn restore_gets_what_its_source_needs_and_nothing_else() {
    let restore: BackupId = "20261129-010000-00000a".parse().unwrap();
    let reference = |name: &str| Some(SecretRef { name: name.to_owned(), key: Some("key".to_owned()) });
    let from = |destination: &str| RestoreSource { destination: destination.to_owned(), ..RestoreSource::default() };
    let time: jiff::Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
    let backup = "20261101-000000-000001";
    for (source, name, choice, secrets) in [
        (from("backups"), "abc", Choice::Latest, vec!["age-identity"]),
        (
            RestoreSource { instance: Some("xyz".into()), backup: Some(backup.into()), ..from("off-site") },
            "xyz",
            Choice::Id(backup.parse().unwrap()),
            vec!["age-identity", "dest-off-site-access-key-id", "dest-off-site-ca", "dest-off-site-secret-access-key"],
        ),
        (RestoreSource { time: Some(time), ..from("nas") }, "abc", Choice::At(time), vec!["age-identity"]),
        (
            RestoreSource { file: Some("old.tar".into()), identity_secret_ref: reference("offline"), ..from("nas") },
            "abc",
            Choice::File("old.tar".into()),
            vec!["age-identity"],
        ),
    ] {
        let own_identity = source.identity_secret_ref.is_some();
        let in_directory = source.destination == "nas";
        let work = JobWork::Restore { restore: restore.clone(), source: Box::new(source.clone()), keeps_data: false };
        let all = ["id", "secret", "ca", "identity", "offline", "upstream"];
        let job = derived_for(work, elsewhere(), &all, &Platform::DOCKER, None).unwrap();
        assert_eq!(job.secrets.keys().collect::<Vec<_>>(), secrets);
        let identity = if own_identity { "value of offline" } else { "value of identity" };
        assert_eq!(job.secrets["age-identity"].expose_secret(), identity);
        assert_eq!(job.directories.len(), usize::from(in_directory));
        assert_eq!(job.name, "20261130-020000-1f2e3d");
        let Order::Restore(order) = job.order else { unreachable!() };
        let expected = (source.destination.as_str(), "clients", name, choice);
        let made = order.source;
        assert_eq!(
            (made.destination.name.as_str(), made.namespace.as_str(), made.name.as_str(), made.choice),
            expected
        );
        assert_eq!((order.id, made.identity.as_deref()), (restore.clone(), Some("age-identity")));
    }
}

#[test]
fn restore_from_a_place_that_cannot_have_it_is_blocked() {
    let unknown = RestoreSource { destination: "tape".to_owned(), ..RestoreSource::default() };
    let another = RestoreSource { instance: Some("xyz".to_owned()), ..RestoreSource::default() };
    for (source, remedy) in [(unknown, "name one of backups, off-site, nas"), (another, "that has its backups")] {
        let work = JobWork::Restore {
            restore: "20261129-010000-00000a".parse().unwrap(),
            source: Box::new(source),
            keeps_data: false,
        };
        let blocked = derived_for(work, elsewhere(), &["identity"], &Platform::DOCKER, None).unwrap_err();
        assert_eq!(blocked.reason, Reason::RestoreFailed);
        assert!(blocked.message.contains(remedy), "{}", blocked.message);
    }
    let own = RestoreSource { instance: Some("abc".to_owned()), ..RestoreSource::default() };
    let work = JobWork::Restore {
        restore: "20261129-010000-00000a".parse().unwrap(),
        source: Box::new(own),
        keeps_data: false,
    };
    assert!(derived_for(work, elsewhere(), &["identity"], &Platform::DOCKER, None).is_ok());
}

#[test]
fn swap_needs_no_secret_and_a_drill_those_of_its_source() {
    let restore: BackupId = "20261129-010000-00000a".parse().unwrap();
    let swap = JobWork::Swap { restore: restore.clone(), step: SwapStep::Back };
    let job = derived_for(swap, elsewhere(), &[], &Platform::DOCKER, None).unwrap();
    let id = job.name.parse().unwrap();
    assert_eq!((job.order, job.secrets.len()), (Order::Swap(SwapOrder { id, restore, step: SwapStep::Back }), 0));

    let choice = DrillChoice { destination: "backups".to_owned(), number: 7 };
    let job = derived_for(JobWork::Drill(Some(choice)), elsewhere(), &["identity"], &Platform::DOCKER, None).unwrap();
    let Order::Drill(order) = job.order else { unreachable!() };
    assert!(order.starts_server && order.source.choice == Choice::Random(7));
    assert_eq!(job.secrets.keys().collect::<Vec<_>>(), ["age-identity"]);
}
