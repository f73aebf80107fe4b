//! What the engine said a moment ago, so that a pass over many instances asks once. What it said of containers is forgotten with every
//! event and every write.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use parking_lot::Mutex as StdMutex;
use tokio::sync::Mutex;

use super::image::{self, FOLLOW_TAG, Image};
use super::inspect;

/// How long an answer stands for the next question.
const MOMENT: Duration = Duration::from_millis(250);

/// Answers of a moment.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Moves on with everything that may have changed the answers.
    age: AtomicU64,
    containers: Mutex<Option<Listed>>,
    /// By reference, with the time of the question.
    images: Mutex<HashMap<String, (Instant, Known)>>,
    /// When images were pulled last.
    pulled: StdMutex<HashMap<String, Instant>>,
}

/// An image, where the engine has it.
type Known = Option<Arc<Image>>;

#[derive(Debug)]
struct Listed {
    asked: Instant,
    age: u64,
    answer: Arc<Vec<ContainerSummary>>,
}

impl Cache {
    pub(super) fn forget(&self) {
        self.age.fetch_add(1, Ordering::AcqRel);
    }

    /// Every container there is, also those that are not ours: they may bear our names or hold our ports.
    pub(super) async fn containers(&self, docker: &Docker) -> Result<Arc<Vec<ContainerSummary>>, Error> {
        // Whoever comes while the question is asked waits for the answer.
        let mut kept = self.containers.lock().await;
        let age = self.age.load(Ordering::Acquire);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.asked.elapsed() < MOMENT && kept.age == age) {
            return Ok(Arc::clone(&kept.answer));
        }
        let asked = Instant::now();
        let answer = Arc::new(inspect::list_containers(docker).await?);
        *kept = Some(Listed { asked, age, answer: Arc::clone(&answer) });
        Ok(answer)
    }

    /// The image the engine has under a reference.
    pub(super) async fn image(&self, docker: &Docker, reference: &str) -> Result<Known, Error> {
        let mut images = self.images.lock().await;
        if let Some((_, answer)) = images.get(reference).filter(|(asked, _)| asked.elapsed() < MOMENT) {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let answer = image::local(docker, reference).await?.map(Arc::new);
        images.insert(reference.to_owned(), (asked, answer.clone()));
        Ok(answer)
    }

    /// Another image may be under a reference.
    pub(super) async fn forget_image(&self, reference: &str) {
        self.images.lock().await.remove(reference);
    }

    pub(super) fn note_pull(&self, reference: &str) {
        self.pulled.lock().insert(reference.to_owned(), Instant::now());
    }

    /// Whether an image was pulled so recently that its tag is not asked for again.
    pub(super) fn is_fresh(&self, reference: &str) -> bool {
        let pulled = self.pulled.lock().get(reference).copied();
        pulled.is_some_and(|pulled| pulled.elapsed() < FOLLOW_TAG)
    }
}
