//! Snapshots of pages in both languages, so that every change of what people see is a reviewed
//! difference.
//!
//! A page's snapshot holds its own content alone: the frame and the navigation have one of their
//! own, so a new page changes no snapshot of another.

use axum::http::Method;
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::{
    assets::ASSETS,
    layout::{ICONS, Layout, LayoutTexts, Theme, Viewer},
};
use crate::i18n::Locale;

/// A name that would be trouble if a template forgot to escape it.
pub(super) const NAME: &str = "Anna <script>alert(1)</script> Nowak";

/// Returns the time at which all snapshots are taken.
pub(super) fn now() -> Timestamp {
    "2026-11-24T08:05:09Z".parse().unwrap()
}

pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Returns the frame of a request by an administrator.
pub(super) fn layout(locale: Locale, path: &str) -> Layout {
    Layout {
        instance: "Company ABC".to_owned(),
        nonce: "0123456789abcdef0123456789abcdef".to_owned(),
        locale,
        texts: LayoutTexts(locale),
        theme: Theme::System,
        method: Method::GET,
        path: path.to_owned(),
        path_and_query: path.to_owned(),
        viewer: Some(Viewer {
            id: id(1).to_string(),
            name: NAME.to_owned(),
            email: "anna@abc.example".to_owned(),
            initials: "AN".to_owned(),
            admin: true,
        }),
        zone: TimeZone::UTC,
        icons: &ICONS,
        assets: &ASSETS,
        by_htmx: false,
    }
}

/// Renders a page in both languages, checks it, and compares title and main content with the
/// snapshot.
pub(super) fn assert_page(name: &str, path: &str, render: impl Fn(&Layout) -> askama::Result<String>) {
    for locale in Locale::ALL {
        let html = checked(name, &render(&layout(locale, path)).unwrap());
        let title = between(&html, "<title>", "</title>");
        let main = between(&html, "<main ", "</main>");
        compare(name, locale, &format!("<title>{title}</title>\n<main {main}</main>"));
    }
}

/// Renders a document, or a part of one, in both languages, checks it, and compares all of it with
/// the snapshot.
pub(super) fn assert_document(name: &str, path: &str, render: impl Fn(&Layout) -> askama::Result<String>) {
    for locale in Locale::ALL {
        compare(name, locale, &checked(name, &render(&layout(locale, path)).unwrap()));
    }
}

fn compare(name: &str, locale: Locale, html: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("{name}.{}", locale.code()), html);
    });
}

/// Returns the markup without empty lines and hashes of assets, after checks that hold for every
/// page.
fn checked(name: &str, html: &str) -> String {
    let mut html: String = html.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
    for asset in ASSETS.all() {
        let address = asset.to_string();
        let file = address.rsplit('/').next().unwrap();
        html = html.replace(&address, &format!("/assets/{file}"));
    }
    assert!(!html.contains("<script>alert"), "{name} does not escape a name");
    assert!(!html.contains(" style="), "{name} has an inline style, which the policy forbids");
    assert!(!html.contains(" onclick=") && !html.contains("javascript:"), "{name} has an inline script");
    for tag in html.split('<').filter(|tag| tag.contains(" hx-") && !tag.starts_with("meta")) {
        assert!(tag.contains("hx-nonce="), "{name}: htmx would refuse <{tag}");
    }
    html
}

fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    html.split_once(start).and_then(|(_, rest)| rest.split_once(end)).map(|(inner, _)| inner).unwrap()
}
