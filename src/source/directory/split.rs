//! Splits a YAML text into its documents before any of it is parsed, so that one broken document
//! never hides its neighbours.

/// One document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    /// Line of the file its text begins in, from 1.
    pub first_line: u32,
    /// Its text, from its `---` (if it has one) to the line before the next marker.
    pub text: &'a str,
}

/// The documents of `text`, without those of blank lines, comments and directives only.
///
/// YAML allows `---` and `...` at the start of a line nowhere but between documents, not even in a
/// block of text (YAML 1.2.2, 9.1.2 "Document Markers"), so the split never cuts a document in two.
pub(crate) fn split(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let (mut offset, mut line_number) = (0, 1);
    for line in text.split_inclusive('\n') {
        if is_marker(line, "---") {
            push(&mut chunks, first_line, &text[start..offset]);
            (start, first_line) = (offset, line_number);
        } else if is_marker(line, "...") {
            push(&mut chunks, first_line, &text[start..offset]);
            (start, first_line) = (offset + line.len(), line_number + 1);
        }
        offset += line.len();
        line_number += 1;
    }
    push(&mut chunks, first_line, &text[start..]);
    chunks
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn push<'a>(chunks: &mut Vec<Chunk<'a>>, first_line: u32, text: &'a str) {
    let says_something = text.lines().any(|line| {
        let line = if is_marker(line, "---") { &line[3..] } else { line };
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '%'])
    });
    if says_something {
        chunks.push(Chunk { first_line, text });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split_to(text: &str) -> Vec<(u32, &str)> {
        split(text).into_iter().map(|chunk| (chunk.first_line, chunk.text)).collect()
    }

    #[test]
    fn documents_are_cut_at_their_markers() {
        for (text, expected) in [
            ("", vec![]),
            ("# nothing\n---\n# here\n", vec![]),
            ("a: 1\n", vec![(1, "a: 1\n")]),
            ("---\na: 1\n---\nb: 1\n", vec![(1, "---\na: 1\n"), (3, "---\nb: 1\n")]),
            ("a: 1\n...\n---\nb: 1", vec![(1, "a: 1\n"), (3, "---\nb: 1")]),
            ("%YAML 1.2\n---\na: 1\n", vec![(2, "---\na: 1\n")]),
            ("--- {a: 1}\n--- # comment\nb: 1\n", vec![(1, "--- {a: 1}\n"), (2, "--- # comment\nb: 1\n")]),
            ("a: |\n  text\n  ---\n  more\n----\n", vec![(1, "a: |\n  text\n  ---\n  more\n----\n")]),
            ("\u{feff}a: 1\r\n---\r\nb: 1\r\n", vec![(1, "a: 1\r\n"), (2, "---\r\nb: 1\r\n")]),
        ] {
            assert_eq!(split_to(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_lines_are_right(lines in prop::collection::vec("(---|\\.\\.\\.|a: 1|  b|# c|)", 0..20)) {
            let text = lines.join("\n");
            for chunk in split(&text) {
                let from = chunk.first_line as usize - 1;
                let count = chunk.text.lines().count();
                let original: Vec<&str> = text.lines().skip(from).take(count).collect();
                prop_assert_eq!(chunk.text.lines().collect::<Vec<_>>(), original);
            }
            let count = |text: &str| text.lines().filter(|line| ["a: 1", "  b"].contains(line)).count();
            prop_assert_eq!(split(&text).iter().map(|chunk| count(chunk.text)).sum::<usize>(), count(&text));
        }
    }
}
