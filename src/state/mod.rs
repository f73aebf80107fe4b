//! What has to survive a restart where there is no cluster to keep it: a SQLite state database.
