//! Members that were found in an archive while it was read, and their comparison with the manifest.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::archive_reader::{DatabaseCheck, ReadError};
use crate::manifest::{CHECKSUMS, DATA, FileEntry, MANIFEST, Manifest};
use crate::members::{Member, MemberKind, Named};
use crate::summary::{FORMAT, Summary};

/// Most members of an archive. Each is remembered until the end.
const MAX_MEMBERS: usize = 1_000_000;
/// Longest list of all members: so many bytes, and so many more for each member.
const LIST_BYTES: u64 = 16 << 20;
const LIST_BYTES_PER_MEMBER: u64 = 8 << 10;

/// Members of an archive, by path.
pub(crate) struct Contents<'a> {
    summary: Option<&'a Summary>,
    members: BTreeMap<PathBuf, Found>,
    data: Totals,
    max_data_bytes: u64,
    manifest_sha256: String,
}

/// A member that was read.
enum Found {
    Directory { mode: u32 },
    Link { target: PathBuf },
    File(Box<FoundFile>),
}

struct FoundFile {
    size: u64,
    mode: u32,
    sha256: [u8; 32],
    database: Option<DatabaseCheck>,
}

/// Counts of the data.
#[derive(Default, PartialEq, Eq, Clone, Copy)]
struct Totals {
    bytes: u64,
    files: u64,
    databases: u64,
}

impl<'a> Contents<'a> {
    /// Returns the contents of an archive that nothing was read of. It may hold `max_data_bytes` of
    /// data.
    pub(crate) fn new(summary: Option<&'a Summary>, max_data_bytes: u64) -> Self {
        let members = BTreeMap::new();
        Self { summary, members, data: Totals::default(), max_data_bytes, manifest_sha256: String::new() }
    }

    /// Fails if a member exists already, lies behind a link or a file, or is more than the archive
    /// may hold.
    pub(crate) fn expect_room(&mut self, member: &Member) -> Result<(), ReadError> {
        let shown = Named(&member.path);
        if self.members.contains_key(&member.path) {
            return content(format!("{shown} is in it twice"));
        }
        for above in member.path.ancestors().skip(1) {
            let what = match self.members.get(above) {
                Some(Found::Link { .. }) => "link",
                Some(Found::File(_)) => "file",
                Some(Found::Directory { .. }) | None => continue,
            };
            return content(format!("{shown} lies behind the {what} {}", Named(above)));
        }
        if self.members.len() >= MAX_MEMBERS {
            return content(format!("it has more than {MAX_MEMBERS} members"));
        }
        if let MemberKind::File { size, .. } = member.kind
            && (self.summary.is_none() || member.path.starts_with(DATA))
        {
            self.data.files += 1;
            self.data.bytes = self.data.bytes.saturating_add(size);
            if self.data.bytes > self.max_data_bytes {
                return content(format!("it holds more than the {} bytes of data that it should", self.max_data_bytes));
            }
            if let Some(summary) = self.summary
                && self.data.files > summary.files
            {
                return content(format!("it holds more than the {} files that its summary names", summary.files));
            }
        }
        Ok(())
    }

    /// Adds a directory or link.
    pub(crate) fn add(&mut self, member: Member) {
        let found = match member.kind {
            MemberKind::Directory { mode } => Found::Directory { mode },
            MemberKind::Link { target } => Found::Link { target },
            MemberKind::File { .. } => return,
        };
        self.members.insert(member.path, found);
    }

    /// Adds a file.
    pub(crate) fn add_file(&mut self, member: Member, sha256: [u8; 32], database: Option<DatabaseCheck>) {
        if let MemberKind::File { size, mode, .. } = member.kind {
            let file = FoundFile { size, mode, sha256, database };
            self.members.insert(member.path, Found::File(Box::new(file)));
        }
    }

    /// Fails if one of the two lists of members is longer than it can need to be.
    pub(crate) fn expect_length(&self, list: &str, size: u64) -> Result<(), ReadError> {
        if size > LIST_BYTES + LIST_BYTES_PER_MEMBER * self.members.len() as u64 {
            return content(format!("{list} has {size} bytes, which is more than it can need"));
        }
        Ok(())
    }

    /// Reads the manifest.
    pub(crate) fn read_manifest(&mut self, content_of: impl Read, size: u64) -> Result<Manifest, ReadError> {
        self.expect_length(MANIFEST, size)?;
        let mut reader = Hashing { input: content_of, hasher: Sha256::new() };
        let parsed = serde_json::from_reader::<_, Manifest>(BufReader::new(&mut reader));
        io::copy(&mut reader, &mut io::sink())?;
        self.manifest_sha256 = hex::encode(reader.hasher.finalize());
        match parsed {
            Ok(manifest) if manifest.format == FORMAT => Ok(manifest),
            Ok(manifest) => content(format!(
                "it is of format {}, and this version of mai reads format {FORMAT}; use a newer version",
                manifest.format
            )),
            Err(error) => content(format!("{MANIFEST} cannot be read: {error}")),
        }
    }

