//! Reads a stored archive from its first to its last byte: checksum, decryption, decompression, and
//! then each member, which goes to a [`Sink`] and is compared with the manifest at the end. An
//! archive may come from anybody, so whatever is in it is bounded by its summary.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::contents::Contents;
use crate::encryption::Identity;
use crate::manifest::{CHECKSUMS, DATA, MANIFEST, Manifest};
use crate::members::{MemberError, MemberKind, Members, Named};
use crate::snapshot::MAGIC;
use crate::summary::Summary;
use crate::{BackupError, Progress, StoreError};

const AGE: &[u8] = b"age-encryption.org/v1\n";
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Bytes by which the kind of a file is told.
const PREFIX: usize = 512;
/// Position and text of the mark of a tar archive.
const USTAR: (usize, &[u8]) = (257, b"ustar");
/// Longest header of an encrypted file.
const MAX_AGE_HEADER: u64 = 64 << 10;
const BUFFER: usize = 64 << 10;
/// Most bytes below `instance/`.
const MAX_INSTANCE_BYTES: u64 = 16 << 20;

/// Receives the data of an archive. Paths are below the data directory; the directory itself is the
/// empty path.
pub(crate) trait Sink {
    /// Takes a directory.
    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), BackupError>;
    /// Takes a symbolic link.
    fn link(&mut self, path: &Path, target: &Path) -> Result<(), BackupError>;
    /// Returns the file to write the content of a file to; None where it is not wanted.
    fn file(&mut self, new: &NewFile<'_>) -> Result<Option<File>, BackupError>;
    /// Returns where the content of a file below `instance/` is kept; None where it is not wanted.
    fn instance_file(&mut self, _path: &Path) -> Option<&mut Vec<u8>> {
        None
    }
    /// Takes note that the content of a file is complete. Returns the check of a database; None
    /// where it is not checked here.
    fn complete(&mut self, new: &NewFile<'_>) -> Result<Option<DatabaseCheck>, BackupError>;
}

/// Result of the check of a database: its properties, or its damage as a sentence.
pub(crate) type DatabaseCheck = Result<crate::manifest::DatabaseInfo, String>;

/// A file of the data that begins in an archive.
pub(crate) struct NewFile<'a> {
    /// Its path.
    pub(crate) path: &'a Path,
    /// Its bytes.
    pub(crate) size: u64,
    /// Its permissions.
    pub(crate) mode: u32,
    /// Its last change, in seconds since 1970.
    pub(crate) modified: i64,
    /// It begins as an SQLite database does.
    pub(crate) is_database: bool,
}

/// Result of reading an archive.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Everything in it was read and is as its manifest says.
    Content(Box<Manifest>),
    /// It was read; there is no manifest to compare it with.
    Plain,
    /// Only its members were listed.
    Survey(Survey),
    /// It is encrypted, and no identity was given.
    Sealed,
}

/// Members of an archive that is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// It has a manifest and checksums, as a backup of mai has.
    pub(crate) is_backup: bool,
    /// Bytes of all files in it.
    pub(crate) bytes: u64,
}

/// Layout of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A backup of mai.
    Backup,
    /// A data directory as `tar` packs it.
    Plain,
    /// Either; its members are only listed.
    Unknown,
}

/// Failure while an archive is read.
pub(crate) enum ReadError {
    /// The archive is not what it should be, as a sentence.
    Content(String),
    /// Something else.
    Other(BackupError),
}

impl From<BackupError> for ReadError {
    fn from(error: BackupError) -> Self {
        Self::Other(error)
    }
}

impl From<MemberError> for ReadError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Refused(what) => Self::Content(what),
            MemberError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Content("it is cut off".to_owned())
            }
            MemberError::Io(error) => Self::Content(format!("it is damaged: {error}")),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        MemberError::Io(error).into()
    }
}

