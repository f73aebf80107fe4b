//! The two tasks: one tells webhooks, the other sends heartbeats. Neither ever ends, and no failure of
//! theirs reaches the loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use jiff::Timestamp;
use kube::runtime::reflector::Store;
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use super::client::Client;
use super::decide::{Clock, Pending, Present, Timing, decide};
use super::limits::ReachedLimit;
use super::message::message;
use super::webhook::{SecretUrl, Webhook};
use crate::api::MaiInstance;
use crate::core::{InstanceId, NotificationRecord, Notified, NotifiedWebhook};
use crate::reconcile::Overview;

/// Longest time between two decisions, since a clock may be changed.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// Time in which changes are collected before a decision.
const COLLECTION: Duration = Duration::from_secs(1);
/// Delay before the second attempt; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// Longest delay between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(900);
/// Attempts of one heartbeat.
const HEARTBEAT_ATTEMPTS: u32 = 3;

/// The declared instances, with what the loop knows of them.
#[derive(Clone, Debug)]
pub struct Instances {
    /// Every declared instance.
    pub store: Store<MaiInstance>,
    /// Knowledge of the loop.
    pub overview: Arc<Overview>,
}

/// Who is told, and when.
#[derive(Clone, Debug)]
pub struct NotificationOptions {
    /// The services.
    pub webhooks: Vec<Webhook>,
    /// Name of this server or cluster in what is told.
    pub source: String,
    /// Time for which a condition has to be bad, or good again, before it is told.
    pub after: Duration,
    /// Interval between lists of what is still bad; none without one.
    pub reminder: Option<Duration>,
}

/// Where heartbeats are sent, and when.
#[derive(Clone, Debug)]
pub struct HeartbeatOptions {
    /// The URL.
    pub url: SecretUrl,
    /// Interval between two of them.
    pub interval: Duration,
    /// Longest time since the observation of an instance with which one is still sent.
    pub patience: Duration,
}

/// Everything that is sent, with the client that sends it.
#[derive(Clone, Debug)]
pub struct Senders {
    /// Sends everything.
    pub client: Client,
    /// Who is told, if anybody is.
    pub notifications: Option<NotificationOptions>,
    /// Where heartbeats are sent, if anywhere.
    pub heartbeat: Option<HeartbeatOptions>,
}

impl Senders {
    /// Sends until it is dropped. Heartbeats are withheld while `obstacle` returns a cause; `report` is
    /// called after each attempt.
    pub async fn run<R: NotificationRecord>(
        self,
        instances: Instances,
        record: R,
        obstacle: impl Fn() -> Option<String>,
        report: impl Fn(Delivery),
    ) {
        instances.overview.wait_until_listed().await;
        let Self { client, notifications, heartbeat } = self;
        let notices = notifications.map(|options| notify(&instances, options, &client, record, &report));
        let heartbeats =
            heartbeat.as_ref().map(|options| send_heartbeats(&instances, options, &client, obstacle, &report));
        tokio::join!(OptionFuture::from(notices), OptionFuture::from(heartbeats));
    }
}

/// Something that was sent, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A notice.
    Notice {
        /// It was taken.
        taken: bool,
    },
    /// A heartbeat.
    Heartbeat {
        /// It was taken.
        taken: bool,
    },
}

impl Instances {
    fn of(&self, id: InstanceId) -> Present {
        let limit = self.overview.usage(&id.uid).as_ref().and_then(ReachedLimit::new);
        Present { conditions: self.overview.conditions(&id.uid), limit, id }
    }

    fn present(&self) -> Vec<Present> {
        let ids = self.store.state().into_iter().filter_map(|instance| InstanceId::try_from(instance.as_ref()).ok());
        let mut present: Vec<Present> = ids.map(|id| self.of(id)).collect();
        present.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        present
    }
}

/// Tells webhooks what turns bad and good again.
async fn notify<R: NotificationRecord>(
    instances: &Instances,
    options: NotificationOptions,
    client: &Client,
    record: R,
    report: &impl Fn(Delivery),
) {
    let mut notified = load(&record).await;
    notified.webhooks.retain(|id, _| options.webhooks.iter().any(|webhook| webhook.id == *id));
    let notifier = Notifier { instances, client, record, notified: Mutex::new(notified), options: &options, report };
    futures::future::join_all(options.webhooks.iter().map(|webhook| notifier.follow(webhook))).await;
}

/// Returns what is recorded, once it can be read: without it all would be told again.
async fn load<R: NotificationRecord>(record: &R) -> Notified {
    let mut attempts = 0;
    loop {
        match record.load_notified().await {
            Ok(notified) => return notified,
            Err(error) => tracing::error!("nothing is told before it is known what was told: {error}"),
        }
        attempts += 1;
        tokio::time::sleep(retry_delay(attempts)).await;
    }
}

