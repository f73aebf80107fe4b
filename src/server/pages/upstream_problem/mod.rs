//! Problems with the upstream or the connection to it, in the reader's language. The words of the
//! provider, of the system and of libraries are inserted as they are.

mod texts;

use mai_openrouter::{AddressKind, ListLimit, NetworkFailure, UpstreamError};

use crate::{
    connection::{ConnectionError, UrlProblem},
    i18n::Locale,
};
use texts::UpstreamProblemTexts;

/// Returns the sentence for an error of a call to the upstream.
pub(super) fn upstream_sentence(error: &UpstreamError, locale: Locale) -> String {
    let t = UpstreamProblemTexts(locale);
    match error {
        UpstreamError::InvalidUrl { url, .. } => t.malformed_url(url),
        UpstreamError::InvalidKey => t.bad_key().to_owned(),
        UpstreamError::Unreachable { origin, reason } => t.unreachable(origin, &network_failure(t, reason)),
        UpstreamError::AddressRefused { origin, kind, .. } => t.address_refused(origin, address_kind(t, *kind)),
        UpstreamError::ConnectionLost { origin, reason } => t.connection_lost(origin, &network_failure(t, reason)),
        UpstreamError::Refused { origin, status, message, .. } => {
            t.upstream_refused(origin, without_full_stop(message), status.as_u16())
        }
        UpstreamError::InvalidResponse { origin, reason } => t.invalid_response(origin, reason),
        UpstreamError::ListTooLong { origin, limit: ListLimit::Size(mib) } => t.list_too_large(origin, *mib),
        UpstreamError::ListTooLong { origin, limit: ListLimit::Entries(count) } => t.list_too_long(origin, *count),
    }
}

/// Returns the sentence for a connection that was not saved, or `None` when the database failed.
pub(super) fn connection_sentence(error: &ConnectionError, locale: Locale) -> Option<String> {
    let t = UpstreamProblemTexts(locale);
    Some(match error {
        ConnectionError::BadUrl { url, problem } => match problem {
            UrlProblem::Malformed => t.malformed_url(url),
            UrlProblem::Scheme => t.url_scheme(url),
            UrlProblem::Credentials => t.url_credentials().to_owned(),
            UrlProblem::QueryOrFragment => t.url_query(url),
            UrlProblem::Port => t.url_port(url),
            UrlProblem::TooLong => t.url_too_long(url),
        },
        ConnectionError::BadKey => t.bad_key().to_owned(),
        ConnectionError::Refused { status, message } => t.refused(without_full_stop(message), status.as_u16()),
        ConnectionError::Upstream(error) => upstream_sentence(error, locale),
        ConnectionError::NoModels(base_url) => t.no_models(base_url),
        ConnectionError::Database(_) => return None,
    })
}

fn address_kind(t: UpstreamProblemTexts, kind: AddressKind) -> &'static str {
    match kind {
        AddressKind::Loopback => t.loopback_address(),
        AddressKind::Private => t.private_address(),
        AddressKind::LinkLocal => t.link_local_address(),
        AddressKind::Shared => t.shared_address(),
        AddressKind::Multicast => t.multicast_address(),
        AddressKind::Reserved => t.reserved_address(),
    }
}

fn network_failure(t: UpstreamProblemTexts, failure: &NetworkFailure) -> String {
    match failure {
        NetworkFailure::NoAddress => t.no_address().to_owned(),
        NetworkFailure::ConnectTimeout(time) => t.connect_timeout(time.as_secs()),
        NetworkFailure::HandshakeTimeout => t.handshake_timeout().to_owned(),
        NetworkFailure::AnswerTimeout(time) => t.answer_timeout(time.as_secs()),
        NetworkFailure::Silence(time) => t.silence(time.as_secs()),
        NetworkFailure::Message(message) => message.clone(),
    }
}

/// Returns the provider's message as the sentence around it needs it.
fn without_full_stop(message: &str) -> &str {
    message.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn upstream_problem_is_in_the_language_of_the_reader() {
        let origin = || "https://a".to_owned();
        let time = Duration::from_secs(10);
        let network = [
            NetworkFailure::NoAddress,
            NetworkFailure::ConnectTimeout(time),
            NetworkFailure::HandshakeTimeout,
            NetworkFailure::AnswerTimeout(time),
            NetworkFailure::Silence(time),
        ];
        let kinds = [
            AddressKind::Loopback,
            AddressKind::Private,
            AddressKind::LinkLocal,
            AddressKind::Shared,
            AddressKind::Multicast,
            AddressKind::Reserved,
        ];
        let address = std::net::IpAddr::from([10, 0, 0, 1]);
        let refused = kinds.map(|kind| UpstreamError::AddressRefused { origin: origin(), address, kind });
        let unreachable = network.map(|reason| UpstreamError::Unreachable { origin: origin(), reason });
        let others = [
            UpstreamError::InvalidUrl { url: "a".to_owned(), reason: "it is no URL" },
            UpstreamError::InvalidKey,
            UpstreamError::ConnectionLost { origin: origin(), reason: NetworkFailure::Silence(time) },
            UpstreamError::InvalidResponse { origin: origin(), reason: "x".to_owned() },
            UpstreamError::ListTooLong { origin: origin(), limit: ListLimit::Size(4) },
            UpstreamError::ListTooLong { origin: origin(), limit: ListLimit::Entries(5000) },
        ];
        for error in unreachable.iter().chain(&refused).chain(&others) {
            let (english, polish) = (upstream_sentence(error, Locale::En), upstream_sentence(error, Locale::Pl));
            assert!(english.ends_with(['.', '?']) && polish.ends_with(['.', '?']), "{english} {polish}");
            for word in [" is ", " the ", " within "] {
                assert!(!polish.contains(word), "{polish}");
            }
        }
    }

    #[test]
    fn words_of_the_provider_stay_as_they_are() {
        let message = "User not found.".to_owned();
        let error = ConnectionError::Refused { status: http::StatusCode::UNAUTHORIZED, message };
        for (locale, expected) in [
            (Locale::En, "The provider refused: User not found (HTTP 401)."),
            (Locale::Pl, "Dostawca odmówił: User not found (HTTP 401)."),
        ] {
            assert_eq!(connection_sentence(&error, locale).as_deref(), Some(expected));
        }
    }
}
