//! Words of the kube client that source, runtime and operator share.

pub(crate) mod names;

use kube::Client;
use kube::runtime::watcher;

/// Returns the configuration of a watch: it begins with a stream where the API server sends one, which
/// is cheapest for both sides, else with a list. Older servers refuse to stream in pages.
pub(crate) async fn watch_config(client: &Client) -> watcher::Config {
    const STREAMS_FROM: u32 = 34;
    let version = client.apiserver_version().await.ok();
    let minor = version.and_then(|version| version.minor.trim_end_matches('+').parse::<u32>().ok());
    let config = watcher::Config::default();
    if minor.is_some_and(|minor| minor >= STREAMS_FROM) { config.streaming_lists() } else { config }
}

/// Returns the API server's own message, without the frame that the client puts around it.
pub(crate) fn error_message(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = Some(error);
    let mut last = error.to_string();
    while let Some(error) = at {
        if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
            return if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        }
        last = error.to_string();
        at = error.source();
    }
    last
}

/// Returns whether the API server understood a request and refused it, so that the same request stays
/// refused until something else changes. A time-out, an overload or a fault of its own is no refusal.
pub(crate) fn is_refusal(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => (400..500).contains(&status.code) && !matches!(status.code, 408 | 429),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn refusals_are_told_from_failures_that_pass() {
        let api = |code| {
            kube::Error::Api(Box::new(Status {
                code,
                reason: "R".to_owned(),
                message: "M".to_owned(),
                ..Status::default()
            }))
        };
        for (code, refusal) in [
            (403, true),
            (409, true),
            (422, true),
            (400, true),
            (408, false),
            (429, false),
            (500, false),
            (503, false),
            (504, false),
        ] {
            assert_eq!(is_refusal(&api(code)), refusal, "{code}");
        }
        assert!(!is_refusal(&kube::Error::TlsRequired));
        assert_eq!(error_message(&api(403)), "M");
    }
}
