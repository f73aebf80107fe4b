mod dead_servers_come_back;
mod fleet;
mod interrupted_recoveries_continue;
mod recovery_kits_are_confirmed;
mod server_backups_follow_changes;
mod what_is_missing_is_told;
