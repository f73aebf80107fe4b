//! From one probe to the next: what is known of a server's readiness, and what of it is news.

use super::probe::Answer;
use crate::core::Readiness;

/// What is known after a probe, and whether that is news: another kind, or one more failure of many.
pub(super) fn after(known: &Readiness, answer: Answer) -> (Readiness, bool) {
    match (known, answer) {
        (Readiness::Ready { version: known }, Answer::Ready { version }) => {
            let news = *known != version;
            (Readiness::Ready { version }, news)
        }
        (_, Answer::Ready { version }) => (Readiness::Ready { version }, true),
        (Readiness::Starting { .. } | Readiness::Waiting(_), Answer::NotReady { detail }) => {
            (Readiness::Starting { detail }, false)
        }
        (Readiness::Ready { .. }, Answer::NotReady { detail }) => (Readiness::Failing { probes: 1, detail }, true),
        (Readiness::Failing { probes, .. }, Answer::NotReady { detail }) => {
            (Readiness::Failing { probes: probes.saturating_add(1), detail }, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_kind_is_news_and_so_is_each_further_failure() {
        let ready = || Answer::Ready { version: None };
        let not = |detail: &str| Answer::NotReady { detail: detail.to_owned() };
        let mut known = Readiness::Starting { detail: String::new() };
        let mut news = Vec::new();
        for answer in [not("a"), not("b"), ready(), ready(), not("c"), not("d"), ready(), not("e")] {
            let (next, worth_telling) = after(&known, answer);
            known = next;
            news.push(worth_telling);
        }
        assert_eq!(news, [false, false, true, false, true, true, true, true]);
        assert_eq!(known, Readiness::Failing { probes: 1, detail: "e".to_owned() });
    }
}
