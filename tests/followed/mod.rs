//! A directory that is followed, as the reconcile loop would follow it: what the stream has shown so far.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::runtime::watcher::Event;
use mai_operator::api::{DOCUMENT_PROBLEM, MaiInstance};
use mai_operator::source::Documents;
use mai_operator::source::directory::Directory;
use mai_operator::state::State;

pub struct Followed {
    pub directory: Directory,
    pub state: State,
    pub shown: BTreeMap<String, MaiInstance>,
    documents: Documents,
}

impl Followed {
    /// Follows `path` and reads the stream up to its InitDone.
    pub async fn open(path: &Path, state: &Path) -> Self {
        let state = State::open(state).await.unwrap();
        let (directory, documents) = Directory::open(path, state.clone()).await.unwrap();
        let mut followed = Self { directory, state, shown: BTreeMap::new(), documents };
        assert!(matches!(followed.next().await, Some(Event::Init)));
        loop {
            match followed.next().await {
                Some(Event::InitApply(object)) => followed.apply(object),
                Some(Event::InitDone) => return followed,
                other => panic!("expected InitApply or InitDone, found {other:?}"),
            }
        }
    }

    async fn next(&mut self) -> Option<Event<MaiInstance>> {
        let next = tokio::time::timeout(Duration::from_secs(5), self.documents.next()).await.ok()??;
        Some(next.unwrap())
    }

    fn apply(&mut self, object: MaiInstance) {
        self.shown.insert(object.metadata.name.clone().unwrap(), object);
    }

    /// Reads the stream until what it has shown is as it should be; tells how long that took.
    pub async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !is_so(self) {
            let within = Duration::from_secs(5).saturating_sub(start.elapsed());
            let event = tokio::time::timeout(within, self.documents.next()).await;
            match event {
                Ok(Some(Ok(Event::Apply(object)))) => self.apply(object),
                Ok(Some(Ok(Event::Delete(object)))) => {
                    self.shown.remove(object.metadata.name.as_deref().unwrap());
                }
                other => panic!(
                    "waited for: {what}; the stream gave {other:?}; problems: {:#?}; shown: {:#?}",
                    self.directory.problems().borrow(),
                    self.shown
                ),
            }
        }
        start.elapsed()
    }

    /// Nothing at all comes out of the stream for a while.
    pub async fn stays_silent(&mut self, duration: Duration) {
        if let Ok(event) = tokio::time::timeout(duration, self.documents.next()).await {
            panic!("nothing should have happened, but the stream gave {event:?}");
        }
    }

    /// Waits until the problems, one a line, hold a text.
    pub async fn problem(&self, text: &str) -> String {
        let mut problems = self.directory.problems();
        let found = problems.wait_for(|all| all.iter().any(|problem| problem.to_string().contains(text)));
        match tokio::time::timeout(Duration::from_secs(5), found).await {
            Ok(found) => found.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            Err(_) => panic!("no problem says {text:?}; there are {:#?}", self.directory.problems().borrow()),
        }
    }

    /// Waits until nothing is wrong any more.
    pub async fn no_problem(&self) {
        let mut problems = self.directory.problems();
        let found = problems.wait_for(Vec::is_empty);
        let found = tokio::time::timeout(Duration::from_secs(5), found).await.is_ok();
        assert!(found, "still wrong: {:#?}", self.directory.problems().borrow());
    }

    pub fn display_name(&self, name: &str) -> Option<&str> {
        self.shown.get(name).map(|object| object.spec.display_name.as_str())
    }

    pub fn document_problem(&self, name: &str) -> Option<&str> {
        let annotations = self.shown.get(name)?.metadata.annotations.as_ref()?;
        annotations.get(DOCUMENT_PROBLEM).map(String::as_str)
    }

    pub fn is_going(&self, name: &str) -> bool {
        self.shown.get(name).is_some_and(|object| object.metadata.deletion_timestamp.is_some())
    }

    /// Ends the following, so that the state may be opened again.
    pub async fn end(self) {
        self.state.close().await;
        drop(self.documents);
        drop(self.directory);
        drop(self.state);
        // The follower's task lets go of the state's lock at its next turn.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub fn document(name: &str, display_name: &str) -> String {
    format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata:\n  name: {name}\nspec:\n  displayName: {display_name}\n"
    )
}
