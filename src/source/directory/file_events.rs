//! File events of the tree. They are a hint: the caller polls as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::scan::Tree;

/// Time without an event after which a group of writes counts as finished.
const QUIET: Duration = Duration::from_millis(60);
/// Longest wait for the end of a group of writes.
const LONGEST_WAIT: Duration = Duration::from_millis(150);

/// File events of a tree. The scan finds out what has changed.
pub(super) struct FileEvents {
    watcher: Option<RecommendedWatcher>,
    heard: mpsc::UnboundedReceiver<Vec<PathBuf>>,
    /// Keeps `heard` open when there is no watcher to do so.
    _sender: mpsc::UnboundedSender<Vec<PathBuf>>,
    directories: BTreeSet<(PathBuf, u64)>,
    links: BTreeSet<PathBuf>,
    /// The warning about missing events was logged.
    warned: bool,
}

impl FileEvents {
    /// Returns events of nothing yet.
    pub(super) fn open() -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let handler = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let paths = match event {
                // The scan itself reads.
                Ok(event) if is_reading(event.kind) => return,
                Ok(event) => event.paths,
                Err(_) => Vec::new(),
            };
            // The follower is gone when nobody receives; the watcher goes with it.
            let _ = handler.send(paths);
        });
        let watcher = watcher.inspect_err(warn_unwatched).ok();
        Self { watcher, heard, _sender: sender, directories: BTreeSet::new(), links: BTreeSet::new(), warned: false }
    }

    /// Watches the directories of the tree and of the links that lead to it. Returns true when some
    /// are new: changes in them between the scan and now were missed.
    pub(super) fn watch_tree(&mut self, tree: &Tree, root: &Path) -> bool {
        self.links.clone_from(&tree.links);
        let mut wanted = tree.directories.clone();
        // The parent as well: a directory that is replaced as a whole takes the watch on it along.
        for link in tree.links.iter().map(PathBuf::as_path).chain([root]) {
            if let Some(parent) = link.parent() {
                wanted.insert((parent.to_owned(), 0));
            }
        }
        self.links.insert(root.to_owned());
        let Some(watcher) = &mut self.watcher else { return false };
        for (path, _) in self.directories.difference(&wanted) {
            // It is usually gone, and its watch with it.
            let _ = watcher.unwatch(path);
        }
        let mut failed = BTreeSet::new();
        for (path, inode) in wanted.difference(&self.directories) {
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                if !self.warned {
                    warn_unwatched(&error);
                    self.warned = true;
                }
                failed.insert((path.clone(), *inode));
            }
        }
        wanted.retain(|directory| !failed.contains(directory));
        let is_more = !wanted.is_subset(&self.directories);
        self.directories = wanted;
        is_more
    }

    /// Waits for the end of a group of events.
    pub(super) async fn settled(&mut self) {
        loop {
            match self.heard.recv().await {
                Some(paths) if self.concerns(&paths) => break,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
        let patience = Instant::now() + LONGEST_WAIT;
        loop {
            let until = (Instant::now() + QUIET).min(patience);
            match timeout_at(until.into(), self.heard.recv()).await {
                Ok(Some(_)) if Instant::now() < patience => {}
                _ => return,
            }
        }
    }

    /// Returns whether a change concerns the tree, not only a neighbour of a link.
    fn concerns(&self, paths: &[PathBuf]) -> bool {
        paths.is_empty()
            || paths.iter().any(|path| {
                let is_ours =
                    |path: &Path| self.directories.iter().any(|(directory, inode)| *inode != 0 && directory == path);
                self.links.contains(path) || is_ours(path) || path.parent().is_some_and(is_ours)
            })
    }
}

fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn warn_unwatched(error: &notify::Error) {
    tracing::warn!(%error, "the directory cannot be watched; changes are seen when it is polled");
}
