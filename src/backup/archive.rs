//! The archive as one stream: `tar`, gzip, and age where it is encrypted. No file is kept in memory.
//!
//! Members in this order: `data/…`, `instance/document.json`, `instance/secrets/…`, `SHA256SUMS`,
//! `manifest.json`.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use age::stream::StreamWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::fstat;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::encryption::Recipients;
use crate::manifest::{CHECKSUMS, Cause, DirectoryEntry, Exception, FileEntry, LinkEntry, MANIFEST, Manifest};
use crate::tree::Attributes;
use crate::{BackupError, MemberPath, Progress};

/// Level of compression. Measured on chats of SQLite: the next level takes twice the time for a
/// quarter less.
const LEVEL: u32 = 1;
/// Bytes that are read from a file at once.
const READ_BYTES: usize = 256 * 1024;
/// Attributes of the members that are no files of the data.
const OURS: Attributes = Attributes { size: 0, mode: 0o600, uid: 0, gid: 0, modified: 0 };

/// An archive that is being written into `W`.
pub(crate) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<GzEncoder<Encrypted<Hashed<W>>>>,
    manifest: Manifest,
    progress: Progress,
}

/// An archive that was written.
#[derive(Debug)]
pub(crate) struct WrittenArchive<W> {
    pub(crate) manifest: Manifest,
    pub(crate) manifest_sha256: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The writer it was written into.
    pub(crate) output: W,
}

/// A layer that encrypts or does nothing.
enum Encrypted<W: Write> {
    No(W),
    Age(StreamWriter<W>),
}

/// A layer that counts and hashes what passes.
struct Hashed<W> {
    output: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive. `manifest` has all but its entries.
    pub(crate) fn new(
        output: W,
        recipients: Option<&Recipients>,
        manifest: Manifest,
        progress: Progress,
    ) -> Result<Self, BackupError> {
        let hashed = Hashed { output, hasher: Sha256::new(), bytes: 0 };
        let encrypted = match recipients {
            Some(recipients) => Encrypted::Age(recipients.encrypt(hashed)?),
            None => Encrypted::No(hashed),
        };
        let tar = tar::Builder::new(GzEncoder::new(encrypted, Compression::new(LEVEL)));
        Ok(Self { tar, manifest, progress })
    }

    /// Notes an entry that is not in the archive, or not as it was.
    pub(crate) fn note(&mut self, exception: Exception) {
        self.manifest.exceptions.push(exception);
    }

    /// Appends a directory.
    pub(crate) fn directory(&mut self, path: &Path, attributes: Attributes) -> Result<(), BackupError> {
        let mut header = header(EntryType::Directory, attributes);
        self.tar.append_data(&mut header, path, io::empty()).map_err(BackupError::Archive)?;
        self.manifest.directories.push(DirectoryEntry { path: member(path), mode: attributes.mode });
        Ok(())
    }

    /// Appends a symbolic link.
    pub(crate) fn link(&mut self, path: &Path, target: &Path, attributes: Attributes) -> Result<(), BackupError> {
        let mut header = header(EntryType::Symlink, attributes);
        self.tar.append_link(&mut header, path, target).map_err(BackupError::Archive)?;
        self.manifest.links.push(LinkEntry { path: member(path), target: member(target) });
        Ok(())
    }

    /// Appends a file in the size of `attributes`, whatever becomes of it meanwhile. Returns its
    /// entry of the manifest, and what was not as it was.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        file: File,
        attributes: Attributes,
    ) -> Result<(&mut FileEntry, Option<Cause>), BackupError> {
        let before = fstat(&file).map_err(|errno| BackupError::io("read", path)(errno.into()))?;
        let mut content = Content::new(BufReader::with_capacity(READ_BYTES, file), attributes.size, &self.progress);
        let mut header = header(EntryType::Regular, attributes);
        header.set_size(attributes.size);
        self.tar.append_data(&mut header, path, &mut content).map_err(BackupError::Archive)?;
        let (sha256, padded, source) = content.finish();
        let after = fstat(source.get_ref()).ok();
        let cause = match (padded, after) {
            (Some(from), _) => Some(Cause::Padded { from }),
            (None, Some(after)) if Attributes::from(&after).size > attributes.size => Some(Cause::Grew),
            (None, Some(after)) if (after.st_mtime, after.st_mtime_nsec) != (before.st_mtime, before.st_mtime_nsec) => {
                Some(Cause::Changed)
            }
            _ => None,
        };
        let entry =
            FileEntry { path: member(path), size: attributes.size, sha256, mode: attributes.mode, database: None };
        Ok((push(&mut self.manifest.files, entry), cause))
    }

    /// Appends a file of ours with this content.
    pub(crate) fn content(&mut self, path: &Path, content: &[u8]) -> Result<(), BackupError> {
        self.append_content(path, content)?;
        let sha256 = hex::encode(Sha256::digest(content));
        let entry =
            FileEntry { path: member(path), size: content.len() as u64, sha256, mode: OURS.mode, database: None };
        self.manifest.files.push(entry);
        Ok(())
    }

    fn append_content(&mut self, path: &Path, content: &[u8]) -> Result<(), BackupError> {
        let modified = u64::try_from(self.manifest.taken_at.as_second()).unwrap_or(0);
        let mut header = header(EntryType::Regular, Attributes { modified, ..OURS });
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content).map_err(BackupError::Archive)
    }

    /// Appends checksums and manifest, and ends the archive.
    pub(crate) fn finish(mut self) -> Result<WrittenArchive<W>, BackupError> {
        let checksums = self.manifest.checksums();
        self.append_content(Path::new(CHECKSUMS), &checksums)?;
        let text = serde_json::to_vec_pretty(&self.manifest).map_err(|error| BackupError::Archive(error.into()))?;
        self.append_content(Path::new(MANIFEST), &text)?;
        let gzip = self.tar.into_inner().map_err(BackupError::Archive)?;
        let hashed = match gzip.finish().map_err(BackupError::Archive)? {
            Encrypted::No(hashed) => hashed,
            Encrypted::Age(writer) => writer.finish().map_err(BackupError::Archive)?,
        };
        let Hashed { mut output, hasher, bytes } = hashed;
        output.flush().map_err(BackupError::Archive)?;
        Ok(WrittenArchive {
            manifest: self.manifest,
            manifest_sha256: hex::encode(Sha256::digest(&text)),
            bytes,
            sha256: hex::encode(hasher.finalize()),
            output,
        })
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> &mut T {
    let index = list.len();
    list.push(item);
    &mut list[index]
}

fn member(path: &Path) -> MemberPath {
    path.to_owned().into()
}

fn header(kind: EntryType, attributes: Attributes) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid.into());
    header.set_gid(attributes.gid.into());
    header.set_mtime(attributes.modified);
    header
}

