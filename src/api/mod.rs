//! The `MaiInstance` document: types, defaults, rules and conditions. No I/O, no clients.
//!
//! The same types are a Kubernetes custom resource and a file in a directory. The meaning of a
//! field stands once, in its doc comment, which becomes the CRD's description and so `kubectl
//! explain`. The values it accepts stand once, as a CEL rule next to it: the API server and `mai
//! validate` evaluate the same rule and answer with the same words.

mod access;
mod backup;
mod backup_request;
mod backup_status;
mod condition;
mod condition_schema;
mod drill_status;
mod duration;
mod expose;
mod field;
mod health;
mod instance;
mod key_status;
mod maintenance_window;
mod privacy;
mod quantity;
mod recipient;
mod request_phase;
mod resources;
mod restore;
mod restore_request;
mod schedule;
mod schema;
mod secret_ref;
mod semantics;
mod server;
mod status;
mod storage;
mod time_schema;
mod upgrade;
mod upgrade_status;
mod upstream;
mod usage_status;

pub use access::{Access, Admin, Signup};
pub use backup::{Backup, Destination, Drill, Encryption, LocalDestination, Pruning, Retention, S3Destination};
pub use backup_request::{MaiBackup, MaiBackupDestination, MaiBackupResult, MaiBackupSpec, MaiBackupStatus};
pub use backup_status::{BackupResult, BackupStatus, DestinationResult, DestinationStatus, LastBackup};
pub use condition::{ConditionKind, Conditions, Reason};
pub use drill_status::{DrillResult, DrillStatus, LastDrill, PassedDrill};
pub use duration::{DurationError, parse_duration};
pub use expose::{Expose, Gateway, Ingress};
pub use field::{Effect, FIELDS, Field, PlatformKind, crd, crds};
pub use health::Health;
pub use instance::{DeletionPolicy, MaiInstance, MaiInstanceSpec, PullPolicy};
pub use key_status::OpenRouterKeyStatus;
pub use maintenance_window::{MaintenanceWindow, Weekday};
pub use privacy::{Privacy, Region};
pub use quantity::{QuantityError, parse_bytes, parse_cpu_millis};
pub use request_phase::RequestPhase;
pub use resources::{ResourceAmounts, Resources};
pub use restore::{KeptData, RestoreCause, RestoreSource, RestoreStatus, RestoreStep};
pub use restore_request::{MaiRestore, MaiRestoreSpec, MaiRestoreStatus};
pub use schedule::{Schedule, ScheduleError};
pub use schema::{Finding, check, check_shape};
pub use secret_ref::SecretRef;
pub use server::{EnvVar, Environment, Locale, Server, ServerKind};
pub use status::{MaiInstanceStatus, Rejected};
pub use storage::{Storage, Volume};
pub use upgrade::Upgrade;
pub use upgrade_status::{CompletedUpgrade, UpgradeStatus, UpgradeStep};
pub use upstream::{KeyRotation, Ollama, OpenRouter};
pub use usage_status::{BillStatus, KeyStatus, UsageStatus};

/// The API group of every document.
pub const GROUP: &str = "mai.dev";
/// The one version served and stored.
pub const VERSION: &str = "v1alpha1";
/// Value of `apiVersion` in a document.
pub const API_VERSION: &str = "mai.dev/v1alpha1";
/// Finalizer of an instance whose workload has not been torn down yet.
pub const FINALIZER: &str = "mai.dev/teardown";
/// Annotation: with the value `true` an instance is not reconciled.
pub const PAUSED: &str = "mai.dev/paused";
/// Annotation: with the value `true` an instance gets the declared image now, whatever its window,
/// other instances and its own failures say. It counts for one attempt.
pub const UPGRADE_NOW: &str = "mai.dev/upgrade-now";
/// Annotation: with each other value a drill of an instance is made.
pub const DRILL_REQUESTED: &str = "mai.dev/drill-requested";
/// Annotation: with each other value an instance gets another key at its upstream.
pub const KEY_ROTATION_REQUESTED: &str = "mai.dev/key-rotation-requested";
/// Annotation: with the value `true` an instance that is being deleted is let go at once, without
/// stopping or removing anything more.
pub const SKIP_TEARDOWN: &str = "mai.dev/skip-teardown";
/// Annotation set by a source on an instance whose newest document is invalid: the problem, as a
/// sentence.
pub const DOCUMENT_PROBLEM: &str = "mai.dev/document-problem";
/// Annotation set by a source on an instance whose newest document the provider's policy refuses:
/// [`KEPT`] while its last good document is shown, [`BLOCKED`] where there is none.
pub const DOCUMENT_REFUSED: &str = "mai.dev/document-refused";
/// Annotations of a source about a document, which are no part of it.
pub const DOCUMENT_MARKS: [&str; 3] = [DOCUMENT_FILE, DOCUMENT_PROBLEM, DOCUMENT_REFUSED];
/// Value of [`DOCUMENT_REFUSED`]: the document that is shown was accepted before.
pub const KEPT: &str = "kept";
/// Value of [`DOCUMENT_REFUSED`]: the document that is shown is the refused one, and nothing is
/// started for it.
pub const BLOCKED: &str = "blocked";
/// Annotation set by a source that reads files: the file an instance was read from.
pub const DOCUMENT_FILE: &str = "mai.dev/document-file";
