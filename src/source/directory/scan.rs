//! Reads the tree of files: what is there, what could not be read, and which directories to listen
//! to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::parse::{ParsedFile, not_text, parse};

/// A document of a megabyte is a mistake, and reading it again and again a burden.
const LARGEST: u64 = 1 << 20;
/// A file changed this shortly before it was read may have changed again within the same tick of
/// the file system's clock.
const SETTLED: Duration = Duration::from_millis(100);

/// Why such a copy is not read.
const CONFLICT_COPY: &str = "it is a copy that a sync tool made of a conflict, and is passed over; take what is missing into the original, and remove it";

/// Result of a scan.
#[derive(Debug)]
pub(crate) struct Tree {
    /// State of the directory itself.
    pub root: Root,
    /// The YAML files, by the path a person would use.
    pub files: BTreeMap<PathBuf, File>,
    /// Folders that could not be read, and why.
    pub unreadable: BTreeMap<PathBuf, String>,
    /// Real directories that were read, with their inodes.
    pub directories: BTreeSet<(PathBuf, u64)>,
    /// The symbolic links that lead to the directory; any of them may be pointed elsewhere.
    pub links: BTreeSet<PathBuf>,
}

/// State of the directory itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// It could.
    Readable,
    /// There is nothing of that name.
    Missing,
    /// It is something else.
    NotADirectory,
    /// The system refused.
    Unreadable(String),
}

/// A YAML file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    stamp: Stamp,
    /// Its content changed so recently that the stamp alone does not tell it from the next content.
    unsettled: bool,
    /// Its permission bits.
    pub mode: u32,
    /// A link leads to it that goes out of the directory.
    pub is_outside: bool,
    /// A sync tool made it of two versions; it is not read.
    pub is_conflict_copy: bool,
    /// Its contents, or why it could not be read.
    pub content: Result<Arc<ParsedFile>, String>,
}

/// Metadata that changes with the content of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_recent(&self) -> bool {
        let changed =
            Duration::new(u64::try_from(self.changed.0).unwrap_or(0), u32::try_from(self.changed.1).unwrap_or(0));
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed).is_ok_and(|age| age < SETTLED)
    }
}

impl Tree {
    /// Nothing yet, for a first scan to start from.
    pub(crate) fn none() -> Self {
        Self {
            root: Root::Missing,
            files: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            directories: BTreeSet::new(),
            links: BTreeSet::new(),
        }
    }

    /// Returns whether another scan found the same files with the same content.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.root == other.root
            && self.unreadable == other.unreadable
            && self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(|((path, file), (other_path, other))| {
                path == other_path && file.stamp == other.stamp && file.content.as_ref().err() == other.content.as_ref().err()
                    // Read again although the stamp is the same: who reads makes a new allocation.
                    && match (&file.content, &other.content) {
                        (Ok(a), Ok(b)) => Arc::ptr_eq(a, b),
                        _ => true,
                    }
            })
    }

    /// Returns why a missing file may not be taken for removed; None when it may.
    pub(crate) fn removes_nothing(&self) -> Option<String> {
        let what_to_do = "which removes nothing: every instance stays as it is";
        match &self.root {
            Root::Missing => Some(format!("the directory is not there, {what_to_do}; mount or create it again")),
            Root::NotADirectory => {
                Some(format!("the directory is not a directory, {what_to_do}; put the directory back"))
            }
            Root::Unreadable(why) => {
                Some(format!("the directory cannot be read ({why}), {what_to_do}; let mai read it again"))
            }
            Root::Readable if self.files.is_empty() => Some(format!(
                "the directory holds no YAML file, {what_to_do}; to remove all instances, leave one .yaml file there that holds a comment only"
            )),
            Root::Readable => None,
        }
    }
}

