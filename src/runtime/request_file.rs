//! The request of an administrator for a job or a restore, as a file next to the secrets and logs of
//! the instance. There is one of each at a time. It is answered in a file beside it, and then removed.

use std::collections::HashSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mai_contract::job::Outcome;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::key_rotation_file::KeyRotationFile;
use crate::api::{RestoreSource, RestoreStatus};
use crate::core::{InstanceId, JobRequest, JobWork, RestoreRequest};

/// Interval between checks for new requests.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A request that is made with a file.
pub trait Request: Sized {
    /// Name of the file with the request.
    const REQUEST: &str;
    /// Name of the file with its answer.
    const ANSWER: &str;
    /// Its content beside its name.
    type Content: Serialize + DeserializeOwned;
    /// Its answer.
    type Answer: Serialize + DeserializeOwned;

    /// Returns its name, which its answer has as well.
    fn name(&self) -> &str;

    /// Returns its content.
    fn content(&self) -> Self::Content;

    /// Returns the request of a name and a content; none where the name is not one of its kind.
    fn from_content(name: String, content: Self::Content) -> Option<Self>;
}

/// Content of the request for a job.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobContent {
    reason: String,
    #[serde(default)]
    work: AskedWork,
}

/// Work that an administrator may ask for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AskedWork {
    #[default]
    Backup,
    Drill,
}

/// Content of the request for a restore.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestoreContent {
    reason: String,
    source: RestoreSource,
}

/// The request for a job of an instance, and its answer.
pub type JobRequestFile = RequestFile<JobRequest>;
/// The request for a restore of an instance, and its answer.
pub type RestoreRequestFile = RequestFile<RestoreRequest>;

