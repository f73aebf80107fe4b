//! A long block that is being written: what is finished of it is rendered once, and the rest is
//! rendered as its continuation.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::events::language;
use super::shield::shield;
use super::{dialect, highlight};

/// Most bytes of code that are held back because they may be within a comment or a string.
const MOST_HELD_BACK: usize = 16 << 10;

/// A block at the top level whose beginning is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenBlock {
    /// A fenced code block: the line that opens it.
    Code {
        opening: String,
        language: String,
    },
    /// A table: its two first lines.
    Table {
        opening: String,
    },
    List,
}

impl OpenBlock {
    /// Returns the block that a text begins with, and the length of its opening.
    pub(super) fn at_start(text: &str) -> Option<(Self, usize)> {
        let source = shield(text);
        let (event, range) = Parser::new_ext(&source, dialect()).into_offset_iter().next()?;
        let opening = |lines: usize| {
            let end = text[range.start..].split_inclusive('\n').take(lines).map(str::len).sum::<usize>() + range.start;
            (text[range.start..end].to_owned(), end)
        };
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let (line, end) = opening(1);
                // Its indentation is not in the range, and code is indented by as much.
                let indent = text[..range.start].rsplit('\n').next().unwrap_or_default();
                Some((Self::Code { opening: format!("{indent}{line}"), language: language(&info).to_owned() }, end))
            }
            Event::Start(Tag::Table(_)) => {
                let (opening, end) = opening(2);
                Some((Self::Table { opening }, end))
            }
            Event::Start(Tag::List(_)) => Some((Self::List, 0)),
            _ => None,
        }
    }

    /// Returns the text that a continuation begins with.
    pub(super) fn opening(&self) -> &str {
        match self {
            Self::Code { opening, .. } | Self::Table { opening } => opening,
            Self::List => "",
        }
    }

    /// Returns how much of a text that goes on with this block is finished.
    pub(super) fn finished(&self, text: &str) -> usize {
        let lines = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        match self {
            Self::Code { opening, language } => {
                let code = until(lines, |line| closes(opening, line));
                let safe = highlight::last_line_outside(language, code);
                match (safe, code.len() == lines.len()) {
                    (0, _) if code.len() > MOST_HELD_BACK => code.len(),
                    // A line that does not end.
                    (0, true) if text.len() > 2 * MOST_HELD_BACK => text.len(),
                    (safe, _) => safe,
                }
            }
            Self::Table { .. } => until(lines, |line| line.trim().is_empty()).len(),
            Self::List => last_item(lines),
        }
    }

    /// Splits the HTML of a text that goes on with this block: the content of the block, and what
    /// follows it.
    pub(super) fn split<'h>(&self, html: &'h str) -> (&'h str, &'h str) {
        let between = |start: &str, open: &str, close: &str| {
            let (_, content) = Some(html).filter(|html| html.starts_with(start))?.split_once(open)?;
            content.split_once(close)
        };
        let parts = match self {
            Self::Code { .. } => between("<div class=\"code\">", "<pre><code>", "</code></pre></div>"),
            Self::Table { .. } => between("<table>", "<tbody>", "</tbody></table>"),
            Self::List => split_list(html),
        };
        parts.map_or(("", html), |(content, rest)| (content, rest.trim_start_matches('\n')))
    }

    /// Returns the selector of the element that holds its content, from the last block.
    pub(super) fn selector(&self) -> &'static str {
        match self {
            Self::Code { .. } => " > :last-child > pre > code",
            Self::Table { .. } => " > :last-child > tbody",
            Self::List => " > :last-child",
        }
    }
}

/// Returns the lines before the first one that `ends` is true of.
fn until(lines: &str, ends: impl Fn(&str) -> bool) -> &str {
    let length = lines.split_inclusive('\n').take_while(|line| !ends(line)).map(str::len).sum();
    &lines[..length]
}

/// Returns true for a line that closes the code block that this line opened.
fn closes(opening: &str, line: &str) -> bool {
    let opening = opening.trim_start();
    let mark = opening.chars().next().unwrap_or('`');
    let length = |line: &str| line.len() - line.trim_start_matches(mark).len();
    let line = line.trim();
    length(line) >= length(opening) && length(line) == line.len()
}

/// Returns the start of the last item of the list that a text begins with.
fn last_item(text: &str) -> usize {
    let (mut depth, mut start) = (0_u32, 0);
    for (event, range) in Parser::new_ext(&shield(text), dialect()).into_offset_iter() {
        match event {
            Event::Start(Tag::Item) if depth == 1 => {
                start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
                depth += 1;
            }
            Event::Start(_) => depth += 1,
            Event::End(TagEnd::List(_)) if depth == 1 => break,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    start
}

/// Splits HTML that begins with a list: its items, and what follows it.
fn split_list(html: &str) -> Option<(&str, &str)> {
    let start = html.find('>').filter(|_| html.starts_with("<ul") || html.starts_with("<ol"))? + 1;
    let (mut depth, mut at) = (1, start);
    while depth > 0 {
        at += html[at..].find('<')?;
        let tag = &html[at..];
        if tag.starts_with("<ul") || tag.starts_with("<ol") {
            depth += 1;
        } else if tag.starts_with("</ul>") || tag.starts_with("</ol>") {
            depth -= 1;
        }
        at += 1;
    }
    Some((&html[start..at - 1], &html[at + 4..]))
}
