//! The sanitiser: an allow-list of the tags and attributes that rendered Markdown needs.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Built on first use.
static SANITISER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(HashSet::from([
            "a",
            "blockquote",
            "br",
            "button",
            "code",
            "del",
            "div",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "input",
            "li",
            "ol",
            "p",
            "pre",
            "span",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ]))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("button", HashSet::from(["type"])),
            ("input", HashSet::from(["checked", "disabled", "type"])),
            ("ol", HashSet::from(["start"])),
        ]))
        .allowed_classes(HashMap::from([
            ("button", HashSet::from(["copy-code"])),
            ("div", HashSet::from(["code", "code-head"])),
            ("span", HashSet::from(["c", "k", "n", "s"])),
            ("td", HashSet::from(["centre", "right"])),
            ("th", HashSet::from(["centre", "right"])),
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .set_tag_attribute_value("a", "target", "_blank")
        .link_rel(Some("noopener noreferrer nofollow"));
    builder
});

/// Removes from `html` everything that is not on the allow-list.
pub(super) fn sanitise(html: &str) -> String {
    // The page's policy forbids inline styles, and the renderer writes column alignment as one. A
    // quotation mark in text is `&quot;`, so only the renderer writes these strings.
    let html = html
        .replace(" style=\"text-align: right\"", " class=\"right\"")
        .replace(" style=\"text-align: center\"", " class=\"centre\"")
        .replace(" style=\"text-align: left\"", "");
    SANITISER.clean(&html).to_string()
}