/// Task of reading one archive.
pub(crate) struct Request<'a> {
    /// Its summary, where there is one: whatever is in the archive must agree with it.
    pub(crate) summary: Option<&'a Summary>,
    /// Keys to open it with.
    pub(crate) identity: Option<&'a Identity>,
    /// Bytes of data that it may hold at most.
    pub(crate) max_data_bytes: u64,
    /// Its layout.
    pub(crate) layout: Layout,
    /// Counts the bytes of the archive.
    pub(crate) progress: &'a Progress,
}

impl Request<'_> {
    /// Reads an archive to its end. Fails unless it is complete, unchanged and agrees with itself.
    pub(crate) fn read(&self, archive: impl Read, sink: &mut impl Sink) -> Result<Reading, BackupError> {
        let mut stored = Stored {
            input: archive,
            hasher: Sha256::new(),
            bytes: 0,
            limit: self.summary.map_or(u64::MAX, |summary| summary.archive.bytes),
            progress: self.progress,
            failure: None,
        };
        let read = self.decode(&mut stored, sink);
        if let Some(failure) = stored.failure.take() {
            return Err(failure);
        }
        let read = match read {
            Err(ReadError::Other(error)) => return Err(error),
            Ok(reading) => Ok(reading),
            Err(ReadError::Content(what)) => Err(self.unverified(what)),
        };
        // That it was changed or cut off says more than what came of it.
        if let Some(summary) = self.summary {
            stored.drain()?;
            stored.compare(summary)?;
        }
        read
    }

    fn unverified(&self, what: impl std::fmt::Display) -> BackupError {
        let what = match self.summary {
            Some(summary) => format!("archive {} is not what was stored: {what}", summary.archive.name),
            None => format!("the archive cannot be used: {what}"),
        };
        BackupError::Unverified { what }
    }

    fn decode<R: Read>(&self, stored: &mut Stored<'_, R>, sink: &mut impl Sink) -> Result<Reading, ReadError> {
        let mut prefix = Vec::with_capacity(PREFIX);
        stored.by_ref().take(PREFIX as u64).read_to_end(&mut prefix)?;
        let is_encrypted = prefix.starts_with(AGE);
        if let Some(summary) = self.summary
            && is_encrypted != summary.is_encrypted()
        {
            let (is, says) = if is_encrypted { ("", " not") } else { ("not ", "") };
            return Err(ReadError::Content(format!("it is {is}encrypted, and its summary says that it is{says}")));
        }
        let input = Cursor::new(prefix.clone()).chain(stored);
        if !is_encrypted {
            return self.decompress(&prefix, input, sink);
        }
        let left = Rc::new(Cell::new(MAX_AGE_HEADER));
        let header = Bounded { input, left: left.clone() };
        let Some(identity) = self.identity else {
            return match age::Decryptor::new(header) {
                Ok(_) => Ok(Reading::Sealed),
                Err(error) => Err(ReadError::Content(format!("its encryption is damaged: {error}"))),
            };
        };
        let mut plain = identity.decrypt(header).map_err(|error| match error {
            BackupError::Decrypt(age::DecryptError::NoMatchingKeys) => ReadError::Other(self.wrong_identity()),
            BackupError::Decrypt(error) => ReadError::Content(format!("its encryption is damaged: {error}")),
            error => ReadError::Other(error),
        })?;
        left.set(u64::MAX);
        let mut prefix = Vec::with_capacity(PREFIX);
        plain.by_ref().take(PREFIX as u64).read_to_end(&mut prefix)?;
        self.decompress(&prefix.clone(), Cursor::new(prefix).chain(plain), sink)
    }

    fn wrong_identity(&self) -> BackupError {
        let recipients = self.summary.map(|summary| summary.recipients.join(", ")).unwrap_or_default();
        BackupError::WrongIdentity { recipients }
    }

    fn decompress(&self, prefix: &[u8], input: impl Read, sink: &mut impl Sink) -> Result<Reading, ReadError> {
        if prefix.starts_with(GZIP) {
            let input = BufReader::with_capacity(BUFFER, input);
            return self.members(Members::new(MultiGzDecoder::new(input)), sink);
        }
        if self.layout != Layout::Backup && prefix.get(USTAR.0..).is_some_and(|rest| rest.starts_with(USTAR.1)) {
            return self.members(Members::new(BufReader::with_capacity(BUFFER, input)), sink);
        }
        Err(ReadError::Content("it is no archive made by tar and gzip".to_owned()))
    }

    fn survey<R: Read>(&self, mut members: Members<R>) -> Result<Reading, ReadError> {
        let (mut survey, mut lists) = (Survey::default(), 0);
        while let Some(member) = members.next_member()? {
            if let MemberKind::File { size, .. } = member.kind {
                survey.bytes = survey.bytes.saturating_add(size);
                lists += u32::from([MANIFEST, CHECKSUMS].iter().any(|name| member.path == Path::new(name)));
            }
        }
        members.expect_end()?;
        survey.is_backup = lists >= 2;
        Ok(Reading::Survey(survey))
    }

    fn members<R: Read>(&self, mut members: Members<R>, sink: &mut impl Sink) -> Result<Reading, ReadError> {
        if self.layout == Layout::Unknown {
            return self.survey(members);
        }
        let mut contents = Contents::new(self.summary, self.max_data_bytes);
        let mut manifest = None;
        let mut buffer = vec![0; BUFFER];
        let mut instance_bytes = 0;
        let is_plain = self.layout == Layout::Plain;
        while let Some(member) = members.next_member()? {
            let shown = Named(&member.path);
            if manifest.is_some() {
                return Err(ReadError::Content(format!("{shown} comes after {MANIFEST}, which is the last member")));
            }
            contents.expect_room(&member)?;
            let path = member.path.as_path();
            if path == Path::new(DATA) && !is_plain && !matches!(member.kind, MemberKind::Directory { .. }) {
                return Err(ReadError::Content(format!("{shown} is not a directory")));
            }
            let below_data = if is_plain { Ok(path) } else { path.strip_prefix(DATA) };
            match (&member.kind, below_data) {
                (MemberKind::Directory { mode }, Ok(below)) => sink.directory(below, *mode)?,
                (MemberKind::Link { target }, Ok(below)) => sink.link(below, target)?,
                (MemberKind::File { size, mode, modified }, Ok(below)) => {
                    let (size, mode, modified) = (*size, *mode, *modified);
                    let start = read_start(&mut members, size)?;
                    let new = NewFile { path: below, size, mode, modified, is_database: start == MAGIC };
                    let mut content = Cursor::new(start).chain(&mut members);
                    let sha256 = copy(&mut content, &mut buffer, sink.file(&new)?, below)?;
                    let database = sink.complete(&new)?;
                    contents.add_file(member, sha256, database);
                    continue;
                }
                (MemberKind::File { size, .. }, Err(_)) if path == Path::new(MANIFEST) => {
                    manifest = Some(contents.read_manifest(&mut members, *size)?);
                    continue;
                }
                (MemberKind::File { size, .. }, Err(_)) if is_ours(path) => {
                    if path == Path::new(CHECKSUMS) {
                        contents.expect_length(CHECKSUMS, *size)?;
                    } else {
                        instance_bytes = size.saturating_add(instance_bytes);
                    }
                    if instance_bytes > MAX_INSTANCE_BYTES {
                        return Err(ReadError::Content(format!("{shown} is larger than anything there may be")));
                    }
                    let sha256 = copy(&mut members, &mut buffer, sink.instance_file(path), path)?;
                    contents.add_file(member, sha256, None);
                    continue;
                }
                (MemberKind::Directory { .. }, Err(_)) if path.starts_with("instance") => {}
                (_, Err(_)) => return Err(ReadError::Content(format!("{shown} does not belong into a backup"))),
            }
            contents.add(member);
        }
        members.expect_end()?;
        match manifest {
            Some(manifest) => Ok(Reading::Content(Box::new(contents.compare(manifest)?))),
            None if is_plain => Ok(Reading::Plain),
            None => Err(ReadError::Content(format!("it has no {MANIFEST}, so it is no backup of mai"))),
        }
    }
}

