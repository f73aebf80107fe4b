//! Time without an answer while a container is replaced.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bollard::query_parameters::{
    RemoveContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
};
use tokio::sync::watch;

use super::documents::{Documents, answers, container};
use super::engine::Engine;

/// Pause between two requests to one server.
const OFTEN: Duration = Duration::from_millis(2);
/// Pause where many servers are probed at once, so that the probes take no time from the engine.
const SELDOM: Duration = Duration::from_millis(50);

/// Probes a server until it is ended; measures the longest time between two good answers.
struct Prober {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Duration>,
}

impl Prober {
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

    /// Waits for one more good answer; returns the longest time between two.
    async fn end(self) -> anyhow::Result<Duration> {
        let _ = self.stop.send(true);
        Ok(self.task.await?)
    }
}

/// Returns the downtimes of instances whose display name changes, so that the operator replaces
/// their containers.
pub async fn of_operator(engine: &Engine, place: &Documents, instances: &[usize]) -> anyhow::Result<Vec<Duration>> {
    let mut downtimes = Vec::new();
    for &index in instances {
        let before = engine.inspect(&container(index)).await?.id;
        let asker = Prober::start(place.addresses[index], OFTEN).await;
        place.write(index, "  displayName: Renamed\n")?;
        wait_for_replacement(engine, index, &before).await;
        downtimes.push(asker.end().await?);
    }
    Ok(downtimes)
}

/// Returns the downtimes of instances that are replaced at once, and the time until all are
/// replaced.
pub async fn of_all_at_once(
    engine: &Engine,
    place: &Documents,
    instances: usize,
) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let (mut before, mut askers, mut downtimes) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..instances {
        before.push(engine.inspect(&container(index)).await?.id);
        askers.push(Prober::start(place.addresses[index], SELDOM).await);
    }
    let began = Instant::now();
    for index in 0..instances {
        place.write(index, "  displayName: Upgraded\n")?;
    }
    for (index, before) in before.iter().enumerate() {
        wait_for_replacement(engine, index, before).await;
    }
    let took = began.elapsed();
    for asker in askers {
        downtimes.push(asker.end().await?);
    }
    Ok((downtimes, took))
}

/// Waits until another container than `before` runs.
async fn wait_for_replacement(engine: &Engine, index: usize, before: &Option<String>) {
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

/// Returns the downtimes of bare stop and start calls, with the next container created before.
pub async fn of_bare_calls(engine: &Engine, place: &Documents, instances: &[usize]) -> anyhow::Result<Vec<Duration>> {
    let mut downtimes = Vec::new();
    for &index in instances {
        let (before, next) = (container(index), format!("{}-bare", container(index)));
        engine.create(&next, &engine.body_of(&before).await?).await?;
        let asker = Prober::start(place.addresses[index], OFTEN).await;
        engine.docker.stop_container(&before, None::<StopContainerOptions>).await?;
        engine.docker.start_container(&next, None::<StartContainerOptions>).await?;
        downtimes.push(asker.end().await?);
        let options: RemoveContainerOptions = RemoveContainerOptionsBuilder::new().force(true).build();
        engine.docker.remove_container(&before, Some(options)).await?;
    }
    Ok(downtimes)
}
