//! `/audit`: the audit log, for administrators.

mod texts;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{Method, StatusCode},
    response::Response,
    routing::get,
};

use super::{
    audit_entry::{AuditEntryTexts, AuditList},
    error_page::ErrorPage,
    layout::{AdminVisitor, ICONS, Layout},
    navigation::Entry,
    response,
};
use crate::{
    Endpoint,
    audit::{AuditLog, PageNumber, Whose},
};
use texts::AuditTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[Endpoint { method: Method::GET, path: "/audit", handler: || get(show) }];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry = Entry { path: "/audit", icon: ICONS.audit, title: |locale| AuditTexts(locale).title() };

#[derive(Template)]
#[template(path = "audit/audit.html")]
struct AuditPage<'a> {
    layout: &'a Layout,
    t: AuditTexts,
    a: AuditEntryTexts,
    list: AuditList,
}

async fn show(
    State(log): State<AuditLog>,
    AdminVisitor { layout, user }: AdminVisitor,
    Query(PageNumber { page }): Query<PageNumber>,
) -> Result<Response, ErrorPage> {
    let entries = layout.check(log.page(Whose::Everybody, page).await)?;
    let list = AuditList::new(&layout, &user.id, &entries, page, ENTRY.path);
    let page = AuditPage { t: AuditTexts(layout.locale), a: AuditEntryTexts(layout.locale), layout: &layout, list };
    Ok(response::html(&layout, StatusCode::OK, &page))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::{super::snapshot, *};
    use crate::audit::{Entry, Page, Person};
    use crate::user::UserId;

    #[test]
    fn audit_page_matches_its_snapshot() {
        let person = |id: &str, name: &str| Person {
            id: UserId::from(id),
            name: name.to_owned(),
            email: format!("{id}@abc.example"),
        };
        let entry = |action: &str, details: serde_json::Value| Entry {
            id: 1,
            at: snapshot::now(),
            last_at: snapshot::now(),
            count: 1,
            action: action.to_owned(),
            by: Some(person("anna", snapshot::NAME)),
            subject: Some(person("jan", "Jan Kowalski")),
            address: Some("192.0.2.1".to_owned()),
            session: Some("3fa9c1d2".to_owned()),
            api_key: None,
            details: details.as_object().unwrap().clone(),
        };
        let failed = Entry { count: 40, by: None, session: None, ..entry("sign_in_failed", json!({})) };
        let key = json!({ "name": "Report script", "hint": "9f3c", "scopes": ["chat", "usage"] });
        let entries = vec![entry("password_reset", json!({})), failed, entry("key_created", key)];
        snapshot::assert_page("audit", "/audit", |layout| {
            let page = Page { entries: entries.clone(), total: 151 };
            let list = AuditList::new(layout, &UserId::from("somebody"), &page, 2, ENTRY.path);
            AuditPage { layout, t: AuditTexts(layout.locale), a: AuditEntryTexts(layout.locale), list }.render()
        });
    }
}