/// Reads the tree below `root`; files that are as they were in `previous` are not read again.
pub(crate) fn scan(root: &Path, previous: &Tree) -> Tree {
    let mut tree = Tree { links: links_to(root), ..Tree::none() };
    // Resolved once, so that all files come from one tree even when a link is swapped meanwhile.
    let real = match root.canonicalize() {
        Ok(real) => real,
        Err(error) => {
            tree.root = root_error(&error);
            return tree;
        }
    };
    let mut scan = Scan { previous, tree: &mut tree, read: BTreeSet::new(), roots: Some((root, &real)) };
    let outcome = fs::metadata(&real).and_then(|metadata| scan.directory(root, &real, &metadata, &mut Vec::new()));
    tree.root = outcome.map_or_else(|error| root_error(&error), |()| Root::Readable);
    tree
}

/// Reads a directory once, or a single file as a tree of one, whatever it is called.
pub(crate) fn read(path: &Path) -> Tree {
    let previous = Tree::none();
    if path.is_dir() || !path.exists() {
        return scan(path, &previous);
    }
    let mut tree = Tree { root: Root::Readable, ..Tree::none() };
    Scan { previous: &previous, tree: &mut tree, read: BTreeSet::new(), roots: None }.file(path, path);
    tree
}

fn root_error(error: &io::Error) -> Root {
    match error.kind() {
        io::ErrorKind::NotFound => Root::Missing,
        io::ErrorKind::NotADirectory => Root::NotADirectory,
        _ => Root::Unreadable(error.to_string()),
    }
}

/// The chain of symbolic links from `root` to where it really is.
fn links_to(root: &Path) -> BTreeSet<PathBuf> {
    let mut links = BTreeSet::new();
    let mut path = root.to_owned();
    while let Ok(target) = fs::read_link(&path) {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let next = parent.join(target);
        if !links.insert(path) {
            break;
        }
        path = next;
    }
    if links.is_empty() && !root.exists() {
        links.insert(root.to_owned());
    }
    links
}

struct Scan<'a> {
    previous: &'a Tree,
    tree: &'a mut Tree,
    /// Real paths of the files read, since two links to one file are one file.
    read: BTreeSet<PathBuf>,
    /// The directory as it is named, and without links; absent for a single file.
    roots: Option<(&'a Path, &'a Path)>,
}

