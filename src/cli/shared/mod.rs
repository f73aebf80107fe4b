//! Code that several verbs use. Nothing here knows a verb. `terminal` comes first: its macros print.

#[macro_use]
pub(super) mod terminal;

pub(super) mod asked_job;
pub(super) mod backup_output;
pub(super) mod backup_stores;
pub(super) mod block_on;
pub(super) mod compose_project;
pub(super) mod confirmation;
pub(super) mod counts_args;
pub(super) mod drill_report;
pub(super) mod identity_files;
pub(super) mod key_rotation;
pub(super) mod logging;
pub(super) mod named_instance;
pub(super) mod notifications;
pub(super) mod output;
pub(super) mod plan_output;
pub(super) mod policy;
pub(super) mod prunable;
pub(super) mod recovery_kit;
pub(super) mod replaced_data;
pub(super) mod runtime;
pub(super) mod safety_backup;
pub(super) mod server_backup_args;
pub(super) mod service_manager;
pub(super) mod signals;
pub(super) mod state_dir;
pub(super) mod statement;
pub(super) mod status_output;
pub(super) mod stopped_server;
pub(super) mod table;
pub(super) mod trial_server;
pub(super) mod unaccepted;
pub(super) mod wanted_backup;
