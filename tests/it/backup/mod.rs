//! The program that makes backups, as a process beside whatever writes the data, and the
//! destinations of backups.

mod buckets_keep_whole_objects;
mod destinations_fail_alone;
mod directories_keep_whole_files;
mod drills_touch_nothing_else;
mod job;
mod killed_jobs_leave_nothing;
mod live_writes_tear_no_backup;
mod network_faults_are_survived;
mod old_backups_are_removed;
mod restore_by_hand;
mod restored_instance;
mod restores_and_swaps_survive_kills;
mod restores_come_back;
