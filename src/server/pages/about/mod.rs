//! `/about`: the version of the program.

mod texts;

use askama::Template;
use axum::{
    http::{Method, StatusCode},
    response::Response,
    routing::get,
};

use super::{
    error_page::ErrorPage,
    layout::{ICONS, Layout, SignedInVisitor},
    navigation::Entry,
    response,
};
use crate::Endpoint;
use texts::AboutTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[Endpoint { method: Method::GET, path: "/about", handler: || get(show) }];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry =
    Entry { path: "/about", icon: ICONS.account, title: |locale| AboutTexts(locale).title() };

#[derive(Template)]
#[template(path = "about/about.html")]
struct AboutPage<'a> {
    layout: &'a Layout,
    t: AboutTexts,
    version: &'static str,
}

async fn show(SignedInVisitor { layout, .. }: SignedInVisitor) -> Result<Response, ErrorPage> {
    let page = AboutPage { layout: &layout, t: AboutTexts(layout.locale), version: env!("CARGO_PKG_VERSION") };
    Ok(response::html(&layout, StatusCode::OK, &page))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn about_page_matches_its_snapshot() {
        snapshot::assert_page("about", "/about", |layout| {
            AboutPage { layout, t: AboutTexts(layout.locale), version: "0.0.0" }.render()
        });
    }
}
