//! Changes of what a page shows of an answer that is being written.

use super::SafeHtml;

/// A change of a part of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) part: Part,
    /// The element below the part that is changed, as the rest of a CSS selector; empty for the
    /// part itself.
    pub(crate) within: String,
    pub(crate) change: Change,
    pub(crate) html: SafeHtml,
}

/// The two parts of an answer on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The blocks that are finished, and the finished beginning of a long block.
    Done,
    /// The block that is being written.
    Tail,
}

/// The effect of a patch on the content of its element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Replace,
    Append,
}

impl Patch {
    pub(super) fn new(part: Part, change: Change, html: impl Into<SafeHtml>) -> Self {
        Self { part, within: String::new(), change, html: html.into() }
    }

    /// Returns the patch that makes the tail `new`: where `new` only adds to the end of an element,
    /// just the addition, which also keeps a selection of what is there.
    pub(super) fn of_tail(old: &str, new: &str) -> Self {
        match addition(old, new) {
            Some((depth, added)) => Self {
                within: " > :last-child".repeat(depth),
                ..Self::new(Part::Tail, Change::Append, added.to_owned())
            },
            None => Self::new(Part::Tail, Change::Replace, new.to_owned()),
        }
    }
}

/// Returns the whole elements and text that `new` has more than `old` at the end of an element of
/// `old`, and the depth of that element: 0 for the part, 1 for the last element in it.
fn addition<'n>(old: &str, new: &'n str) -> Option<(usize, &'n str)> {
    let mut ends = vec![old.len()];
    let mut open = old;
    while let Some((inside, _)) = open.trim_end_matches('\n').strip_suffix('>').and_then(|tag| tag.rsplit_once("</"))
        && open[inside.len() + 2..]
            .trim_end_matches('\n')
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'>')
    {
        ends.push(inside.len());
        open = inside;
    }
    ends.iter().enumerate().rev().find_map(|(depth, end)| {
        let (before, after) = old.split_at(*end);
        let added = new.strip_prefix(before)?.strip_suffix(after)?;
        is_whole(added).then_some((depth, added))
    })
}

/// Returns true for HTML of the sanitiser whose elements all begin and end within it.
fn is_whole(html: &str) -> bool {
    let mut depth = 0_usize;
    for tag in html.split('<').skip(1) {
        let name = tag.split([' ', '>']).next().unwrap_or_default();
        if tag.starts_with('/') {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            }
        } else if !matches!(name, "br" | "hr" | "input") {
            depth += 1;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_is_found_at_the_end_of_an_element() {
        for (old, new, expected) in [
            ("", "<p>a</p>\n", Some((0, "<p>a</p>\n"))),
            ("<p>a</p>\n", "<p>a b</p>\n", Some((1, " b"))),
            ("<p>a</p>\n", "<p>a <em>b</em> c</p>\n", Some((1, " <em>b</em> c"))),
            ("<p>a *b</p>\n", "<p>a <em>b</em></p>\n", None),
            ("<p>a &amp;</p>\n", "<p>a &amp;b</p>\n", Some((1, "b"))),
            ("<p>a &amp;l</p>\n", "<p>a &lt;</p>\n", None),
            ("<p>a</p>\n", "<p>a</p>\n<p>b</p>\n", Some((0, "<p>b</p>\n"))),
            ("<p>a</p>\n", "<h1>a</h1>\n", None),
            ("<ul>\n<li>a</li>\n</ul>\n", "<ul>\n<li>ab</li>\n</ul>\n", Some((2, "b"))),
            ("<ul>\n<li>a</li>\n</ul>\n", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n", Some((1, "<li>b</li>\n"))),
            ("<ul>\n<li>a</li>\n</ul>\n", "<ul>\n<li>ab</li>\n<li>c</li>\n</ul>\n", None),
            ("<p>a<br></p>\n", "<p>a<br>b</p>\n", Some((1, "b"))),
            ("<pre><code>a\n</code></pre>\n", "<pre><code>a\nb\n</code></pre>\n", Some((2, "b\n"))),
        ] {
            assert_eq!(addition(old, new), expected, "{old} -> {new}");
        }
    }
}
