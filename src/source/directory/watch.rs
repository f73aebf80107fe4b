//! Follows the tree and turns what happens to it into the stream. Owns all that moves: one task, no
//! locks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::runtime::watcher::Event;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::file_events::FileEvents;
use super::object::object;
use super::parse::Key;
use super::provider::Provider;
use super::scan::{Tree, scan};
use super::scan_plan::{BELIEF, Kept, plan};
use super::secrets::Secrets;
use crate::api::{MaiInstance, PlatformKind};
use crate::core::EventKind;
use crate::source::policy::FollowedPolicy;
use crate::state::{KnownDocument, Problem, State, StateError};

/// Interval between scans without an event, in case one was lost.
const POLL: Duration = Duration::from_secs(2);

/// The workload of a deleted instance is gone.
#[derive(Debug)]
pub(super) struct Release {
    pub key: Key,
    pub done: oneshot::Sender<Result<(), StateError>>,
}

/// Follows the tree.
pub(super) struct Follower {
    root: PathBuf,
    platform: PlatformKind,
    policy: FollowedPolicy,
    state: State,
    secrets: Secrets,
    known: BTreeMap<Key, KnownDocument>,
    tree: Arc<Tree>,
    missing: BTreeMap<Key, Instant>,
    /// Something could not be written to the state; the same tree has to be gone through again.
    unfinished: bool,
    /// The stream has begun; before that, nothing may be shown one by one.
    begun: bool,
    noted: BTreeSet<(String, String)>,
    problems: watch::Sender<Vec<Problem>>,
    output: mpsc::UnboundedSender<Event<MaiInstance>>,
}

impl Follower {
    /// Takes a first look, a second one when something seems to be gone, and shows all that stands.
    pub(super) async fn start(
        root: PathBuf,
        platform: PlatformKind,
        policy: FollowedPolicy,
        state: State,
        secrets: Secrets,
        problems: watch::Sender<Vec<Problem>>,
        output: mpsc::UnboundedSender<Event<MaiInstance>>,
    ) -> Result<Self, StateError> {
        let known = state.documents().await?;
        let known = known.into_iter().map(|row| ((row.namespace.clone(), row.name.clone()), row)).collect();
        let mut follower = Self {
            root,
            platform,
            policy,
            state,
            secrets,
            known,
            tree: Arc::new(Tree::none()),
            missing: BTreeMap::new(),
            unfinished: true,
            begun: false,
            noted: BTreeSet::new(),
            problems,
            output,
        };
        follower.rescan().await?;
        if !follower.missing.is_empty() {
            tokio::time::sleep(BELIEF).await;
            follower.rescan().await?;
        }
        Ok(follower)
    }

    /// Returns the last scan.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns whether any instance is known that is not yet removed.
    pub(super) fn knows_any(&self) -> bool {
        self.known.values().any(|row| row.released_at.is_none())
    }