fn is_ours(path: &Path) -> bool {
    path == Path::new(CHECKSUMS) || (path.starts_with("instance") && path != Path::new("instance"))
}

/// Returns the first bytes of a file, as many as tell a database.
fn read_start(members: &mut impl Read, size: u64) -> Result<Vec<u8>, ReadError> {
    let mut start = Vec::with_capacity(MAGIC.len());
    members.take(size.min(MAGIC.len() as u64)).read_to_end(&mut start)?;
    Ok(start)
}

/// Copies a content to an output, if there is one; returns its SHA-256.
fn copy(
    content: &mut impl Read,
    buffer: &mut [u8],
    mut output: Option<impl Write>,
    path: &Path,
) -> Result<[u8; 32], ReadError> {
    let mut hasher = Sha256::new();
    loop {
        let count = content.read(buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..count]);
        if let Some(output) = &mut output {
            output.write_all(&buffer[..count]).map_err(BackupError::io("written", path))?;
        }
    }
}

/// The bytes of an archive as they are stored, counted and hashed.
struct Stored<'a, R> {
    input: R,
    hasher: Sha256,
    bytes: u64,
    limit: u64,
    progress: &'a Progress,
    /// The failure behind an error of the input.
    failure: Option<BackupError>,
}

impl<R: Read> Read for Stored<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.input.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let failure = error.downcast::<StoreError>().map_or_else(BackupError::Archive, BackupError::Store);
                self.failure = Some(failure);
                return Err(io::Error::other("it could not be read on"));
            }
        };
        self.bytes += count as u64;
        if self.bytes > self.limit {
            return Err(io::Error::other("it is longer than its summary says"));
        }
        self.hasher.update(&buffer[..count]);
        if let Err(error) = self.progress.add(count as u64) {
            self.failure = Some(error);
            return Err(io::Error::other("stopped"));
        }
        Ok(count)
    }
}

