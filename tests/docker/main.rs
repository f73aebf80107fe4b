//! `mai compose --runtime docker` against a real Docker Engine. [`engine`], [`environment`] and
//! [`proxy`] are fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod backups_run_next_to_servers;
mod backups_survive_interruptions;
mod dead_servers_come_back;
mod documents_become_containers;
mod drift_is_repaired;
mod drills_run_next_to_servers;
mod engine;
mod engine_restarts_keep_servers;
mod environment;
mod existing_containers_are_adopted;
mod failed_changes_are_rolled_back;
#[allow(dead_code)]
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod foreign_objects_are_not_touched;
mod full_disks_lose_nothing;
mod interrupted_deployments_are_completed;
mod jobs_run_next_to_servers;
mod limits_are_restored;
mod mai_server_runs_in_containers;
mod orphans_are_adopted;
mod plan_only_reads_the_engine;
mod private_registries_are_used;
mod proxy;
mod restored_data_comes_back;
mod restores_run_in_containers;
mod restores_survive_interruptions;
mod twenty_clients_stay_cheap;
mod upgrades_return_image_and_data;
mod upstream_keys_follow_documents;
mod verbs_act_on_containers;