    /// Shows all that stands, and from then on all that changes.
    pub(super) async fn run(mut self, mut releases: mpsc::UnboundedReceiver<Release>) {
        self.emit(Event::Init);
        for row in self.known.values().filter(|row| row.released_at.is_none()) {
            match object(row) {
                Ok(object) => self.emit(Event::InitApply(object)),
                Err(error) => unshowable(row, &error),
            }
        }
        self.emit(Event::InitDone);
        self.begun = true;

        let mut file_events = FileEvents::open();
        file_events.watch_tree(&self.tree, &self.root);
        // What changed between the first look and the first listening was not heard.
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                () = self.output.closed() => return,
                Some(release) = releases.recv() => {
                    let outcome = self.release(&release.key).await;
                    // Whoever asked may have stopped waiting.
                    let _ = release.done.send(outcome);
                    // No `continue`: this may have cut off the waiting for quiet, and what was
                    // heard must not be lost.
                }
                () = file_events.settled() => {}
                () = sleep_until(next_look.into()) => {}
            }
            if let Err(error) = self.rescan().await {
                tracing::error!(%error, "the changes of the directory could not be stored; they are tried again");
                self.unfinished = true;
            }
            next_look = Instant::now() + POLL;
            if file_events.watch_tree(&self.tree, &self.root) {
                next_look = Instant::now();
            } else if let Some(since) = self.missing.values().min() {
                next_look = next_look.min(*since + BELIEF);
            }
        }
    }

    /// Scans the tree and stores what changed.
    async fn rescan(&mut self) -> Result<(), StateError> {
        let (root, previous) = (self.root.clone(), Arc::clone(&self.tree));
        let scanned = tokio::task::spawn_blocking(move || scan(&root, &previous)).await;
        let Ok(tree) = scanned else {
            tracing::error!("a scan of the directory was cut off; it is tried again");
            return Ok(());
        };
        let is_other_policy = self.policy.refresh();
        if is_other_policy {
            self.secrets.set_policy(Arc::clone(self.policy.current()));
        }
        let is_news = self.unfinished || is_other_policy || !self.missing.is_empty() || !tree.is_same(&self.tree);
        self.tree = Arc::new(tree);
        if is_news { self.take_up().await } else { Ok(()) }
    }

    async fn take_up(&mut self) -> Result<(), StateError> {
        // Secrets first: who acts on a document finds those it refers to.
        let secret_problems = self.secrets.update(&self.tree);
        for row in self.known.values_mut().filter(|row| !row.document["spec"]["restoreFrom"].is_null()) {
            row.restore = self.state.status(&row.uid).await?.and_then(|status| status.restore);
        }
        let policy = Arc::clone(self.policy.current());
        let provider = Provider::new(&self.root, &policy, &self.secrets, &self.known);
        let plan = plan(provider, &self.root, &self.known, &self.tree, &self.missing, self.platform, Instant::now());
        for (key, document, file) in plan.accept {
            let row = self.state.accept(&key.0, &key.1, &document, Some(&file)).await?;
            self.show(key, row);
        }
        for (key, Kept { problem, refused }) in plan.keep {
            let row = self.state.keep_last_good(&key.0, &key.1, &problem, refused).await?;
            self.show(key, row);
        }
        for key in plan.delete {
            let row = self.state.mark_deleted(&key.0, &key.1).await?;
            self.show(key, row);
        }
        self.missing = plan.missing;
        for (file, kind) in plan.foreign {
            if self.noted.insert((file.clone(), kind.clone())) {
                tracing::info!(file, kind, "left alone: not a MaiInstance or a Secret");
            }
        }
        let mut problems = plan.problems;
        problems.extend(secret_problems);
        problems.extend(self.policy.problem().cloned());
        problems.sort_by(|a, b| (&a.file, a.line, a.column, &a.field).cmp(&(&b.file, b.line, b.column, &b.field)));
        let is_news = *self.problems.borrow() != problems;
        if is_news {
            let before = self.problems.borrow().clone();
            for problem in problems.iter().filter(|problem| !before.contains(problem)) {
                tracing::warn!("{problem}");
                self.record_unaccepted(problem).await?;
            }
        }
        self.state.put_problems(&problems).await?;
        if is_news {
            self.problems.send_replace(problems);
        }
        self.unfinished = plan.is_contested;
        Ok(())
    }

    /// Records the problem of a document of which no former one is in force, so that there is no
    /// status to show it.
    async fn record_unaccepted(&self, problem: &Problem) -> Result<(), StateError> {
        let Some((namespace, name)) = &problem.instance else { return Ok(()) };
        let key = (namespace.clone(), name.clone());
        if self.known.get(&key).is_some_and(|row| row.released_at.is_none()) {
            return Ok(());
        }
        let (reason, message) = (problem.reason(), problem.to_string());
        self.state.record_event(namespace, name, EventKind::Warning, reason.as_ref(), &message, Timestamp::now()).await
    }

    /// Shows a row if it differs from what was shown.
    fn show(&mut self, key: Key, row: KnownDocument) {
        let is_news = self.known.get(&key).is_none_or(|known| known.resource_version != row.resource_version);
        if is_news && self.begun {
            match object(&row) {
                Ok(object) => self.emit(Event::Apply(object)),
                Err(error) => unshowable(&row, &error),
            }
        }
        self.known.insert(key, row);
    }

    async fn release(&mut self, key: &Key) -> Result<(), StateError> {
        let row = self.state.release(&key.0, &key.1).await?;
        match object(&row) {
            Ok(object) if row.released_at.is_some() => self.emit(Event::Delete(object)),
            // Its document came back meanwhile, so there is something to bring up again.
            Ok(object) => self.emit(Event::Apply(object)),
            Err(error) => unshowable(&row, &error),
        }
        self.known.insert(key.clone(), row);
        Ok(())
    }

    fn emit(&self, event: Event<MaiInstance>) {
        // Nobody listening any more ends the task at its next turn.
        let _ = self.output.send(event);
    }
}

fn unshowable(row: &KnownDocument, error: &serde_json::Error) {
    tracing::error!(
        namespace = row.namespace,
        name = row.name,
        %error,
        "the last good document is not understood by this version of mai; correct the instance's document"
    );
}
