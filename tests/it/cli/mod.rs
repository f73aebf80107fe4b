//! Verbs of the command line other than `compose` and `serve`.

mod backups_on_demand;
mod deployments_are_adopted;
mod drills_prove_backups;
mod foreign_words_are_printable;
mod health_is_reported_to_supervisors;
mod old_servers_move_in;
mod plan_reports_without_changing;
mod reset_verifies_a_backup_first;
mod statements_are_printed;
mod unused_data_is_pruned;
mod validate_reports_file_and_line;
mod verbs_affect_one_instance;