impl<R: Read> Stored<'_, R> {
    /// Reads the rest, so that size and checksum are those of all of it.
    fn drain(&mut self) -> Result<(), BackupError> {
        let mut buffer = [0; 16 << 10];
        while self.bytes <= self.limit {
            match self.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.failure.take().map_or(Ok(()), Err),
            }
        }
        Ok(())
    }

    /// Fails unless the bytes are those of the summary. To be called after all were read.
    fn compare(&mut self, summary: &Summary) -> Result<(), BackupError> {
        let expected = &summary.archive;
        let name = &expected.name;
        let sha256 = hex::encode(std::mem::take(&mut self.hasher).finalize());
        let what = match self.bytes.cmp(&expected.bytes) {
            std::cmp::Ordering::Less => {
                format!("archive {name} is cut off: {} of its {} bytes are there", self.bytes, expected.bytes)
            }
            std::cmp::Ordering::Greater => {
                format!("archive {name} is longer than the {} bytes that were stored", expected.bytes)
            }
            std::cmp::Ordering::Equal if sha256 != expected.sha256 => format!(
                "archive {name} was changed after it was stored: its SHA-256 is {sha256}, not {}",
                expected.sha256
            ),
            std::cmp::Ordering::Equal => return Ok(()),
        };
        Err(BackupError::Unverified { what })
    }
}

/// A reader that ends after some bytes; the limit can be lifted from outside.
struct Bounded<R> {
    input: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.input.read(&mut buffer[..wanted])?;
        if left != u64::MAX {
            self.left.set(left - count as u64);
        }
        Ok(count)
    }
}
