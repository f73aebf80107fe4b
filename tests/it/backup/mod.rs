//! Backups in their destinations.

mod buckets_keep_whole_objects;
mod directories_keep_whole_files;
mod network_faults_are_survived;
mod old_backups_are_removed;