    /// Compares what was found with the manifest and the summary. Returns the manifest.
    pub(crate) fn compare(mut self, manifest: Manifest) -> Result<Manifest, ReadError> {
        if let Some(summary) = self.summary {
            if manifest.id != summary.id || manifest.instance != summary.instance {
                return content(format!(
                    "it is backup {} of {}/{} ({}), not {} of {}/{} ({})",
                    manifest.id,
                    manifest.instance.namespace,
                    manifest.instance.name,
                    manifest.instance.uid,
                    summary.id,
                    summary.instance.namespace,
                    summary.instance.name,
                    summary.instance.uid,
                ));
            }
            if self.manifest_sha256 != summary.manifest_sha256 {
                return content(format!("its {MANIFEST} is not the one that the summary was written for"));
            }
        }
        self.compare_checksums(&manifest)?;
        for entry in &manifest.files {
            match self.members.remove(entry.path.as_path()) {
                Some(Found::File(file)) => self.compare_file(entry, &file)?,
                _ => return missing(entry.path.as_path()),
            }
        }
        for entry in &manifest.links {
            match self.members.remove(entry.path.as_path()) {
                Some(Found::Link { target }) if target == entry.target.as_path() => {}
                Some(Found::Link { target }) => {
                    return content(format!(
                        "{} points to {}, and {MANIFEST} says to {}",
                        entry.path,
                        Named(&target),
                        entry.target
                    ));
                }
                _ => return missing(entry.path.as_path()),
            }
        }
        for entry in &manifest.directories {
            match self.members.remove(entry.path.as_path()) {
                Some(Found::Directory { mode }) if mode == entry.mode & 0o777 => {}
                Some(Found::Directory { .. }) => {
                    return content(format!("{} has other permissions than {MANIFEST} says", entry.path));
                }
                _ => return missing(entry.path.as_path()),
            }
        }
        // The directories that every archive has.
        let is_extra = |(path, found): (&PathBuf, &Found)| {
            let is_frame = matches!(found, Found::Directory { .. })
                && (path == Path::new(DATA) || path.starts_with("instance") || path.as_os_str().is_empty());
            (!is_frame).then(|| path.clone())
        };
        if let Some(path) = self.members.iter().find_map(is_extra) {
            return content(format!("{} is in it, and {MANIFEST} does not name it", Named(&path)));
        }
        self.compare_totals()?;
        Ok(manifest)
    }

    fn compare_checksums(&mut self, manifest: &Manifest) -> Result<(), ReadError> {
        let Some(Found::File(found)) = self.members.remove(Path::new(CHECKSUMS)) else {
            return missing(Path::new(CHECKSUMS));
        };
        if found.sha256 != <[u8; 32]>::from(Sha256::digest(manifest.checksums())) {
            return content(format!("{CHECKSUMS} and {MANIFEST} do not agree"));
        }
        Ok(())
    }

    fn compare_file(&mut self, entry: &FileEntry, found: &FoundFile) -> Result<(), ReadError> {
        let path = &entry.path;
        if found.size != entry.size {
            return content(format!("{path} has {} bytes, and {MANIFEST} says {}", found.size, entry.size));
        }
        let sha256 = hex::encode(found.sha256);
        if sha256 != entry.sha256 {
            return content(format!("{path} has the SHA-256 {sha256}, and {MANIFEST} says {}", entry.sha256));
        }
        if found.mode != entry.mode & 0o777 {
            return content(format!("{path} has other permissions than {MANIFEST} says"));
        }
        let Some(expected) = &entry.database else { return Ok(()) };
        self.data.databases += 1;
        match &found.database {
            Some(Ok(info)) if info == expected => Ok(()),
            Some(Ok(info)) => content(format!("database {path} is {info:?}, and {MANIFEST} says {expected:?}")),
            Some(Err(damage)) => content(format!("database {path} is damaged: {damage}")),
            None => content(format!("{path} is no database, and {MANIFEST} says that it is one")),
        }
    }

    fn compare_totals(&self) -> Result<(), ReadError> {
        let Some(summary) = self.summary else { return Ok(()) };
        let expected = Totals { bytes: summary.data_bytes, files: summary.files, databases: summary.databases };
        if self.data == expected {
            return Ok(());
        }
        content(format!(
            "it holds {} files with {} bytes and {} databases, and its summary says {}, {} and {}",
            self.data.files, self.data.bytes, self.data.databases, expected.files, expected.bytes, expected.databases
        ))
    }
}

fn content<T>(what: String) -> Result<T, ReadError> {
    Err(ReadError::Content(what))
}

fn missing<T>(path: &Path) -> Result<T, ReadError> {
    content(format!("{} is not in it, or not as often as {MANIFEST} names it", Named(path)))
}

struct Hashing<R> {
    input: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
