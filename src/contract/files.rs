//! Where a container holds what, and whose it is.

/// Directory of the data.
pub const DATA: &str = "/app/backend/data";
/// Directory of the backups.
pub const BACKUPS: &str = "/app/backups";
/// User and group of the server's process, and owner of both directories.
pub const USER: u32 = 65532;
/// Database of our server, in the data directory.
pub const DATABASE: &str = "mai.db";
/// Lock file in the data directory, held by the server that has it open.
pub const LOCK: &str = ".mai.lock";
/// Directory that the secrets file is mounted in.
pub const SECRETS_DIRECTORY: &str = "/run/mai";
/// Name of the secrets file in [`SECRETS_DIRECTORY`].
pub const SECRETS_FILE_NAME: &str = "secrets.env";
/// Path of the secrets file.
pub const SECRETS_FILE: &str = "/run/mai/secrets.env";
