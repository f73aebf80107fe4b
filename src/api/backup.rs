//! `spec.backup`: scheduled backups.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Scheduled backups. Each is read back, unpacked and checked before it counts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When, as a cron line of five fields: minute, hour, day of month, month, day of week. With
    /// @hourly-random, @daily-random, @weekly-random and @monthly-random each instance has a moment
    /// of its own, which never changes; except for the first it is between 0:00 and 6:00.
    #[serde(default = "default_schedule")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^(@(hourly|daily|weekly|monthly)(-random)?|@yearly|[-0-9*/,]+ +[-0-9*/,]+ +[-0-9*/,LW?]+ +[-0-9A-Za-z*/,]+ +[-0-9A-Za-z*/,L#?]+)$')").message("backup.schedule must be a cron line of five fields such as \"0 2 * * *\", or @hourly, @daily, @weekly, @monthly, @yearly, or one of the first four with -random"))]
    #[schemars(length(max = 128))]
    pub schedule: String,

    /// IANA time zone of the schedule and of retention's days.
    #[serde(default = "default_time_zone")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[A-Za-z]+([_+-][A-Za-z0-9]+)*(/[A-Za-z0-9_+-]+)*$')").message("backup.timeZone must be an IANA name such as Europe/Warsaw"))]
    #[schemars(length(max = 64))]
    pub time_zone: String,

    /// Which backups are kept, in the backups volume and in each destination without a retention of
    /// its own.
    #[serde(default)]
    pub retention: Retention,

    /// Destinations of copies, in addition to the instance's backups volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 8))]
    pub destinations: Vec<Destination>,

    /// Encryption of the archives. Only encrypted archives hold the secrets of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// Interval of drills, each of which brings a random verified backup back into a throw-away
    /// instance and checks it. An encrypted one needs an identity.
    #[serde(default)]
    pub drill: Drill,
}

/// Which backups are kept: the newest of each of the last N periods. The newest verified one is
/// always kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("[self.keepLast, self.keepHourly, self.keepDaily, self.keepWeekly, self.keepMonthly, self.keepYearly].all(n, n >= 0 && n <= 1000) && self.keepLast + self.keepHourly + self.keepDaily + self.keepWeekly + self.keepMonthly + self.keepYearly > 0")
        .message("backup.retention counts must be 0 to 1000 and keep at least one backup")
)]
pub struct Retention {
    /// Newest backups kept.
    #[serde(default = "default_keep_last")]
    pub keep_last: i32,
    /// Hours for which one is kept.
    #[serde(default)]
    pub keep_hourly: i32,
    /// Days for which one is kept.
    #[serde(default = "default_keep_daily")]
    pub keep_daily: i32,
    /// Weeks for which one is kept.
    #[serde(default = "default_keep_weekly")]
    pub keep_weekly: i32,
    /// Months for which one is kept.
    #[serde(default = "default_keep_monthly")]
    pub keep_monthly: i32,
    /// Years for which one is kept.
    #[serde(default)]
    pub keep_yearly: i32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_last: default_keep_last(),
            keep_hourly: 0,
            keep_daily: default_keep_daily(),
            keep_weekly: default_keep_weekly(),
            keep_monthly: default_keep_monthly(),
            keep_yearly: 0,
        }
    }
}

/// Where copies of the archives go: exactly one of s3 and local.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("has(self.s3) != has(self.local)").message("a backup destination needs exactly one of s3 and local")
)]
pub struct Destination {
    /// Name in status and metrics.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self != 'backups'").message("a destination's name must be lower-case letters, digits and dashes, and not backups, which is the backups volume"))]
    #[schemars(length(max = 40))]
    pub name: String,

    /// An S3 bucket, at any provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Destination>,

    /// A directory of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalDestination>,

    /// Which backups are kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// Who removes old backups.
    #[serde(default)]
    pub pruning: Pruning,
}

/// Who removes the backups that retention no longer keeps.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pruning {
    /// mai, after each verified backup.
    #[default]
    Mai,
    /// The store, by its own lifecycle rules. mai needs no permission to delete.
    Store,
}

/// An S3 bucket.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct S3Destination {
    /// Bucket.
    #[schemars(length(max = 63))]
    pub bucket: String,
    /// Endpoint URL; absent means AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^https?://[^ ]+$')").message("s3.endpoint must be an http or https URL"))]
    #[schemars(length(max = 2048))]
    pub endpoint: Option<String>,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub region: Option<String>,
    /// Prefix of every object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub prefix: Option<String>,
    /// The bucket is in the path and not in the host name: true where an endpoint is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Access key id.
    pub access_key_id_ref: SecretRef,
    /// Secret access key.
    pub secret_access_key_ref: SecretRef,
    /// Certificates (PEM) of the authority that signed the endpoint's, where no public one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
}

/// A directory of the host.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LocalDestination {
    /// Absolute path.
    #[x_kube(validation = kube::core::Rule::new("self.startsWith('/') && self != '/' && !self.matches('(^|/)[.][.](/|$)')").message("local.path must be an absolute path without .. and not the root"))]
    #[schemars(length(max = 1024))]
    pub path: String,
}

/// Encryption of the archives with age.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// age public keys; any one of their identities opens an archive. Keep one offline.
    #[x_kube(validation = kube::core::Rule::new("self.size() >= 1 && self.all(r, r.matches('^age1[ac-hj-np-z02-9]{58}$'))").message("backup.encryption.recipients must hold age public keys (age1 and 58 letters and digits)"))]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub recipients: Vec<String>,

    /// An identity with which stored archives are read back. Without it they are checked up to the
    /// encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_secret_ref: Option<SecretRef>,
}

/// Interval of drills. Each instance has a moment of its own between 0:00 and 6:00.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drill {
    /// Never, but on demand.
    Never,
    /// Every day.
    Daily,
    /// Every week.
    #[default]
    Weekly,
    /// Every month.
    Monthly,
}

fn default_schedule() -> String {
    "0 2 * * *".to_owned()
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}

fn default_keep_last() -> i32 {
    3
}

fn default_keep_daily() -> i32 {
    7
}

fn default_keep_weekly() -> i32 {
    4
}

fn default_keep_monthly() -> i32 {
    6
}
