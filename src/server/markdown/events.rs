//! The events of a text, made safe and bounded before they become HTML.

use std::borrow::Cow;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Tag, TagEnd};

use super::formula::Formulas;
use super::shield::{Piece, pieces, unshield};
use super::{escape, highlight};

/// Most elements within each other. What is nested deeper loses its form and keeps its words: the
/// work of the sanitiser grows with the depth.
const DEEPEST: usize = 40;

/// Puts the characters of a shielded text back into an event, but for its text.
pub(super) fn unshielded(event: Event<'_>) -> Event<'_> {
    match event {
        // It may hold formulas.
        Event::Text(text) => Event::Text(text),
        Event::Code(text) => Event::Code(original(text)),
        Event::Html(text) => Event::Html(original(text)),
        Event::InlineHtml(text) => Event::InlineHtml(original(text)),
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(original(info))))
        }
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: original(dest_url), title: original(title), id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: original(dest_url), title: original(title), id })
        }
        other => other,
    }
}

fn original(text: CowStr<'_>) -> CowStr<'_> {
    match unshield(&text) {
        Cow::Owned(original) => CowStr::from(original),
        Cow::Borrowed(_) => text,
    }
}

/// The events of elements that are at most [`DEEPEST`] within each other.
pub(super) struct ShallowEvents<I> {
    inner: I,
    depth: usize,
}

impl<I> ShallowEvents<I> {
    pub(super) fn new(inner: I) -> Self {
        Self { inner, depth: 0 }
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for ShallowEvents<I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            match self.inner.next()? {
                Event::Start(tag) => {
                    self.depth += 1;
                    if self.depth <= DEEPEST {
                        return Some(Event::Start(tag));
                    }
                }
                Event::End(tag) => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth < DEEPEST {
                        return Some(Event::End(tag));
                    }
                    if !is_inline(tag) {
                        return Some(Event::SoftBreak);
                    }
                }
                other => return Some(other),
            }
        }
    }
}

fn is_inline(tag: TagEnd) -> bool {
    matches!(tag, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image)
}

/// The event stream with raw HTML as text, images as links, and code blocks with a heading and a
/// copy button.
pub(super) struct SafeEvents<'l, I> {
    inner: I,
    copy_label: &'l str,
    in_image: u32,
    formulas: Formulas,
}

impl<'l, I> SafeEvents<'l, I> {
    pub(super) fn new(inner: I, copy_label: &'l str) -> Self {
        Self { inner, copy_label, in_image: 0, formulas: Formulas::new() }
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> SafeEvents<'_, I> {
    /// Returns a text with its formulas as MathML.
    fn text(&mut self, shielded: CowStr<'a>) -> Event<'a> {
        let parts = pieces(&shielded);
        if !parts.iter().any(|part| matches!(part, Piece::Formula { .. })) {
            return Event::Text(original(shielded));
        }
        let mut html = String::new();
        for part in parts {
            match part {
                Piece::Text(text) => html.push_str(&escape(&text)),
                Piece::Formula { source, tex, setting } => match self.formulas.mathml(&source, &tex, setting) {
                    Some(mathml) => html.push_str(&mathml),
                    None => html.push_str(&escape(&source)),
                },
            }
        }
        Event::Html(CowStr::from(html))
    }

    /// Reads the text of the code block that has just started, which comes line by line.
    fn read_code(&mut self) -> String {
        let mut code = String::new();
        for event in self.inner.by_ref() {
            match event {
                Event::Text(text) => code.push_str(&unshield(&text)),
                Event::End(TagEnd::CodeBlock) => break,
                _ => {}
            }
        }
        code
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for SafeEvents<'_, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        Some(match self.inner.next()? {
            Event::Text(text) => self.text(text),
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Start(Tag::Image { link_type, dest_url, id, .. }) => {
                self.in_image += 1;
                // HTML allows no link within a link: only the outermost image becomes one.
                if self.in_image > 1 {
                    return Some(Event::Text(CowStr::Borrowed("")));
                }
                Event::Start(Tag::Link { link_type, dest_url, title: CowStr::Borrowed(""), id })
            }
            Event::End(TagEnd::Image) => {
                self.in_image = self.in_image.saturating_sub(1);
                if self.in_image > 0 {
                    return Some(Event::Text(CowStr::Borrowed("")));
                }
                Event::End(TagEnd::Link)
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match &kind {
                    CodeBlockKind::Fenced(info) => language(info),
                    CodeBlockKind::Indented => "",
                };
                Event::Html(CowStr::from(code_block(language, &self.read_code(), self.copy_label)))
            }
            other => other,
        })
    }
}

/// Returns the language that the opening line of a code block names.
pub(super) fn language(info: &str) -> &str {
    info.split([' ', ',', '{']).next().unwrap_or_default()
}

/// Returns a code block with its heading and its button.
fn code_block(language: &str, code: &str, copy_label: &str) -> String {
    format!(
        "<div class=\"code\"><div class=\"code-head\"><span>{}</span><button class=\"copy-code\" type=\"button\">{}</button></div><pre><code>{}</code></pre></div>\n",
        escape(language),
        escape(copy_label),
        highlight::highlight(language, code)
    )
}
