//! Files of a job on the machine of the reconciler: `HOME/job/` with its order, which holds no
//! secret values, and its secrets. They appear at once, in full, and name the job.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mai_contract::job::{Message, is_secret_name};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::log_tail::printable_tail;
use crate::core::{InstanceId, Job};

const DIRECTORY: &str = "job";
const UNFINISHED: &str = ".job.new";
const RECORD: &str = "job.json";
/// Bytes at the end of an output or log that are read. The last message of an output is in them,
/// also behind another that was cut off.
const END_BYTES: u64 = 64 * 1024;

/// Files of the job of one instance.
#[derive(Clone, Debug)]
pub(super) struct JobFiles {
    /// The directory of all of them.
    pub(super) directory: PathBuf,
}

/// Identity of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    /// Its name.
    pub(super) name: String,
    /// Uid of its instance.
    pub(super) uid: String,
}

/// User that reads the files of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The user of this program.
    Own,
    /// User and group of a container. The files belong to it where their owner can be changed, and
    /// are otherwise readable for all, in a directory that no other user of this machine may enter.
    /// `mapped` says that users of containers are other users on this machine.
    Container { user: (u32, u32), mapped: bool },
}

impl JobFiles {
    /// Returns the files of the instance whose secrets and logs are in `home`.
    pub(super) fn new(home: &Path) -> Self {
        Self { directory: home.join(DIRECTORY) }
    }

    /// Path of the order.
    pub(super) fn order(&self) -> PathBuf {
        self.directory.join("order.json")
    }

    /// Directory of the secret files.
    pub(super) fn secrets(&self) -> PathBuf {
        self.directory.join("secrets")
    }

    /// Directory of the data of a drill, which its job makes.
    pub(super) fn staging(&self) -> PathBuf {
        self.directory.join("staging")
    }

    /// Path of the output, one [`Message`] a line.
    pub(super) fn output(&self) -> PathBuf {
        self.directory.join("output.jsonl")
    }

    /// Path of the log.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("job.log")
    }

    /// Returns the job whose files are there. A record that a power cut left empty is none.
    pub(super) fn record(&self) -> io::Result<Option<JobRecord>> {
        match std::fs::read(self.directory.join(RECORD)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the order and the secrets of a job of `id` in place of what is there. After a crash in
    /// the middle there are the files of a former job or none.
    pub(super) fn write(&self, id: &InstanceId, job: &Job, reader: Reader) -> io::Result<()> {
        let home = self.directory.parent().unwrap_or(&self.directory);
        DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        if matches!(reader, Reader::Container { .. }) {
            // What is readable for all below it relies on that.
            std::fs::set_permissions(home, Permissions::from_mode(0o700))?;
        }
        let unfinished = Self { directory: home.join(UNFINISHED) };
        unfinished.remove()?;
        DirBuilder::new().mode(0o700).create(&unfinished.directory)?;
        DirBuilder::new().mode(0o700).create(unfinished.secrets())?;
        for (name, value) in &job.secrets {
            if !is_secret_name(name) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} cannot name a secret file")));
            }
            reader.write(&unfinished.secrets().join(name), value.expose_secret().as_bytes())?;
        }
        reader.write(&unfinished.order(), &serde_json::to_vec(&job.order)?)?;
        reader.open_directory(&unfinished.secrets())?;
        reader.open_directory(&unfinished.directory)?;
        let record = JobRecord { name: job.name.clone(), uid: id.uid.clone() };
        Reader::Own.write(&unfinished.directory.join(RECORD), &serde_json::to_vec(&record)?)?;
        self.remove()?;
        std::fs::rename(&unfinished.directory, &self.directory)
    }

    /// Removes what a start left that was interrupted.
    pub(super) fn remove_unfinished(&self) -> io::Result<()> {
        let unfinished = Self { directory: self.directory.with_file_name(UNFINISHED) };
        if unfinished.directory.exists() { unfinished.remove() } else { Ok(()) }
    }

    /// Removes all of them, the identity first: what is left after a crash is no job.
    pub(super) fn remove(&self) -> io::Result<()> {
        let missing_is_fine = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        missing_is_fine(std::fs::remove_file(self.directory.join(RECORD)))?;
        missing_is_fine(std::fs::remove_dir_all(&self.directory))
    }

    /// Returns the last message of the output.
    pub(super) fn last_message(&self) -> io::Result<Option<Message>> {
        Ok(last_message(&last_bytes(&self.output())?))
    }

    /// Returns the last lines of the log, printable and without the secrets of the job.
    pub(super) fn log_tail(&self) -> io::Result<Vec<String>> {
        Ok(printable_tail(&last_bytes(&self.log())?, &self.secret_values()?))
    }

    /// Returns the values of the secrets, each as a whole and by lines, which a log may break it
    /// into.
    pub(super) fn secret_values(&self) -> io::Result<Vec<SecretString>> {
        let mut values = Vec::new();
        let entries = match std::fs::read_dir(self.secrets()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(values),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let value = String::from_utf8_lossy(&std::fs::read(entry?.path())?).into_owned();
            values.extend(value.lines().map(|line| SecretString::from(line.trim())));
            values.push(SecretString::from(value));
        }
        Ok(values)
    }
}