impl Scan<'_> {
    fn directory(
        &mut self,
        shown: &Path,
        real: &Path,
        metadata: &Metadata,
        above: &mut Vec<(u64, u64)>,
    ) -> io::Result<()> {
        let identity = (metadata.dev(), metadata.ino());
        if above.contains(&identity) {
            return Ok(());
        }
        let mut names: Vec<_> =
            fs::read_dir(real)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        names.sort();
        self.tree.directories.insert((real.to_owned(), metadata.ino()));
        above.push(identity);
        for name in names {
            let text = name.to_string_lossy();
            if is_ignored(&text) {
                continue;
            }
            let (shown, real) = (shown.join(&name), real.join(&name));
            match fs::metadata(&real) {
                Ok(metadata) if metadata.is_dir() => {
                    let outcome = real.canonicalize().and_then(|real| self.directory(&shown, &real, &metadata, above));
                    if let Err(error) = outcome {
                        self.unreadable(shown, &real, &error);
                    }
                }
                Ok(metadata) if is_yaml(&text) && is_conflict_copy(&text) => {
                    let file = File::unreadable(Stamp::from_metadata(&metadata), &io::Error::other(CONFLICT_COPY));
                    self.tree.files.insert(shown, File { is_conflict_copy: true, ..file });
                }
                Ok(_) if is_yaml(&text) => self.file(&shown, &real),
                Ok(_) => {}
                Err(error) if is_yaml(&text) => {
                    if !vanished(&real, &error) {
                        self.tree.files.insert(shown, File::unreadable(Stamp::default(), &error));
                    }
                }
                // It may be a folder of documents; what was in it must not count as removed.
                Err(error) => self.unreadable(shown, &real, &error),
            }
        }
        above.pop();
        Ok(())
    }

    fn unreadable(&mut self, shown: PathBuf, real: &Path, error: &io::Error) {
        if !vanished(real, error) {
            self.tree.unreadable.insert(shown, error.to_string());
        }
    }

    fn file(&mut self, shown: &Path, real: &Path) {
        let identity = real.canonicalize().unwrap_or_else(|_| real.to_owned());
        let place = self.place(&identity);
        let is_outside = self.roots.is_some_and(|(_, root)| !identity.starts_with(root));
        let shown = place.as_deref().unwrap_or(shown);
        if !self.read.insert(identity) {
            return;
        }
        let metadata = match fs::metadata(real) {
            Ok(metadata) => metadata,
            Err(error) => {
                if !vanished(real, &error) {
                    self.tree.files.insert(shown.to_owned(), File::unreadable(Stamp::default(), &error));
                }
                return;
            }
        };
        let stamp = Stamp::from_metadata(&metadata);
        let known = self.previous.files.get(shown);
        let file = match known {
            Some(known) if known.stamp == stamp && known.content.is_ok() && !known.unsettled => known.clone(),
            _ if !metadata.is_file() => File::unreadable(stamp, &io::Error::other("it is not a regular file")),
            _ if metadata.len() > LARGEST => File::unreadable(stamp, &io::Error::other("it is larger than 1 MiB")),
            _ => match fs::read(real) {
                Ok(bytes) => File::read(stamp, &bytes),
                Err(error) if vanished(real, &error) => return,
                Err(error) => File::unreadable(stamp, &error),
            },
        };
        self.tree.files.insert(shown.to_owned(), File { is_outside, ..file });
    }

    /// Returns the path of a file of the directory by which it is known, whatever link leads to it:
    /// its folder says whose it is. A file in a hidden folder, as of a ConfigMap, is known by its
    /// link.
    fn place(&self, identity: &Path) -> Option<PathBuf> {
        let (root, real) = self.roots?;
        let below = identity.strip_prefix(real).ok()?;
        let is_seen = below.iter().all(|part| !is_ignored(&part.to_string_lossy()));
        is_seen.then(|| root.join(below))
    }
}

impl File {
    fn read(stamp: Stamp, bytes: &[u8]) -> Self {
        let parsed = std::str::from_utf8(bytes).map_or_else(|_| not_text(bytes), parse);
        Self { unsettled: stamp.is_recent(), ..Self::new(stamp, Ok(Arc::new(parsed))) }
    }

    fn unreadable(stamp: Stamp, error: &io::Error) -> Self {
        Self::new(stamp, Err(error.to_string()))
    }

    fn new(stamp: Stamp, content: Result<Arc<ParsedFile>, String>) -> Self {
        let mode = stamp.mode & 0o7777;
        Self { unsettled: false, mode, is_outside: false, is_conflict_copy: false, stamp, content }
    }
}