struct Notifier<'a, R, F> {
    instances: &'a Instances,
    client: &'a Client,
    record: R,
    notified: Mutex<Notified>,
    options: &'a NotificationOptions,
    report: &'a F,
}

impl<R: NotificationRecord, F: Fn(Delivery)> Notifier<'_, R, F> {
    /// Tells one webhook everything. Never returns.
    async fn follow(&self, webhook: &Webhook) {
        let timing = Timing { after: self.options.after, reminder: self.options.reminder };
        let mut changes = self.instances.overview.subscribe();
        let mut pending = Pending::default();
        let started = Instant::now();
        let (mut failures, mut retry_at) = (0, None::<Instant>);
        loop {
            changes.mark_unchanged();
            let told = self.notified.lock().await.webhooks.get(&webhook.id).cloned().unwrap_or_default();
            let present = self.instances.present();
            let clock = Clock { elapsed: started.elapsed(), now: Timestamp::now() };
            let step = decide(&told, &mut pending, &present, clock, timing);
            let mut next = step.next.unwrap_or(LONGEST_INTERVAL).min(LONGEST_INTERVAL);
            let retry_in =
                retry_at.map(|at| at.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
            if let Some(left) = retry_in {
                next = next.min(left);
            } else if let Some((notice, told)) = step.notice {
                let count = match notice.changes.len() + notice.still_bad.len() {
                    1 => "1 condition".to_owned(),
                    count => format!("{count} conditions"),
                };
                let message = message(&notice, &self.options.source, webhook.format, clock.now);
                let sent = self.client.post(&webhook.url, message).await;
                (self.report)(Delivery::Notice { taken: sent.is_ok() });
                match sent {
                    Ok(()) => {
                        (failures, retry_at) = (0, None);
                        self.put(webhook, told).await;
                        tracing::info!("{} was told of {count}", webhook.url);
                    }
                    Err(error) => {
                        failures += 1;
                        let delay = retry_delay(failures);
                        retry_at = Some(Instant::now() + delay);
                        next = next.min(delay);
                        tracing::warn!(
                            "{} was not told of {count}: {error}; tried again in {} s",
                            webhook.url,
                            delay.as_secs()
                        );
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                // The loop has ended if there is no sender any more; then this task is about to.
                _ = changes.changed() => tokio::time::sleep(COLLECTION.min(next)).await,
            }
        }
    }

    /// Records what a webhook was told.
    async fn put(&self, webhook: &Webhook, told: NotifiedWebhook) {
        let mut notified = self.notified.lock().await;
        notified.webhooks.insert(webhook.id.clone(), told);
        if let Err(error) = self.record.put_notified(&notified).await {
            tracing::error!(
                "it could not be recorded what {} was told, so a restart tells it again: {error}",
                webhook.url
            );
        }
    }
}

/// Sends heartbeats while every instance is observed and there is no obstacle.
async fn send_heartbeats(
    instances: &Instances,
    options: &HeartbeatOptions,
    client: &Client,
    obstacle: impl Fn() -> Option<String>,
    report: &impl Fn(Delivery),
) {
    let mut ticks = tokio::time::interval(options.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    let mut withheld = None;
    loop {
        ticks.tick().await;
        let unobserved = || {
            let id = instances.overview.unobserved(&instances.store.state(), options.patience)?;
            Some(format!("{} was not observed for {} s", id.log_name(), options.patience.as_secs()))
        };
        let cause = obstacle().or_else(unobserved);
        match &cause {
            None => {
                if withheld.take().is_some() {
                    tracing::info!("heartbeats are sent to {} again", options.url);
                }
                beat(client, &options.url, report).await;
            }
            // At first nothing was observed yet.
            Some(_) if started.elapsed() < options.patience => {}
            Some(cause) if withheld.as_ref() != Some(cause) => {
                tracing::warn!("no heartbeat is sent to {}: {cause}", options.url);
                withheld = Some(cause.clone());
            }
            Some(_) => {}
        }
    }
}

async fn beat(client: &Client, url: &SecretUrl, report: &impl Fn(Delivery)) {
    for attempt in 1..=HEARTBEAT_ATTEMPTS {
        let sent = client.get(url).await;
        report(Delivery::Heartbeat { taken: sent.is_ok() });
        match sent {
            Ok(()) => return,
            Err(error) => tracing::warn!("a heartbeat to {url} failed: {error}"),
        }
        if attempt < HEARTBEAT_ATTEMPTS {
            tokio::time::sleep(FIRST_RETRY).await;
        }
    }
}

/// Returns the delay after this many failures in a row: 10 s, 20 s, 40 s … up to a quarter of an hour.
fn retry_delay(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_notice_is_repeated_ever_more_seldom() {
        let seconds: Vec<u64> = (1..9).map(|failures| retry_delay(failures).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 640, 900]);
    }
}
