//! An answer that is still being written: what is finished is rendered once, only the open end
//! again and again.

use std::borrow::Cow;

use pulldown_cmark::{Event, Parser};

use super::open_block::OpenBlock;
use super::patch::{Change, Part, Patch};
use super::shield::{open_formula, shield};
use super::{Labels, dialect, is_parseable, render};

/// An open end longer than this is not rendered again for every addition.
const LONG: usize = 8 << 10;

/// The state of an answer on a page of one reader.
///
/// A block is finished when a complete line after it starts another one; until then, one more
/// character could change its kind. Of a long code block, table or list the finished beginning is
/// rendered once, too. Any other long block is rendered again after it has grown by a quarter. So
/// the work and the patches grow with the answer, whatever is in it.
#[derive(Debug)]
pub(crate) struct LiveMarkdown {
    labels: Labels,
    /// The text so far.
    whole: String,
    /// The end of it that is not finished.
    open: String,
    /// The block that the open text goes on with.
    block: Option<OpenBlock>,
    /// The HTML of the open text on the page.
    tail: String,
    /// The length of the open text from which on it is looked at again.
    next: usize,
    /// False before the first patches, which replace what the page holds, perhaps from an earlier
    /// connection.
    is_started: bool,
}

impl LiveMarkdown {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            labels,
            whole: String::new(),
            open: String::new(),
            block: None,
            tail: String::new(),
            next: 0,
            is_started: false,
        }
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.whole.push_str(text);
        self.open.push_str(text);
    }

    /// The length of the text that the next patches are made of.
    pub(crate) fn open_length(&self) -> usize {
        self.open.len()
    }

    /// Returns the patches for what was added, to be applied in order: of those below the top level
    /// there is one at most for each part, and it comes first.
    pub(crate) fn patches(&mut self) -> Vec<Patch> {
        if self.is_started && self.open.len() < self.next {
            return Vec::new();
        }
        let mut patches = Vec::new();
        let mut done = self.close_finished_blocks(&mut patches);
        done += &self.close_beginning(&mut patches);
        if !self.is_started {
            self.is_started = true;
            patches.push(Patch::new(Part::Done, Change::Replace, done));
            self.tail = self.render_tail();
            patches.push(Patch::new(Part::Tail, Change::Replace, self.tail.clone()));
        } else {
            if !done.is_empty() {
                patches.push(Patch::new(Part::Done, Change::Append, done));
            }
            let tail = self.render_tail();
            if tail != self.tail {
                patches.push(Patch::of_tail(&self.tail, &tail));
                self.tail = tail;
            }
        }
        self.next = if self.open.len() > LONG { self.open.len() + self.open.len() / 4 } else { 0 };
        patches
    }

    /// Returns the patches at the end of the answer. The tail is replaced, whatever became of its
    /// additions on the page; and everything where a link is defined in another block than the one
    /// that has it.
    pub(crate) fn last_patches(&mut self) -> Vec<Patch> {
        if has_definitions(&self.whole) {
            let html = render(&self.whole, self.labels).to_string();
            return vec![
                Patch::new(Part::Done, Change::Replace, html),
                Patch::new(Part::Tail, Change::Replace, String::new()),
            ];
        }
        self.next = 0;
        let mut patches = self.patches();
        patches.retain(|patch| patch.part != Part::Tail);
        patches.push(Patch::new(Part::Tail, Change::Replace, self.tail.clone()));
        patches
    }

    /// Closes the blocks that are finished, and returns their HTML.
    fn close_finished_blocks(&mut self, patches: &mut Vec<Patch>) -> String {
        let opening = self.block.as_ref().map_or(0, |block| block.opening().len());
        let complete = self.open.rfind('\n').map_or(0, |at| at + 1);
        // A line of a formula is none of Markdown, which its end tells.
        let complete = open_formula(&self.open).map_or(complete, |at| complete.min(line_start(&self.open, at)));
        let source = self.continued(complete);
        let end = last_block_start(&source);
        if end <= opening {
            return String::new();
        }
        let html = render(&source[..end], self.labels).to_string();
        self.open.drain(..end - opening);
        match self.block.take() {
            Some(block) => add_to(&block, &html, patches),
            None => html,
        }
    }

    /// Closes the finished beginning of a long block, and returns its HTML if it is the first part.
    fn close_beginning(&mut self, patches: &mut Vec<Patch>) -> String {
        if let Some(block) = self.block.clone() {
            let end = block.finished(&self.open);
            if end == 0 {
                return String::new();
            }
            let html = render(&self.continued(end), self.labels).to_string();
            self.open.drain(..end);
            return add_to(&block, &html, patches);
        }
        if self.open.len() <= LONG || !is_parseable(&self.open) {
            return String::new();
        }
        let Some((block, opening)) = OpenBlock::at_start(&self.open) else { return String::new() };
        let end = block.finished(&self.open[opening..]);
        if end == 0 {
            return String::new();
        }
        let html = render(&self.open[..opening + end], self.labels).to_string();
        self.open.drain(..opening + end);
        self.block = Some(block);
        html
    }

    fn render_tail(&self) -> String {
        let html = render(&self.continued(self.open.len()), self.labels).to_string();
        match &self.block {
            None | Some(OpenBlock::List) => html,
            // A line of it is shown once it is complete.
            Some(block) => block.split(&html).1.to_owned(),
        }
    }

    /// Returns this much of the open text, as a text of its own.
    fn continued(&self, length: usize) -> Cow<'_, str> {
        let text = &self.open[..length];
        match self.block.as_ref().map(OpenBlock::opening) {
            Some(opening) if !opening.is_empty() => Cow::Owned(format!("{opening}{text}")),
            _ => Cow::Borrowed(text),
        }
    }
}

