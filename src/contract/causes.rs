//! Text of an error for people, as the reconciler and its jobs report it.

use std::error::Error;

/// Returns the text of an error, followed by those of its sources which it does not contain.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failure {
        text: &'static str,
        #[source]
        source: Option<Box<Failure>>,
    }

    fn failure(text: &'static str, source: Option<Failure>) -> Failure {
        Failure { text, source: source.map(Box::new) }
    }

    #[test]
    fn sources_are_appended_unless_they_are_named_already() {
        let refused = failure("connection refused", None);
        let named = failure("connect: connection refused", Some(refused));
        let error = failure("no answer", Some(named));
        assert_eq!(with_causes(&error), "no answer: connect: connection refused");
    }
}