/// Returns whether the entry itself was removed during the scan; a dangling link was not.
fn vanished(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err()
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Returns whether a name is one that Syncthing, Dropbox, Nextcloud or ownCloud give to the other
/// version of a file.
fn is_conflict_copy(name: &str) -> bool {
    let name = name.to_lowercase();
    [".sync-conflict-", "conflicted copy", "(case conflict", "_conflict-20"].iter().any(|mark| name.contains(mark))
}

/// Returns whether an entry is hidden (such as Kubernetes' `..data` and `.git`) or a left-over of
/// an editor.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.')
        || name.ends_with('~')
        || name.starts_with('#')
        || name.ends_with(".tmp")
        || name.ends_with(".swp")
        || name == "4913"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(tree: &Tree, root: &Path) -> Vec<String> {
        tree.files.keys().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn only_documents_are_read() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for name in ["a.yaml", "b.yml", ".c.yaml", "d.yaml~", "#e.yaml#", ".f.yaml.swp", "g.yaml.tmp", "4913", "h.txt"]
        {
            fs::write(root.join(name), "a: 1\n").unwrap();
        }
        fs::create_dir_all(root.join("sub/.git")).unwrap();
        fs::write(root.join("sub/i.yaml"), "a: 1\n").unwrap();
        fs::write(root.join("sub/.git/j.yaml"), "a: 1\n").unwrap();
        assert_eq!(names(&scan(root, &Tree::none()), root), ["a.yaml", "b.yml", "sub/i.yaml"]);
    }

    #[test]
    fn links_are_followed_loops_are_not_and_one_file_counts_once() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("a.yaml"), "a: 1\n").unwrap();
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        symlink(outside.path(), root.join("linked")).unwrap();
        symlink(outside.path().join("a.yaml"), root.join("same.yaml")).unwrap();
        symlink(root, root.join("loop")).unwrap();
        let tree = scan(root, &Tree::none());
        assert_eq!(names(&tree, root), ["linked/a.yaml"]);
        assert!(tree.directories.iter().any(|(path, _)| path == &outside.path().canonicalize().unwrap()));
    }

    #[test]
    fn copies_of_sync_tools_are_not_read() {
        for (name, is_copy) in [
            ("a.sync-conflict-20260101-120000-ABCDEFG.yaml", true),
            ("a (conflicted copy 2026-01-01 120000).yaml", true),
            ("a (Ada's Conflicted Copy 2026-01-01).yml", true),
            ("a (Case Conflict).yaml", true),
            ("a_conflict-20260101-120000.yaml", true),
            ("conflict.yaml", false),
            ("a-copy.yaml", false),
        ] {
            assert_eq!(is_conflict_copy(name), is_copy, "{name}");
        }
    }

    #[test]
    fn file_is_known_by_its_place_and_not_by_a_link() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("far.yaml"), "a: 1\n").unwrap();
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["b", "0", "..data"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        fs::write(root.join("b/own.yaml"), "a: 1\n").unwrap();
        fs::write(root.join("..data/mounted.yaml"), "a: 1\n").unwrap();
        symlink("../b/own.yaml", root.join("0/stolen.yaml")).unwrap();
        symlink("../b", root.join("0/folder")).unwrap();
        symlink("..data/mounted.yaml", root.join("mounted.yaml")).unwrap();
        symlink(outside.path().join("far.yaml"), root.join("0/far.yaml")).unwrap();
        let tree = scan(root, &Tree::none());
        assert_eq!(names(&tree, root), ["0/far.yaml", "b/own.yaml", "mounted.yaml"]);
        let outside: Vec<bool> = tree.files.values().map(|file| file.is_outside).collect();
        assert_eq!(outside, [true, false, false]);
    }

    #[test]
    fn what_leads_nowhere_is_unreadable_not_gone() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        symlink("nowhere", root.join("folder")).unwrap();
        symlink("nowhere.yaml", root.join("file.yaml")).unwrap();
        let tree = scan(root, &Tree::none());
        assert!(tree.unreadable.contains_key(&root.join("folder")), "{tree:?}");
        assert!(tree.files[&root.join("file.yaml")].content.is_err());
    }

    #[test]
    fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.yaml");
        fs::write(&path, "a: 1\n").unwrap();
        std::thread::sleep(SETTLED);
        let first = scan(root.path(), &Tree::none());
        let second = scan(root.path(), &first);
        assert!(second.is_same(&first));
        fs::write(&path, "a: 2\n").unwrap();
        let third = scan(root.path(), &second);
        assert!(!third.is_same(&second));
        assert!(third.files[&path].unsettled, "it was changed just now");
    }

    #[test]
    fn the_links_to_a_directory_are_known() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        fs::create_dir_all(base.join("trees/1")).unwrap();
        symlink("trees/1", base.join("current")).unwrap();
        symlink("current", base.join("documents")).unwrap();
        let tree = scan(&base.join("documents"), &Tree::none());
        assert_eq!(tree.links, BTreeSet::from([base.join("current"), base.join("documents")]));
        assert_eq!(tree.root, Root::Readable);
        assert_eq!(scan(&base.join("none"), &Tree::none()).root, Root::Missing);
    }
}