/// Adds the HTML of a text that goes on with a block to that block, and returns what follows it.
fn add_to(block: &OpenBlock, html: &str, patches: &mut Vec<Patch>) -> String {
    let (content, rest) = block.split(html);
    if !content.trim().is_empty() {
        let patch = Patch::new(Part::Done, Change::Append, content.to_owned());
        patches.push(Patch { within: block.selector().to_owned(), ..patch });
    }
    rest.to_owned()
}

/// Returns true for a text with definitions of links, such as `[1]: https://example.com`.
fn has_definitions(text: &str) -> bool {
    let may_have = text.contains("]:") && is_parseable(text);
    may_have && Parser::new_ext(&shield(text), dialect()).reference_definitions().iter().next().is_some()
}

/// Returns the offset of the last block at the top level of `text`; 0 when there is only one.
fn last_block_start(text: &str) -> usize {
    if !is_parseable(text) {
        return 0;
    }
    let mut depth = 0_u32;
    let mut start = 0;
    for (event, range) in Parser::new_ext(&shield(text), dialect()).into_offset_iter() {
        match event {
            Event::Start(_) => {
                if depth == 0 {
                    start = line_start(text, range.start);
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            // A rule is a block without start and end events.
            Event::Rule if depth == 0 => start = line_start(text, range.start),
            _ => {}
        }
    }
    start
}

/// Returns the start of a line: the indentation of a block is a part of it.
fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line_break| line_break + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LABELS: Labels = Labels { copy: "Copy", plain: "Plain" };
    const ANSWER: &str = "# Title\n\nFirst paragraph with **bold**\nand a second line.\n\n- one\n- two\n\n  with a paragraph\n- three\n\n```rust\nfn main() {\n\n    println!(\"# not a heading\");\n}\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n---\n\n> quoted\n> twice\n\nSetext\n======\n\n1. first\n2. second\n\nThe end.";

    /// A page that patches are applied to, without a browser: elements are found in the HTML.
    #[derive(Default)]
    struct Page {
        done: String,
        tail: String,
        /// Bytes of all patches.
        sent: usize,
    }

    impl Page {
        fn apply(&mut self, patches: &[Patch]) {
            for patch in patches {
                let html = patch.html.to_string();
                self.sent += html.len();
                let part = match patch.part {
                    Part::Done => &mut self.done,
                    Part::Tail => &mut self.tail,
                };
                match patch.change {
                    Change::Replace => *part = html,
                    Change::Append => {
                        // The elements at the end are closed by the last tags.
                        let depth = patch.within.matches(" > ").count();
                        let mut at = part.len();
                        for _ in 0..depth {
                            at = part[..at].rfind("</").unwrap();
                        }
                        part.insert_str(at, &html);
                    }
                }
            }
        }

        fn shown(&self) -> String {
            format!("{}{}", self.done, self.tail)
        }
    }

    /// Feeds `text` in pieces and returns the page at the end.
    fn streamed(text: &str, cuts: impl IntoIterator<Item = usize>) -> Page {
        let (mut live, mut page) = (LiveMarkdown::new(LABELS), Page::default());
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            live.push(&text[from..cut]);
            page.apply(&live.patches());
            from = cut;
        }
        page
    }

    #[test]
    fn streaming_by_character_gives_the_same_page_as_at_once() {
        for answer in
            [ANSWER, "a\n\n    indented\n\nb\n\n---\n```\nopen", "- a\n- b\n\n1) c\n\n> d\ne\n", "Setext\n---\n"]
        {
            assert_eq!(streamed(answer, 0..answer.len()).shown(), render(answer, LABELS).to_string());
        }
    }

    #[test]
    fn link_that_is_defined_later_is_one_at_the_end() {
        for text in [
            "See [a][1] and [two].\n\nB.\n\n[1]: https://a.b\n[two]: https://c.d\n\nEnd.",
            "[x]: https://y.z\n\nC [x]: d",
        ] {
            let (mut live, mut page) = (LiveMarkdown::new(LABELS), Page::default());
            for at in 0..text.len() {
                live.push(&text[at..=at]);
                page.apply(&live.patches());
            }
            page.apply(&live.last_patches());
            assert_eq!(page.shown(), render(text, LABELS).to_string());
            assert!(page.shown().contains("<a href"), "{}", page.shown());
        }
    }

    #[test]
    fn heading_mark_that_becomes_text_splits_no_paragraph() {
        let mut live = LiveMarkdown::new(LABELS);
        let mut page = Page::default();
        for piece in ["para\n#", "foo\nbar"] {
            live.push(piece);
            page.apply(&live.patches());
        }
        assert_eq!((page.done.as_str(), page.tail.as_str()), ("", "<p>para\n#foo\nbar</p>\n"));
    }

    /// Long blocks, with what stands before and after them.
    fn long_blocks() -> Vec<(&'static str, String)> {
        let lines = |line: &str| line.repeat(30_000 / line.len());
        let code = lines("let value = compute(1, \"text\"); // remark\n\nnext\n");
        vec![
            ("paragraphs", lines("A paragraph with **bold** words.\n\n")),
            ("code", format!("Here:\n\n```rust\n{code}```\n\nThat *was* it.\n\nThe end.")),
            ("code without an end", format!("~~~~ py\n{code}```\n")),
            ("code with a long comment", format!("```c\nint a;\n/* {}*/\nint b;\n```\n", lines("remark\n"))),
            ("table", format!("|a|b|\n|-|-:|\n{}\nThe end.\n", lines("|*c*|d|\n"))),
            ("list", format!("{}\nThe end.\n", lines("- an item\n  - and one\n    within\n"))),
            ("numbered list", format!("5. five\n{}\nThe end.\n", lines("1. one\n"))),
        ]
    }

    #[test]
    fn long_blocks_are_sent_about_once() {
        for (name, text) in long_blocks() {
            let page = streamed(&text, (0..text.len()).step_by(997));
            let whole = render(&text, LABELS).to_string();
            // The pieces of a long block are parsed alone, which shows in blanks at most.
            // A comment that is too long to be held back loses its colour until the end.
            let squeezed = |html: &str| {
                html.replace("<span class=\"c\">", "").replace("</span>", "").split_whitespace().collect::<String>()
            };
            assert!(squeezed(&page.shown()) == squeezed(&whole), "{name}: {}", page.shown());
            assert!(page.sent < 2 * whole.len() + 2 * LONG, "{name}: {} bytes for {}", page.sent, whole.len());
        }
    }

    #[test]
    fn blocks_that_stay_open_are_sent_a_bounded_number_of_times() {
        let repeat = |piece: &str| piece.repeat(24_000 / piece.len());
        for (name, text) in [
            ("one paragraph", repeat("some *words* in a line\n")),
            ("one line", repeat("some ~~words~~ in it ")),
            ("quote", repeat("> a line\n")),
            ("code in a list", format!("1. one\n   ```\n{}", repeat("   code\n"))),
            ("nested quotes", repeat("> ")),
            ("brackets", repeat("[")),
            ("code in one line", format!("```js\n{}", repeat("let a = 1; "))),
        ] {
            let page = streamed(&text, (0..text.len()).step_by(499));
            let whole = render(&text, LABELS).to_string().len();
            assert!(page.sent < 16 * whole + 64 * LONG, "{name}: {} bytes for {whole}", page.sent);
        }
    }

    proptest! {
        #[test]
        fn page_is_the_same_for_every_cut_of_the_stream(mut cuts in prop::collection::vec(0..ANSWER.len(), 0..40)) {
            cuts.sort_unstable();
            prop_assert_eq!(streamed(ANSWER, cuts).shown(), render(ANSWER, LABELS).to_string());
        }

        #[test]
        fn any_text_renders_without_a_panic(text in "[a-z#>*`|\\-\n <\\[\\]()!1.]{0,120}", cut in 0usize..120) {
            let cut = cut.min(text.len());
            streamed(&text, [cut]);
        }
    }
}