impl Reader {
    fn write(self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        if let Self::Container { user: (user, group), mapped } = self {
            let given_away = !mapped && std::os::unix::fs::fchown(&file, Some(user), Some(group)).is_ok();
            file.set_permissions(Permissions::from_mode(if given_away { 0o400 } else { 0o444 }))?;
        }
        Ok(())
    }

    /// Lets the reader enter a directory.
    fn open_directory(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Container { user: (user, group), mapped } => {
                let given_away = !mapped && std::os::unix::fs::chown(path, Some(user), Some(group)).is_ok();
                std::fs::set_permissions(path, Permissions::from_mode(if given_away { 0o700 } else { 0o755 }))
            }
        }
    }
}

/// Returns the last message of an output. A line that is cut off or is none is passed over.
pub(super) fn last_message(output: &[u8]) -> Option<Message> {
    output.rsplit(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok())
}

/// Returns the end of a file; nothing of one that is missing.
fn last_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let start = length.saturating_sub(END_BYTES);
    // The byte before tells whether a line begins there.
    file.seek(SeekFrom::Start(start.saturating_sub(1)))?;
    let mut bytes = Vec::new();
    file.take(END_BYTES + 1).read_to_end(&mut bytes)?;
    if start > 0 {
        let first_line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first_line);
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use mai_contract::job::{BackupOrder, MAX_OUTCOME_BYTES, Order, Outcome, Progress, Step, Subject};

    use super::*;
    use crate::core::Storage;

    fn id() -> InstanceId {
        InstanceId { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "u-1".to_owned() }
    }

    fn job() -> Job {
        let order = BackupOrder {
            id: "20261130-020000-1f2e3d".parse().unwrap(),
            instance: Subject { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "u-1".to_owned() },
            reason: "a test".to_owned(),
            image: None,
            document: serde_json::json!({}),
            secrets: Vec::new(),
            encryption: None,
            destinations: Vec::new(),
            time_zone: "UTC".to_owned(),
        };
        Job {
            name: "20261130-020000-1f2e3d".to_owned(),
            image: None,
            order: Order::Backup(order),
            secrets: BTreeMap::from([("s3-key".to_owned(), SecretString::from("the-secret-key\n"))]),
            storage: Storage::default(),
            directories: Vec::new(),
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_of_a_job_are_for_its_reader_alone() {
        let home = tempfile::tempdir().unwrap();
        let files = JobFiles::new(&home.path().join("abc"));
        assert_eq!(files.record().unwrap(), None);
        files.write(&id(), &job(), Reader::Own).unwrap();
        assert_eq!(files.record().unwrap().unwrap(), JobRecord { name: job().name, uid: "u-1".to_owned() });
        let secret = files.secrets().join("s3-key");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the-secret-key\n");
        let modes = [&files.directory, &files.secrets(), &secret, &files.order()].map(|path| mode(path));
        assert_eq!(modes, [0o700, 0o700, 0o600, 0o600]);
        let order: Order = serde_json::from_slice(&std::fs::read(files.order()).unwrap()).unwrap();
        assert_eq!(order, job().order);

        // Again, in place of what is there.
        std::fs::write(files.output(), "of the former job").unwrap();
        files.write(&id(), &job(), Reader::Container { user: (65532, 65532), mapped: true }).unwrap();
        assert!(!files.output().exists());
        assert_eq!([&files.secrets(), &secret].map(|path| mode(path)), [0o755, 0o444]);
        assert_eq!(mode(&home.path().join("abc")), 0o700);
        files.remove().unwrap();
        files.remove().unwrap();
        assert_eq!(std::fs::read_dir(home.path().join("abc")).unwrap().count(), 0);
    }

    #[test]
    fn secret_whose_name_is_a_path_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let files = JobFiles::new(home.path());
        for name in ["", "..", "../out", "a/b", ".hidden"] {
            let mut job = job();
            job.secrets.insert(name.to_owned(), SecretString::from("x"));
            assert!(files.write(&id(), &job, Reader::Own).is_err(), "{name:?}");
            assert_eq!(files.record().unwrap(), None);
        }
    }

    #[test]
    fn last_message_is_found_behind_a_line_that_is_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let files = JobFiles { directory: home.path().to_owned() };
        assert_eq!(files.last_message().unwrap(), None);
        let progress = Message::Progress(Progress { step: Step::Store, done: 1, total: 2 });
        let line = serde_json::to_string(&progress).unwrap();
        let much = format!("{line}\n").repeat(5000);
        std::fs::write(files.output(), format!("{much}{{\"outcome\": {{\"fai")).unwrap();
        assert_eq!(files.last_message().unwrap(), Some(progress));
        let outcome = Message::Outcome(Outcome::Failed { message: "x".repeat(MAX_OUTCOME_BYTES - 50) });
        std::fs::write(files.output(), format!("{much}{}\n", serde_json::to_string(&outcome).unwrap())).unwrap();
        assert_eq!(files.last_message().unwrap(), Some(outcome));
    }

    #[test]
    fn log_tail_shows_no_secret_of_the_job() {
        let home = tempfile::tempdir().unwrap();
        let files = JobFiles::new(home.path());
        files.write(&id(), &job(), Reader::Own).unwrap();
        assert!(files.log_tail().unwrap().is_empty());
        std::fs::write(files.log(), "the-secret-key was refused\n").unwrap();
        assert_eq!(files.log_tail().unwrap(), ["[secret] was refused"]);
    }
}
