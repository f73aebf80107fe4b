//! The bounds of one rendering: size and nesting of the text, size of the HTML, and time.

use std::fmt;
use std::time::{Duration, Instant};

/// Longest text that is formatted, in bytes. Longer than what models write in one answer.
pub(super) const LONGEST_TEXT: usize = 1 << 20;
/// Most bytes of HTML before the sanitiser, which builds a tree of them.
const MOST_HTML: usize = 4 << 20;
/// Most pieces of that HTML: a bound on the nodes of the tree.
const MOST_PIECES: usize = 800_000;
/// Pieces between two looks at the clock.
const PIECES_PER_CHECK: usize = 1024;
/// Time for the HTML of one text. Only hostile texts on a busy machine come near it.
const TIME_BUDGET: Duration = Duration::from_secs(2);
/// Most marks of quotes and list items at the beginning of a line: the parser's work for each line
/// grows with the containers that are open.
const MOST_MARKS: usize = 100;

/// HTML that is written within the bounds; what would exceed them is an error.
pub(super) struct BoundedHtml {
    html: String,
    pieces: usize,
    until: Instant,
}

impl BoundedHtml {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { html: String::with_capacity(capacity), pieces: 0, until: Instant::now() + TIME_BUDGET }
    }

    pub(super) fn into_html(self) -> String {
        self.html
    }
}

impl fmt::Write for BoundedHtml {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.pieces += 1;
        let is_late = self.pieces.is_multiple_of(PIECES_PER_CHECK) && Instant::now() > self.until;
        if is_late || self.pieces > MOST_PIECES || self.html.len() + piece.len() > MOST_HTML {
            return Err(fmt::Error);
        }
        self.html.push_str(piece);
        Ok(())
    }
}

/// Returns true for a text with quotes and lists so deep within each other that nobody means them.
pub(super) fn is_too_nested(text: &str) -> bool {
    text.split(['\n', '\r']).any(|line| marks(line.as_bytes()) > MOST_MARKS)
}

/// Returns the number of containers that a line can be in: marks of quotes and list items at its
/// beginning, and the indentation before the last of them.
fn marks(line: &[u8]) -> usize {
    let (mut marks, mut blanks) = (0, 0);
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        let blank_follows = |rest: &[u8]| rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
        rest = match first {
            b' ' => {
                blanks += 1;
                after
            }
            b'\t' => {
                blanks += 4;
                after
            }
            b'>' => after,
            b'-' | b'*' | b'+' if blank_follows(after) => after,
            b'0'..=b'9' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                match rest[digits..].split_first() {
                    Some((b'.' | b')', after)) if blank_follows(after) => after,
                    _ => break,
                }
            }
            _ => break,
        };
        if !matches!(first, b' ' | b'\t') {
            // The space after a mark belongs to it.
            marks += 1 + usize::saturating_sub(blanks, 1) / 2;
            blanks = 0;
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_containers_are_counted_at_the_line_start() {
        for (line, expected) in [
            ("", 0),
            ("text > - 1.", 0),
            ("> a > b", 1),
            (">>> a", 3),
            ("> - 1. a", 3),
            ("- - - - -", 5),
            ("-----", 0),
            ("10) a", 1),
            ("1.5 a", 0),
            ("        - a", 4),
            ("                                  code", 0),
            ("|---|---|", 0),
        ] {
            assert_eq!(marks(line.as_bytes()), expected, "{line:?}");
        }
    }
}
