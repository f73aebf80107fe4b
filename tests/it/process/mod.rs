//! The process runtime with real servers.

mod jobs_run_next_to_servers;
mod killed_servers_are_noticed;
mod servers_get_only_declared_settings;
mod servers_never_start_twice;
