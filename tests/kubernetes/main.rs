//! `mai operator`, the CRD and `kubectl mai` against a real Kubernetes. [`api`], [`cluster`],
//! [`environment`], [`gate`], [`images`], [`operator`] and [`requests`] are fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod api;
mod backups_run_as_jobs;
mod client_lifecycle_keeps_data;
#[allow(dead_code)]
mod cluster;
mod counts_are_listed;
mod environment;
mod failed_changes_are_rolled_back;
#[allow(dead_code)]
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod gate;
mod images;
mod kubectl_plugin_operates_clients;
mod manual_changes_are_reverted;
mod metrics_match_the_documentation;
mod missing_permissions_are_named;
mod obstacles_are_named;
mod one_operator_leads;
mod operator;
mod pods_run_under_restricted_policy;
mod requested_states_are_applied;
mod requests;
mod resource_works_with_kubectl;
mod restores_bring_data_back;
mod restores_run_as_jobs;
mod secret_changes_reach_servers;
mod unchanged_instances_cause_no_writes;
mod unused_claims_are_pruned;
mod upgrades_return_image_and_data;
mod upstream_keys_follow_documents;
mod validation_rules_agree;
mod volumes_grow_and_are_kept;
mod webhooks_are_told;
mod whole_cluster;
