//! Places that keep the backups of an instance, as its document declares them.

use std::path::PathBuf;

use mai_contract::job::{Destination, Retention, S3, Store};

use super::SecretFile;
use crate::api::{self, MaiInstance, Pruning, S3Destination, SecretRef};

/// Returns where backups of an instance are kept, each with the secret files that its order names.
/// The first is its backups volume.
pub fn destinations(instance: &MaiInstance) -> Vec<(Destination, Vec<SecretFile>)> {
    let backup = instance.spec.backup.as_ref();
    // Nobody declared how many are kept of an instance without scheduled backups.
    let retention = backup.map(|backup| retention(&backup.retention));
    let volume = Destination::backups_volume(retention);
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
