//! Errors of backups.

use std::io;
use std::path::{Path, PathBuf};

use mai_contract::job::BackupId;

use crate::SecretError;
use crate::store::StoreError;

/// Failure to make, verify or restore a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("{path} could not be {action}: {source}")]
    Io {
        /// The operation: "read", "written".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no room.
    #[error(
        "the volume of {path} is full ({free_mib} MiB free, {needed_mib} MiB needed); free space there, enlarge the volume, or keep fewer backups in it"
    )]
    Full {
        /// The directory.
        path: PathBuf,
        /// Free MiB.
        free_mib: u64,
        /// MiB that are needed.
        needed_mib: u64,
    },
    /// SQLite could not read or write a database.
    #[error("database {path} could not be {action}: {source}")]
    Database {
        /// The operation: "copied", "read back".
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// SQLite could not open a database for the lack of a file next to it.
    #[error(
        "database {path} could not be copied: {source}; its directory has to be writable, since SQLite keeps the state of its readers in a file there"
    )]
    DatabaseDirectory {
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// A database is damaged.
    #[error(
        "database {path} is damaged: {complaints}; restore an older backup, or repair it with `sqlite3 FILE .recover` while its server is stopped"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// Complaints of SQLite.
        complaints: String,
    },
    /// A file beside a database must not be given to SQLite.
    #[error(
        "database {path} was not opened: {problem}; stop its server, move that file away if the server did not make it, start the server again and repeat the backup"
    )]
    Sidecar {
        /// The database.
        path: PathBuf,
        /// The file beside it and what is wrong with it.
        problem: String,
    },
    /// A database was locked by another program all the time.
    #[error(
        "database {path} could not be copied: another program kept it locked for {seconds} s; end a long transaction on it, or repeat the backup when it is used less"
    )]
    DatabaseBusy {
        /// The database.
        path: PathBuf,
        /// Time that was waited.
        seconds: u64,
    },
    /// The archive that was read back is not the one that was written.
    #[error("{what}")]
    Unverified {
        /// The difference, as a sentence.
        what: String,
    },
    /// An archive that mai did not make has data of another program.
    #[error(
        "there is no database {database} in it, so it is not the data of such a server, which would start empty on it; check server.kind, and that the data directory itself was packed (tar czf FILE -C DATA .)"
    )]
    OtherProgram {
        /// The database of the server.
        database: String,
    },
    /// An archive that mai did not make has data that nobody has an account in.
    #[error(
        "nobody has an account in its database {database}, so whoever came first would be the administrator; check that it is the data of the server itself"
    )]
    NoAccounts {
        /// The database of the server.
        database: String,
    },
    /// The archive could not be written or read.
    #[error("the archive could not be processed: {0}")]
    Archive(#[source] io::Error),
    /// A recipient is no public key of age.
    #[error(
        "encryption recipient {key:?} is no public key of age ({problem}); it has to be one such as `age-keygen` prints, age1…"
    )]
    Recipient {
        /// The key.
        key: String,
        /// The parser's words.
        problem: String,
    },
    /// Encryption is wanted for nobody.
    #[error("encryption needs at least one recipient; add a public key of age to spec.backup.encryption.recipients")]
    NoRecipient,
    /// The identity is no secret key of age.
    #[error(
        "the identity of spec.backup.encryption holds no secret key of age, AGE-SECRET-KEY-1…, as `age-keygen` prints it"
    )]
    Identity,
    /// The archive could not be encrypted.
    #[error("the archive could not be encrypted: {0}")]
    Encrypt(#[source] age::EncryptError),
    /// The archive could not be opened.
    #[error("the archive could not be decrypted: {0}")]
    Decrypt(#[source] age::DecryptError),
    /// A secret file could not be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The time zone of an order is unknown.
    #[error("time zone {0:?} is unknown; use a name of the IANA database such as Europe/Warsaw")]
    TimeZone(String),
    /// Another job works on the same backups.
    #[error("another job works on the backups of this instance: {holder}; wait until it has ended")]
    Busy {
        /// The other job.
        holder: String,
    },
    /// The identity that was given opens none of the archive's locks.
    #[error("the identity that was given does not open the archive{}; give the secret key of one of its recipients", of_recipients(.recipients))]
    WrongIdentity {
        /// Public keys that the archive is encrypted to, where they are known.
        recipients: String,
    },
    /// The archive is encrypted, and no identity was given.
    #[error("the archive is encrypted{}; give the identity (secret key of age) of one of its recipients", of_recipients(.recipients))]
    MissingIdentity {
        /// Public keys that the archive is encrypted to, where they are known.
        recipients: String,
    },
    /// A destination does not have the backup that was asked for.
    #[error("destination {destination} has no {wanted} of {instance}; {there}")]
    NoSuchBackup {
        /// Name of the destination.
        destination: String,
        /// The choice, such as "verified backup".
        wanted: String,
        /// Namespace and name of the instance.
        instance: String,
        /// The backups that are there, as the rest of a sentence.
        there: String,
    },
    /// A backup is one of another instance than the one that was named.
    #[error(
        "backup {id} in destination {destination} is one of {found}, not of {instance}; name that instance as its origin, or restore the archive by its path"
    )]
    OtherInstance {
        /// The backup.
        id: BackupId,
        /// Name of the destination.
        destination: String,
        /// Namespace and name of its instance.
        found: String,
        /// Namespace and name that were named.
        instance: String,
    },
    /// A drill failed.
    #[error("destination {destination}: {source}")]
    Drill {
        /// Name of the destination that the backup was to be read from.
        destination: String,
        /// The cause.
        #[source]
        source: Box<BackupError>,
    },
    /// A server that was started on a backup did not work.
    #[error("backup {backup} was unpacked and is whole, but no server works on it: {problem}")]
    Trial {
        /// The backup.
        backup: BackupId,
        /// The problem of the server.
        problem: String,
    },
    /// The path of an archive leads nowhere below a destination.
    #[error(
        "{path:?} is no path of an archive below a destination; give one without a leading /, and without .., such as open-webui/data.tar.gz"
    )]
    ArchivePath {
        /// The path.
        path: String,
    },
    /// A restored directory cannot take the place of the data.
    #[error(
        "{path} {cause}, so restored data cannot take its place in one step; nothing was changed; restore by hand as docs/restore-by-hand.md says"
    )]
    NotSwappable {
        /// The data directory.
        path: PathBuf,
        /// The cause, as the rest of a sentence.
        cause: String,
    },
    /// Restored data cannot take the place of the data, which would take more along than itself.
    #[error("{path} {cause}, so its data cannot be exchanged for restored data; {remedy}; nothing was changed")]
    NotExchangeable {
        /// The data directory.
        path: PathBuf,
        /// The cause, as the rest of a sentence.
        cause: String,
        /// The correction.
        remedy: &'static str,
    },
    /// A server has the data open.
    #[error("data directory {path} is in use by another process ({holder}); stop its server first")]
    DataInUse {
        /// The data directory.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
    /// The data is being exchanged for restored data.
    #[error("data directory {path} is half replaced by restore {id}; finish that one or take it back first")]
    SwapUnfinished {
        /// The data directory.
        path: PathBuf,
        /// The restore.
        id: BackupId,
    },
    /// A restore has no data to exchange.
    #[error("restore {id} {cause}; restore the backup again")]
    NothingToSwap {
        /// The restore.
        id: BackupId,
        /// The cause, as the rest of a sentence.
        cause: &'static str,
    },
    /// The id of a restore was used already.
    #[error("restore {id} has replaced data already; give another restore another id")]
    RestoredAlready {
        /// The restore.
        id: BackupId,
    },
    /// The data of a later restore is the present data.
    #[error(
        "restore {id} cannot be taken back, since {later} came after it; take that one back first, or discard what it keeps"
    )]
    LaterRestore {
        /// The restore.
        id: BackupId,
        /// The one after it.
        later: BackupId,
    },
    /// An entry that is to be moved has one of its name in the way.
    #[error(
        "{path} is in the way: something else made it while the data was being replaced; move it away and repeat the step"
    )]
    InTheWay {
        /// The entry.
        path: PathBuf,
    },
    /// The exchange failed and was undone.
    #[error("{source}; the data is what it was before")]
    NotSwapped {
        /// The failure.
        source: Box<BackupError>,
    },
    /// The exchange failed and could not be undone.
    #[error(
        "{source}; the former data could not be put back: {second}; data directory {path} is half replaced, so no server is started on it: correct the cause and repeat the step, or take the restore back"
    )]
    HalfSwapped {
        /// The data directory.
        path: PathBuf,
        /// The failure.
        source: Box<BackupError>,
        /// The failure to undo it.
        second: Box<BackupError>,
    },
    /// No destination has the backup.
    #[error("no destination took the backup: {0}")]
    NoDestination(String),
    /// A part of the job ended without a result.
    #[error("a part of the job ended without a result: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
    /// The job was asked to stop.
    #[error("stopped before it was done; nothing was kept of it")]
    Stopped,
}

fn of_recipients(recipients: &str) -> String {
    if recipients.is_empty() { String::new() } else { format!(" to {recipients}") }
}

impl BackupError {
    /// Returns a conversion for `map_err` of a file operation.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// Returns a conversion for `map_err` of a database operation.
    pub(crate) fn database(action: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database { action, path: path.clone(), source }
    }
}
