//! How long people are without an answer while a container is replaced.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bollard::query_parameters::{
    RemoveContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
};
use tokio::sync::watch;

use super::engine::Engine;
use super::place::{Place, answers, container};

/// Between two questions to one server …
const OFTEN: Duration = Duration::from_millis(2);
/// … and where many are asked at once, so that asking takes nothing from the engine.
const SELDOM: Duration = Duration::from_millis(50);

/// Asks on until it is told to stop; the longest time between two good answers.
struct Asker {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Duration>,
}

impl Asker {
    async fn start(address: SocketAddr, pause: Duration) -> Self {
        while !answers(address).await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            loop {
                if answers(address).await {
                    let now = Instant::now();
                    longest = longest.max(now - last);
                    last = now;
                    if *stopped.borrow() {
                        return longest;
                    }
                }
                tokio::time::sleep(pause).await;
            }
        });
        Self { stop, task }
    }

    /// Waits for one more good answer.
    async fn end(self) -> anyhow::Result<Duration> {
        let _ = self.stop.send(true);
        Ok(self.task.await?)
    }
}

/// Another name makes another container necessary; the operator does the rest.
pub async fn by_the_operator(engine: &Engine, place: &Place, instances: &[usize]) -> anyhow::Result<Vec<Duration>> {
    let mut downtimes = Vec::new();
    for &index in instances {
        let before = engine.inspect(&container(index)).await?.id;
        let asker = Asker::start(place.addresses[index], OFTEN).await;
        place.write(index, "  displayName: Renamed\n")?;
        replaced(engine, index, &before).await;
        downtimes.push(asker.end().await?);
    }
    Ok(downtimes)
}

/// The same for many at once, and how long it takes until all are replaced.
pub async fn of_all(engine: &Engine, place: &Place, instances: usize) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let (mut before, mut askers, mut downtimes) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..instances {
        before.push(engine.inspect(&container(index)).await?.id);
        askers.push(Asker::start(place.addresses[index], SELDOM).await);
    }
    let began = Instant::now();
    for index in 0..instances {
        place.write(index, "  displayName: Upgraded\n")?;
    }
    for (index, before) in before.iter().enumerate() {
        replaced(engine, index, before).await;
    }
    let took = began.elapsed();
    for asker in askers {
        downtimes.push(asker.end().await?);
    }
    Ok((downtimes, took))
}

/// Returns when another container than `before` runs.
async fn replaced(engine: &Engine, index: usize, before: &Option<String>) {
    loop {
        // Between two renames nobody has the name.
        if let Ok(now) = engine.inspect(&container(index)).await
            && now.id != *before
            && now.state.and_then(|state| state.running) == Some(true)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same by nothing but stop and start, with the next container made before.
pub async fn by_hand(engine: &Engine, place: &Place, instances: &[usize]) -> anyhow::Result<Vec<Duration>> {
    let mut downtimes = Vec::new();
    for &index in instances {
        let (before, next) = (container(index), format!("{}-by-hand", container(index)));
        engine.create(&next, &engine.body_of(&before).await?).await?;
        let asker = Asker::start(place.addresses[index], OFTEN).await;
        engine.docker.stop_container(&before, None::<StopContainerOptions>).await?;
        engine.docker.start_container(&next, None::<StartContainerOptions>).await?;
        downtimes.push(asker.end().await?);
        let options: RemoveContainerOptions = RemoveContainerOptionsBuilder::new().force(true).build();
        engine.docker.remove_container(&before, Some(options)).await?;
    }
    Ok(downtimes)
}
