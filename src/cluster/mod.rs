//! Words of the kube client that source, runtime, operator and command line share: the
//! configuration of a watch, the classes of failed requests, and the names of the objects of an
//! instance.

mod failure;
pub(crate) mod names;

use kube::Client;
use kube::runtime::watcher;

pub(crate) use failure::{ApiFailure, classify, error_message};

/// Returns the configuration of a watch: it begins with a stream where the API server sends one,
/// which is cheapest for both sides, else with a list. Older servers refuse to stream in pages.
pub(crate) async fn watch_config(client: &Client) -> watcher::Config {
    const STREAMS_FROM: u32 = 34;
    let version = client.apiserver_version().await.ok();
    let minor = version.and_then(|version| version.minor.trim_end_matches('+').parse::<u32>().ok());
    let config = watcher::Config::default();
    if minor.is_some_and(|minor| minor >= STREAMS_FROM) { config.streaming_lists() } else { config }
}
