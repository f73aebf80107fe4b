//! An answer that is still being written: finished blocks are rendered once, only the open end
//! again and again.

use pulldown_cmark::{Event, Parser};

use super::{SafeHtml, dialect, render};

/// The position up to which a growing text was rendered as finished blocks.
///
/// The text may only grow between calls. A block is finished when a complete line after it starts
/// another one; until then, one more character could change its kind.
#[derive(Debug, Default)]
pub(crate) struct LiveMarkdown {
    closed: usize,
}

impl LiveMarkdown {
    /// Returns the blocks that were finished since the last call, if any.
    pub(crate) fn finished(&mut self, text: &str, copy_label: &str) -> Option<SafeHtml> {
        let open = text.get(self.closed..)?;
        let complete = &open[..open.rfind('\n')? + 1];
        let boundary = last_block_start(complete);
        if boundary == 0 {
            return None;
        }
        let html = render(&complete[..boundary], copy_label);
        self.closed += boundary;
        Some(html)
    }

    /// Returns the open end, as far as it was written.
    pub(crate) fn tail(&self, text: &str, copy_label: &str) -> SafeHtml {
        render(text.get(self.closed..).unwrap_or_default(), copy_label)
    }
}

/// Returns the offset of the last block at the top level of `text`; 0 when there is only one.
fn last_block_start(text: &str) -> usize {
    let mut depth = 0_u32;
    let mut start = 0;
    for (event, range) in Parser::new_ext(text, dialect()).into_offset_iter() {
        match event {
            Event::Start(_) => {
                if depth == 0 {
                    start = range.start;
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            // A rule is a block without start and end events.
            Event::Rule if depth == 0 => start = range.start,
            _ => {}
        }
    }
    start
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "# Title\n\nFirst paragraph with **bold**\nand a second line.\n\n- one\n- two\n\n  with a paragraph\n- three\n\n```rust\nfn main() {\n\n    println!(\"# not a heading\");\n}\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n---\n\n> quoted\n> twice\n\nSetext\n======\n\n1. first\n2. second\n\nThe end.";

    /// Feeds `text` in pieces and returns the page at the end.
    fn streamed(text: &str, cuts: &[usize]) -> String {
        let mut live = LiveMarkdown::default();
        let mut shown = String::new();
        for &cut in cuts {
            if let Some(html) = live.finished(&text[..cut], "Copy") {
                shown.push_str(&html.to_string());
            }
        }
        shown + &live.tail(text, "Copy").to_string()
    }

    #[test]
    fn streaming_by_character_gives_the_same_page_as_at_once() {
        let cuts: Vec<usize> = (0..=ANSWER.len()).collect();
        assert_eq!(streamed(ANSWER, &cuts), render(ANSWER, "Copy").to_string());
    }

    #[test]
    fn tail_of_a_long_answer_is_short() {
        let mut live = LiveMarkdown::default();
        live.finished(ANSWER, "Copy").unwrap();
        assert!(live.tail(ANSWER, "Copy").to_string().len() < 60);
    }

    #[test]
    fn heading_mark_that_becomes_text_splits_no_paragraph() {
        let mut live = LiveMarkdown::default();
        assert_eq!(live.finished("para\n#", "Copy"), None);
        assert_eq!(live.finished("para\n#foo\nbar", "Copy"), None);
    }

    proptest! {
        #[test]
        fn page_is_the_same_for_every_cut_of_the_stream(mut cuts in prop::collection::vec(0..ANSWER.len(), 0..40)) {
            cuts.sort_unstable();
            prop_assert_eq!(streamed(ANSWER, &cuts), render(ANSWER, "Copy").to_string());
        }

        #[test]
        fn any_text_renders_without_a_panic(text in "[a-z#>*`|\\-\n <\\[\\]()!1.]{0,120}", cut in 0usize..120) {
            let mut live = LiveMarkdown::default();
            let cut = cut.min(text.len());
            live.finished(&text[..cut], "Copy");
            live.finished(&text, "Copy");
            live.tail(&text, "Copy");
        }
    }
}
