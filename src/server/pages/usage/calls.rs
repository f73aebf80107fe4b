//! `/usage/calls`: the newest calls of everybody, without their content.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Zoned;
use serde::Deserialize;

use super::company::ENTRY;
use super::report::split_model;
use super::texts::UsageTexts;
use crate::pages::error_page::ErrorPage;
use crate::pages::layout::{AdminVisitor, Layout};
use crate::pages::response;
use crate::usage::{Call, UsageReports};

#[derive(Template)]
#[template(path = "usage/calls.html")]
pub(super) struct CallsPage<'a> {
    pub(super) layout: &'a Layout,
    pub(super) t: UsageTexts,
    pub(super) calls: Vec<CallRow>,
    /// The id before which the next page begins.
    pub(super) next_before: Option<String>,
    pub(super) is_first: bool,
}

/// A row of the table of calls.
pub(super) struct CallRow {
    pub(super) time: String,
    pub(super) name: String,
    pub(super) model: String,
    pub(super) maker: String,
    pub(super) tokens: String,
    pub(super) cost: String,
}

impl CallRow {
    pub(super) fn new(layout: &Layout, call: &Call, now: &Zoned) -> Self {
        let t = UsageTexts(layout.locale);
        let at = call.timestamp.to_zoned(layout.zone.clone());
        let clock = format!("{}:{:02}", layout.locale.clock(&at), at.second());
        let (model, maker) = split_model(&call.model);
        Self {
            time: if at.date() == now.date() { clock } else { format!("{}, {clock}", layout.locale.day(at.date())) },
            name: if call.name.is_empty() { call.user_id.as_str().to_owned() } else { call.name.clone() },
            model: model.to_owned(),
            maker: if call.is_correction { t.correction().to_owned() } else { maker.to_owned() },
            tokens: call
                .total_tokens
                .map_or_else(String::new, |tokens| layout.locale.number(i64::try_from(tokens).unwrap_or(i64::MAX))),
            cost: match call.price {
                Some(price) => layout.locale.usd(price),
                None if call.status == "pending" => t.running_cell().to_owned(),
                None => t.unknown_cell().to_owned(),
            },
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<String>,
}

pub(super) async fn show(
    State(reports): State<UsageReports>,
    AdminVisitor { layout, .. }: AdminVisitor,
    Query(Before { before }): Query<Before>,
) -> Result<Response, ErrorPage> {
    reports.catch_up().await;
    let found = layout.check(reports.calls(before.as_deref()).await)?;
    let now = reports.now();
    let page = CallsPage {
        layout: &layout,
        t: UsageTexts(layout.locale),
        calls: found.calls.iter().map(|call| CallRow::new(&layout, call, &now)).collect(),
        next_before: found.next_before,
        is_first: before.is_none(),
    };
    Ok(response::html(&layout, StatusCode::OK, &page))
}
