//! `/settings/about`: the name of the instance and the version of the program.

mod texts;

use askama::Template;
use axum::{
    http::{Method, StatusCode},
    response::Response,
    routing::get,
};

use super::{
    layout::{ICONS, Layout, SignedInVisitor},
    navigation::Entry,
    response,
};
use crate::Endpoint;
use texts::AboutTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] =
    &[Endpoint { method: Method::GET, path: "/settings/about", handler: || get(show) }];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry =
    Entry { path: "/settings/about", icon: ICONS.about, title: |locale| AboutTexts(locale).title() };

#[derive(Template)]
#[template(path = "about/about.html")]
struct AboutPage<'a> {
    layout: &'a Layout,
    t: AboutTexts,
    version: &'static str,
}

async fn show(SignedInVisitor { layout, .. }: SignedInVisitor) -> Response {
    let page = AboutPage { layout: &layout, t: AboutTexts(layout.locale), version: env!("CARGO_PKG_VERSION") };
    response::html(&layout, StatusCode::OK, &page)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn about_page_matches_its_snapshot() {
        snapshot::assert_page("about", "/settings/about", |layout| {
            AboutPage { layout, t: AboutTexts(layout.locale), version: "1.2.3" }.render()
        });
    }
}
