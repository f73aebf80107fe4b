//! `/account/activity`: the entries of the audit log that concern the reader.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::super::audit_entry::{AuditEntryTexts, AuditList};
use super::super::error_page::ErrorPage;
use super::super::layout::{Layout, SignedInVisitor};
use super::super::response;
use super::ENTRY;
use super::texts::AccountTexts;
use crate::audit::{AuditLog, PageNumber, Whose};

#[derive(Template)]
#[template(path = "account/activity.html")]
struct ActivityPage<'a> {
    layout: &'a Layout,
    t: AccountTexts,
    a: AuditEntryTexts,
    list: AuditList,
}

pub(super) async fn show(
    State(log): State<AuditLog>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(PageNumber { page }): Query<PageNumber>,
) -> Result<Response, ErrorPage> {
    let entries = layout.check(log.page(Whose::Of(&user.id), page).await)?;
    let list = AuditList::new(&layout, &user.id, &entries, page, "/account/activity");
    let page =
        ActivityPage { t: AccountTexts(layout.locale), a: AuditEntryTexts(layout.locale), layout: &layout, list };
    Ok(response::html(&layout, StatusCode::OK, &page))
}
