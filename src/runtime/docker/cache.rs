//! Answers of the engine, kept for a moment, so that a pass over many instances asks once. Answers
//! about containers are dropped with every event and every write.

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

/// Lifetime of an answer.
const LIFETIME: Duration = Duration::from_millis(250);

/// Answers of the engine.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Incremented by everything that may change the answers.
    generation: AtomicU64,
    containers: Mutex<Option<Listed>>,
    /// By reference, with the time of the request.
    images: Mutex<HashMap<String, (Instant, Found)>>,
    /// Times at which images were last pulled, by reference.
    pulled: StdMutex<HashMap<String, Instant>>,
}

/// An image, if the engine has it.
type Found = Option<Arc<Image>>;

#[derive(Debug)]
struct Listed {
    asked: Instant,
    generation: u64,
    answer: Arc<Vec<ContainerSummary>>,
}

impl Cache {
    /// Drops the answers about containers.
    pub(super) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns every container of the engine. Foreign ones may have our names or publish our ports.
    pub(super) async fn containers(&self, docker: &Docker) -> Result<Arc<Vec<ContainerSummary>>, Error> {
        // Concurrent callers wait for one answer.
        let mut kept = self.containers.lock().await;
        let generation = self.generation.load(Ordering::Acquire);
        if let Some(kept) =
            kept.as_ref().filter(|kept| kept.asked.elapsed() < LIFETIME && kept.generation == generation)
        {
            return Ok(Arc::clone(&kept.answer));
        }
        let asked = Instant::now();
        let answer = Arc::new(inspect::list_containers(docker).await?);
        *kept = Some(Listed { asked, generation, answer: Arc::clone(&answer) });
        Ok(answer)
    }

    /// Returns the image that a reference names.
    pub(super) async fn image(&self, docker: &Docker, reference: &str) -> Result<Found, Error> {
        let mut images = self.images.lock().await;
        if let Some((_, answer)) = images.get(reference).filter(|(asked, _)| asked.elapsed() < LIFETIME) {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let answer = image::local(docker, reference).await?.map(Arc::new);
        images.insert(reference.to_owned(), (asked, answer.clone()));
        Ok(answer)
    }

    /// Drops the answer about a reference.
    pub(super) async fn forget_image(&self, reference: &str) {
        self.images.lock().await.remove(reference);
    }

    /// Records that an image was pulled now.
    pub(super) fn note_pull(&self, reference: &str) {
        self.pulled.lock().insert(reference.to_owned(), Instant::now());
    }

    /// Returns whether an image was pulled so recently that its tag need not be checked.
    pub(super) fn is_fresh(&self, reference: &str) -> bool {
        let pulled = self.pulled.lock().get(reference).copied();
        pulled.is_some_and(|pulled| pulled.elapsed() < FOLLOW_TAG)
    }
}