/// The content of a file in a fixed size: cut where the file is longer, padded with zeros where it
/// is shorter or cannot be read on.
struct Content<'a> {
    source: BufReader<File>,
    size: u64,
    done: u64,
    padded_from: Option<u64>,
    hasher: Sha256,
    progress: &'a Progress,
}

impl<'a> Content<'a> {
    fn new(source: BufReader<File>, size: u64, progress: &'a Progress) -> Self {
        Self { source, size, done: 0, padded_from: None, hasher: Sha256::new(), progress }
    }

    fn finish(self) -> (String, Option<u64>, BufReader<File>) {
        (hex::encode(self.hasher.finalize()), self.padded_from, self.source)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.done).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let part = &mut buffer[..wanted];
        let count = match self.padded_from {
            Some(_) => 0,
            None => match self.source.read(part) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(_) | Ok(0) => {
                    self.padded_from = Some(self.done);
                    0
                }
                Ok(count) => count,
            },
        };
        let count = if count == 0 {
            part.fill(0);
            wanted
        } else {
            count
        };
        self.hasher.update(&part[..count]);
        self.done += count as u64;
        self.progress.add(count as u64).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl<W: Write> Write for Encrypted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::No(output) => output.write(bytes),
            Self::Age(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::No(output) => output.flush(),
            Self::Age(output) => output.flush(),
        }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use mai_contract::job::{BackupId, Subject};

    use super::*;
    use crate::summary::FORMAT;

    fn writer() -> ArchiveWriter<Vec<u8>> {
        let manifest = Manifest {
            format: FORMAT,
            id: BackupId::new(Timestamp::UNIX_EPOCH, 1),
            instance: Subject { namespace: "n".into(), name: "a".into(), uid: "u".into() },
            taken_at: Timestamp::UNIX_EPOCH,
            reason: String::new(),
            image: None,
            mai_version: "1".into(),
            directories: Vec::new(),
            files: Vec::new(),
            links: Vec::new(),
            exceptions: Vec::new(),
            missing_secrets: Vec::new(),
        };
        ArchiveWriter::new(Vec::new(), None, manifest, Progress::silent()).unwrap()
    }

    #[test]
    fn file_that_grew_or_shrank_has_the_size_it_was_listed_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "0123456789").unwrap();
        let mut archive = writer();
        for (name, size, expected) in
            [("same", 10, None), ("grew", 4, Some(Cause::Grew)), ("shrank", 12, Some(Cause::Padded { from: 10 }))]
        {
            let attributes = Attributes { size, ..OURS };
            let (_, cause) = archive.file(Path::new(name), File::open(&path).unwrap(), attributes).unwrap();
            assert_eq!(cause, expected, "{name}");
        }
        let written = archive.finish().unwrap();
        let mut read = tar::Archive::new(flate2::read::GzDecoder::new(&written.output[..]));
        let mut contents = Vec::new();
        for entry in read.entries().unwrap().take(3) {
            let mut content = String::new();
            entry.unwrap().read_to_string(&mut content).unwrap();
            contents.push(content);
        }
        assert_eq!(contents, ["0123456789", "0123", "0123456789\0\0"]);
        let sums = String::from_utf8(written.manifest.checksums()).unwrap();
        assert!(sums.contains(&hex::encode(Sha256::digest("0123456789\0\0"))), "{sums}");
    }

    #[test]
    fn same_data_gives_the_same_archive() {
        let archive = || {
            let mut archive = writer();
            archive.directory(Path::new("data"), OURS).unwrap();
            archive.link(Path::new("data/link"), Path::new("to"), OURS).unwrap();
            archive.content(Path::new("instance/document.json"), b"{}").unwrap();
            archive.finish().unwrap()
        };
        let (one, two) = (archive(), archive());
        assert_eq!((&one.output, &one.sha256), (&two.output, &two.sha256));
        assert_eq!(one.sha256, hex::encode(Sha256::digest(&one.output)));
    }
}
