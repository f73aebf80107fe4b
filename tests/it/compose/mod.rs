//! `mai compose` over a directory of documents, with real servers.

mod backups_follow_the_schedule;
mod bad_input_affects_one_instance;
mod bills_are_compared;
mod counts_reach_the_status;
mod directory_becomes_running_clients;
mod keys_follow_the_spec;
mod last_backups_precede_deletions;
mod new_clients_begin_with_backups;
mod policy_bounds_authors;
mod restores_follow_requests;
mod servers_follow_or_outlive_reconciler;
mod two_hundred_documents_stay_fast;
mod webhooks_are_told;