/// The request of an instance, and its answer.
#[derive(Clone, Debug)]
pub struct RequestFile<Q> {
    request: PathBuf,
    answer: PathBuf,
    kind: PhantomData<fn() -> Q>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredRequest<C> {
    /// Uid of the instance: a later one of the same name has not asked.
    uid: String,
    name: String,
    #[serde(flatten)]
    content: C,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredAnswer<A> {
    name: String,
    outcome: A,
}

impl Request for JobRequest {
    const REQUEST: &str = "job-request.json";
    const ANSWER: &str = "job-answer.json";
    type Content = JobContent;
    type Answer = Outcome;

    fn name(&self) -> &str {
        &self.name
    }

    fn content(&self) -> JobContent {
        let work = match self.work {
            JobWork::Drill(_) => AskedWork::Drill,
            _ => AskedWork::Backup,
        };
        JobContent { reason: self.reason.clone(), work }
    }

    fn from_content(name: String, JobContent { reason, work }: JobContent) -> Option<Self> {
        let work = match work {
            AskedWork::Backup => JobWork::Backup,
            AskedWork::Drill => JobWork::Drill(None),
        };
        Some(Self { name, reason, work })
    }
}

impl Request for RestoreRequest {
    const REQUEST: &str = "restore-request.json";
    const ANSWER: &str = "restore-answer.json";
    type Content = RestoreContent;
    type Answer = RestoreStatus;

    fn name(&self) -> &str {
        self.id.as_str()
    }

    fn content(&self) -> RestoreContent {
        RestoreContent { reason: self.reason.clone(), source: self.source.clone() }
    }

    fn from_content(name: String, RestoreContent { reason, source }: RestoreContent) -> Option<Self> {
        Some(Self { id: name.parse().ok()?, source, reason })
    }
}

impl<Q: Request> RequestFile<Q> {
    /// Returns the request of the instance whose files are in `home`.
    pub fn new(home: &Path) -> Self {
        Self { request: home.join(Q::REQUEST), answer: home.join(Q::ANSWER), kind: PhantomData }
    }

    /// Writes a request. [`io::ErrorKind::AlreadyExists`] where the instance has one that is not
    /// answered.
    pub fn ask(&self, id: &InstanceId, request: &Q) -> io::Result<()> {
        if self.open_request(id)?.is_none() {
            // Left over from another instance of the name, or not readable for this version.
            remove_file(&self.request)?;
        }
        let unfinished = self.request.with_extension(format!("{}.new", std::process::id()));
        let name = request.name().to_owned();
        write(&unfinished, &StoredRequest { uid: id.uid.clone(), name, content: request.content() })?;
        // Unlike a rename, a link replaces no other request.
        let linked = std::fs::hard_link(&unfinished, &self.request);
        remove_file(&unfinished)?;
        linked
    }

    /// Returns the request that has no answer.
    pub fn open_request(&self, id: &InstanceId) -> io::Result<Option<Q>> {
        let stored = self.stored()?.filter(|stored| stored.uid == id.uid);
        Ok(stored.and_then(|StoredRequest { name, content, .. }| Q::from_content(name, content)))
    }

    /// Answers the request of this name, if there is one.
    pub(super) fn answer(&self, name: &str, outcome: &Q::Answer) -> io::Result<()> {
        if self.stored()?.is_none_or(|stored| stored.name != name) {
            return Ok(());
        }
        let unfinished = self.answer.with_extension("new");
        write(&unfinished, &StoredAnswer { name: name.to_owned(), outcome })?;
        std::fs::rename(&unfinished, &self.answer)?;
        remove_file(&self.request)
    }

    /// Answers any request that is open.
    pub(super) fn answer_any(&self, outcome: impl FnOnce(Q) -> Q::Answer) -> io::Result<()> {
        let Some(StoredRequest { name, content, .. }) = self.stored()? else { return Ok(()) };
        match Q::from_content(name.clone(), content) {
            Some(request) => self.answer(&name, &outcome(request)),
            None => remove_file(&self.request),
        }
    }

    /// Returns the answer to the request of this name, and removes it.
    pub fn take_answer(&self, name: &str) -> io::Result<Option<Q::Answer>> {
        match read::<StoredAnswer<Q::Answer>>(&self.answer)? {
            Some(stored) if stored.name == name => {
                remove_file(&self.answer)?;
                Ok(Some(stored.outcome))
            }
            _ => Ok(None),
        }
    }

    fn stored(&self) -> io::Result<Option<StoredRequest<Q::Content>>> {
        read(&self.request)
    }
}

/// Names an instance once for each request. `known` returns the instances with their homes. Never
/// returns.
pub(super) async fn watch(changes: &Changes, known: impl Fn() -> Vec<(InstanceId, PathBuf)>) {
    let mut interval = tokio::time::interval(CHECK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut former = HashSet::new();
    loop {
        interval.tick().await;
        // One may be answered and the next one made between two checks, so they are told apart by their
        // time.
        let requests = |(id, home): (InstanceId, PathBuf)| {
            let files = [JobRequest::REQUEST, RestoreRequest::REQUEST, KeyRotationFile::NAME];
            files.into_iter().filter_map(move |file| {
                let made = home.join(file).metadata().and_then(|metadata| metadata.modified()).ok()?;
                Some((id.clone(), file, made))
            })
        };
        let current: HashSet<(InstanceId, &str, SystemTime)> = known().into_iter().flat_map(requests).collect();
        current.difference(&former).for_each(|(id, ..)| changes.name(id));
        former = current;
    }
}

/// Reads a file; none where it is missing or of another form than this version writes.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    if let Some(home) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&serde_json::to_vec(value)?)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;

    use super::*;

    fn id(uid: &str) -> InstanceId {
        InstanceId { namespace: "default".to_owned(), name: "abc".to_owned(), uid: uid.to_owned() }
    }

    fn request(name: &str) -> JobRequest {
        JobRequest { name: name.to_owned(), reason: "before the move".to_owned(), work: JobWork::Backup }
    }

    fn failed(message: &str) -> Outcome {
        Outcome::Failed { message: message.to_owned() }
    }

    #[test]
    fn request_is_open_until_it_is_answered_by_name() {
        let home = tempfile::tempdir().unwrap();
        let file = JobRequestFile::new(&home.path().join("abc"));
        assert_eq!(file.open_request(&id("1")).unwrap(), None);
        file.ask(&id("1"), &request("a")).unwrap();
        assert_eq!(file.open_request(&id("1")).unwrap(), Some(request("a")));
        let second = file.ask(&id("1"), &request("b")).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);

        file.answer("b", &failed("of another")).unwrap();
        assert_eq!(file.open_request(&id("1")).unwrap(), Some(request("a")));
        assert_eq!(file.take_answer("a").unwrap(), None);
        file.answer("a", &failed("full")).unwrap();
        // As a reconciler does that was killed just after it.
        file.answer("a", &failed("again")).unwrap();
        assert_eq!(file.open_request(&id("1")).unwrap(), None);
        assert_eq!(file.take_answer("a").unwrap(), Some(failed("full")));
        assert_eq!(file.take_answer("a").unwrap(), None);
        let left = std::fs::read_dir(home.path().join("abc")).unwrap().count();
        assert_eq!(left, 0, "files are left behind");
    }

    #[test]
    fn request_of_a_deleted_namesake_or_in_another_form_is_none() {
        let home = tempfile::tempdir().unwrap();
        let file = JobRequestFile::new(home.path());
        file.ask(&id("1"), &request("a")).unwrap();
        assert_eq!(file.open_request(&id("2")).unwrap(), None);
        file.ask(&id("2"), &request("b")).unwrap();
        assert_eq!(file.open_request(&id("2")).unwrap(), Some(request("b")));
        std::fs::write(home.path().join(JobRequest::REQUEST), "{").unwrap();
        assert_eq!(file.open_request(&id("2")).unwrap(), None);
        file.ask(&id("2"), &request("c")).unwrap();
        file.answer_any(|_| failed("deleted")).unwrap();
        assert_eq!(file.take_answer("c").unwrap(), Some(failed("deleted")));
    }

    #[tokio::test(start_paused = true)]
    async fn new_request_names_its_instance_once() {
        let home = tempfile::tempdir().unwrap();
        let file = JobRequestFile::new(home.path());
        let changes = Arc::new(Changes::default());
        let watched = {
            let (changes, home) = (Arc::clone(&changes), home.path().to_owned());
            tokio::spawn(async move { watch(&changes, || vec![(id("1"), home.clone())]).await })
        };
        let mut stream = Arc::clone(&changes).read();
        assert!(tokio::time::timeout(CHECK_INTERVAL * 3, stream.next()).await.is_err());
        // The next one is made before a check finds none.
        for name in ["a", "b"] {
            file.ask(&id("1"), &request(name)).unwrap();
            assert_eq!(tokio::time::timeout(CHECK_INTERVAL * 3, stream.next()).await, Ok(Some(id("1"))));
            assert!(tokio::time::timeout(CHECK_INTERVAL * 3, stream.next()).await.is_err(), "it is named twice");
            file.answer(name, &failed("")).unwrap();
        }
        watched.abort();
    }
}
