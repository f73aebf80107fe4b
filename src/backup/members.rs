//! Reads the members of a tar archive one after the other, in bounded memory, and refuses whatever
//! cannot be a file, directory or symbolic link below the archive's root. The archive may come from
//! anybody.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// Longest name or set of attributes of a member, in bytes.
const MAX_EXTENSION: u64 = 64 << 10;
/// Longest path of a member, in bytes.
const MAX_PATH: usize = 4096;
/// Longest component of a path, in bytes.
const MAX_NAME: usize = 255;
/// Most zeros after the last member, in bytes.
const MAX_PADDING: u64 = 1 << 20;

/// Reader of the members of an archive.
pub(super) struct Members<R> {
    input: R,
    /// Bytes of the current member that were not read.
    left: u64,
    /// Bytes that fill its last block.
    padding: u64,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Path below the root, of plain components alone.
    pub(super) path: PathBuf,
    /// Kind, with what goes with it.
    pub(super) kind: MemberKind,
}

/// Kind of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// A file of this many bytes, with its permissions and its last change in seconds since 1970.
    File { size: u64, mode: u32, modified: i64 },
    /// A directory with its permissions.
    Directory { mode: u32 },
    /// A symbolic link to a target that nobody follows here.
    Link { target: PathBuf },
}

/// Failure to read an archive.
#[derive(Debug)]
pub(super) enum MemberError {
    /// The stream below failed or ended too early.
    Io(io::Error),
    /// The archive holds what is refused, as a sentence.
    Refused(String),
}

impl From<io::Error> for MemberError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Properties of a member that extension headers before it declare.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Members<R> {
    /// Returns the members of an uncompressed archive.
    pub(super) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// Returns the next member, whose content can then be read; None after the last. What was not
    /// read of the member before is skipped.
    pub(super) fn next_member(&mut self) -> Result<Option<Member>, MemberError> {
        let mut extensions = Extensions::default();
        let mut is_extended = false;
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return if is_extended {
                    Err(refused("it ends between the name of a member and the member"))
                } else {
                    Ok(None)
                };
            };
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|_| refused("the size of a member is not a number"))?;
            match kind {
                EntryType::GNULongName => extensions.path = Some(until_nul(self.extension(size)?)),
                EntryType::GNULongLink => extensions.target = Some(until_nul(self.extension(size)?)),
                EntryType::XHeader => extensions.read_pax(&self.extension(size)?)?,
                _ => return self.member(&header, size, extensions).map(Some),
            }
            is_extended = true;
        }
    }

    /// Fails unless nothing but zeros follows the last member. To be called after it.
    pub(super) fn expect_end(&mut self) -> Result<(), MemberError> {
        let mut buffer = [0; 4096];
        let mut total = 0;
        loop {
            let count = self.input.read(&mut buffer)?;
            total += count as u64;
            if count == 0 {
                return Ok(());
            }
            if total > MAX_PADDING || buffer[..count].iter().any(|byte| *byte != 0) {
                return Err(refused("it goes on after its end"));
            }
        }
    }

    fn member(&mut self, header: &Header, size: u64, extensions: Extensions) -> Result<Member, MemberError> {
        let size = extensions.size.unwrap_or(size);
        let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = plain_path(&name)?;
        let named = Named(&path);
        let mode = header.mode().map_err(|_| refused(format!("the permissions of {named} are not a number")))? & 0o777;
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if !name.ends_with(b"/") => {
                MemberKind::File { size, mode, modified: i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0) }
            }
            EntryType::Directory | EntryType::Regular if size == 0 => MemberKind::Directory { mode },
            EntryType::Symlink if size == 0 => {
                let target = extensions.target.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
                let target = target.unwrap_or_default();
                if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) {
                    return Err(refused(format!("the link {named} has no proper target")));
                }
                MemberKind::Link { target: PathBuf::from(OsStr::from_bytes(&target)) }
            }
            EntryType::Link => return Err(refused(format!("{named} is a hard link"))),
            EntryType::Char | EntryType::Block => return Err(refused(format!("{named} is a device"))),
            EntryType::Fifo => return Err(refused(format!("{named} is a named pipe"))),
            EntryType::GNUSparse => {
                return Err(refused(format!("{named} is stored with holes; make the archive without --sparse")));
            }
            _ => return Err(refused(format!("{named} is of a kind that is not known"))),
        };
        if path.as_os_str().is_empty() && !matches!(kind, MemberKind::Directory { .. }) {
            return Err(refused("a member has no name"));
        }
        self.begin(size);
        Ok(Member { path, kind })
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK;
    }

    /// Returns the next header; None at the block of zeros that ends an archive, or where the
    /// stream ends without.
    fn header(&mut self) -> Result<Option<Header>, MemberError> {
        let mut header = Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..])? {
                0 => return Err(MemberError::Io(io::ErrorKind::UnexpectedEof.into())),
                count => filled += count,
            }
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own eight bytes as spaces.
        let sum = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        match header.cksum() {
            Ok(expected) if expected == sum => Ok(Some(header)),
            _ => Err(refused("it is not a tar archive, or is damaged: a header has the wrong checksum")),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, MemberError> {
        if size > MAX_EXTENSION {
            return Err(refused(format!("the name of a member has {size} bytes")));
        }
        self.begin(size);
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }

    fn skip(&mut self) -> Result<(), MemberError> {
        let rest = self.left.checked_add(self.padding);
        let rest = rest.ok_or_else(|| refused("the size of a member is larger than any archive"))?;
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(MemberError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }
}

/// Reads the content of the current member. An archive that ends within it is an error.
impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.input.read(&mut buffer[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Extensions {
    /// Reads records of the form `LENGTH KEY=VALUE\n`, of which LENGTH counts all.
    fn read_pax(&mut self, mut records: &[u8]) -> Result<(), MemberError> {
        let wrong = || refused("the attributes of a member cannot be read");
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length: usize =
                str::from_utf8(&records[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
            let record =
                records.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => {
                    let size = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(wrong)?);
                }
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(refused("a file is stored with holes; make the archive without --sparse"));
                }
                _ => {}
            }
            records = &records[length..];
        }
        Ok(())
    }
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(end);
    text
}

/// Returns a path of plain components, without `.`; empty for the root itself.
fn plain_path(name: &[u8]) -> Result<PathBuf, MemberError> {
    let shown = Named(Path::new(OsStr::from_bytes(name)));
    if name.len() > MAX_PATH {
        return Err(refused(format!("a path has {} bytes", name.len())));
    }
    if name.starts_with(b"/") {
        return Err(refused(format!("{shown} is an absolute path")));
    }
    let mut path = PathBuf::new();
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(refused(format!("{shown} leads out of the archive"))),
            _ if component.len() > MAX_NAME => return Err(refused(format!("{shown} has a name that is too long"))),
            _ if component.contains(&0) => return Err(refused(format!("{shown} has a zero byte in its name"))),
            _ => path.push(OsStr::from_bytes(component)),
        }
    }
    Ok(path)
}

fn refused(what: impl Into<String>) -> MemberError {
    MemberError::Refused(what.into())
}

/// A path in a sentence: in quotation marks, without control characters, cut where it is long.
pub(super) struct Named<'a>(pub(super) &'a Path);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let text = self.0.to_string_lossy();
        let cut: String = text.chars().take(SHOWN).collect();
        let more = if cut.len() < text.len() { "…" } else { "" };
        write!(f, "{cut:?}{more}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "members_tests.rs"]
mod tests;
