//! Hears that something happens in the tree, through the system's file events. Who relies on it polls as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::scan::Tree;

/// Whoever writes files writes several; it counts as heard when they have been quiet this long.
const QUIET: Duration = Duration::from_millis(60);
/// A tree that is never quiet is heard all the same after this long.
const PATIENCE: Duration = Duration::from_millis(150);

/// Hears that something happened in the tree. What exactly is for the scan to find out.
pub(super) struct Ears {
    watcher: Option<RecommendedWatcher>,
    heard: mpsc::UnboundedReceiver<Vec<PathBuf>>,
    /// Keeps `heard` open when there is no watcher to do so.
    _sender: mpsc::UnboundedSender<Vec<PathBuf>>,
    directories: BTreeSet<(PathBuf, u64)>,
    links: BTreeSet<PathBuf>,
    /// It was said that not everything is heard; once is enough.
    warned: bool,
}

impl Ears {
    /// Listens to nothing yet.
    pub(super) fn open() -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let handler = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let paths = match event {
                // Reading is what we do ourselves.
                Ok(event) if is_reading(event.kind) => return,
                Ok(event) => event.paths,
                Err(_) => Vec::new(),
            };
            // The follower is gone when nobody receives; the watcher goes with it.
            let _ = handler.send(paths);
        });
        let watcher = watcher.inspect_err(deaf).ok();
        Self { watcher, heard, _sender: sender, directories: BTreeSet::new(), links: BTreeSet::new(), warned: false }
    }

    /// Listens to the directories of the tree, and where the links that lead to it stand. True when some are new: what
    /// happened in them between the scan and now was not heard.
    pub(super) fn listen(&mut self, tree: &Tree, root: &Path) -> bool {
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
                    deaf(&error);
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

    /// Waits until something was heard and it is quiet again.
    pub(super) async fn settled(&mut self) {
        loop {
            match self.heard.recv().await {
                Some(paths) if self.concerns(&paths) => break,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
        let patience = Instant::now() + PATIENCE;
        loop {
            let until = (Instant::now() + QUIET).min(patience);
            match timeout_at(until.into(), self.heard.recv()).await {
                Ok(Some(_)) if Instant::now() < patience => {}
                _ => return,
            }
        }
    }

    /// What happens beside a link, in a folder that may be anybody's, is none of our business.
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

fn deaf(error: &notify::Error) {
    tracing::warn!(%error, "the directory cannot be listened to, so changes are seen only when it is polled");
}
