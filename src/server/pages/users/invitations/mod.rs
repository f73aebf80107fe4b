//! `/users/invitations`: invitations, for administrators; and `/invitation`, where an invited person makes their account.

mod texts;
mod welcome;

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;

use super::ENTRY;
use crate::account_link;
use crate::database::Database;
use crate::pages::error_page::ErrorPage;
use crate::pages::form_problem::FormOutcome;
use crate::pages::layout::{AdminVisitor, Layout, Notice};
use crate::pages::response;
use crate::public_origin::PublicOrigin;
use crate::users::{self, InviteMode, Invited, Invitee, LineProblem, ListLine, ListProblem, UserError};
use crate::{Config, Endpoint};
use texts::InvitationTexts;

/// The routes of these pages.
pub(in crate::pages) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/users/invitations", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/users/invitations", handler: || post(invite) },
    Endpoint { method: Method::POST, path: "/users/invitations/{id}/renew", handler: || post(renew) },
    Endpoint { method: Method::POST, path: "/users/invitations/{id}/withdraw", handler: || post(withdraw) },
    Endpoint { method: Method::GET, path: account_link::INVITATION_PATH, handler: || get(welcome::show) },
    Endpoint { method: Method::POST, path: account_link::INVITATION_PATH, handler: || post(welcome::accept) },
];

#[derive(Template)]
#[template(path = "users/invitations/invitations.html")]
struct InvitationsPage<'a> {
    layout: &'a Layout,
    t: InvitationTexts,
    seats: String,
    notice: Option<Notice>,
    /// The pasted list, which stays in the form.
    list: String,
    /// The lines of the list, to be checked.
    checked: Vec<CheckedRow>,
    /// Words of the button that invites, where somebody can be.
    invite: Option<String>,
    left_out: Option<String>,
    /// People with their links.
    links: Vec<LinkRow>,
    open: Vec<OpenRow>,
}

/// A line of the list.
struct CheckedRow {
    number: usize,
    name: String,
    email: String,
    /// The problem; none for somebody who can be invited.
    problem: Option<String>,
}

/// Somebody who was invited.
struct LinkRow {
    name: String,
    email: String,
    link: String,
}

/// An invitation that nobody has used.
struct OpenRow {
    id: String,
    name: String,
    email: String,
    until: String,
    expired: bool,
}

/// The parts of the server that the page shows.
struct InvitationParts {
    db: Database,
    config: Arc<Config>,
    origin: PublicOrigin,
}

impl<S> FromRequestParts<S> for InvitationParts
where
    S: Send + Sync,
    Database: FromRef<S>,
    Arc<Config>: FromRef<S>,
    PublicOrigin: FromRequestParts<S, Rejection = Infallible>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let origin = PublicOrigin::from_request_parts(parts, state).await?;
        Ok(Self { db: Database::from_ref(state), config: Arc::from_ref(state), origin })
    }
}

impl<'a> InvitationsPage<'a> {
    async fn new(parts: &InvitationParts, layout: &'a Layout, outcome: FormOutcome) -> Result<Self, ErrorPage> {
        let InvitationParts { db, config, .. } = parts;
        let t = InvitationTexts(layout.locale);
        let used = layout.check(users::count(db).await)?;
        let invited = layout.check(users::count_invited(db).await)?;
        let now = Timestamp::now();
        let open = layout.check(users::invitations(db).await)?.into_iter().map(|invitation| {
            let day = layout.locale.day(invitation.expires_at.to_zoned(layout.zone.clone()).date());
            let expired = invitation.expires_at <= now;
            OpenRow {
                id: invitation.id,
                name: invitation.invitee.name,
                email: invitation.invitee.email,
                until: if expired { t.expired().to_owned() } else { t.until(&day) },
                expired,
            }
        });
        Ok(Self {
            layout,
            t,
            seats: t.seats(used, invited, i64::from(config.max_users)),
            notice: outcome.notice,
            list: String::new(),
            checked: Vec::new(),
            invite: None,
            left_out: None,
            links: Vec::new(),
            open: open.collect(),
        })
    }

    /// Adds people with their links.
    fn with_links(mut self, origin: &PublicOrigin, invited: Vec<Invited>) -> Self {
        if !invited.is_empty() {
            self.notice = Some(Notice::success(self.t.pass_on()).with_title(self.t.invited(invited.len())));
        }
        let row = |Invited { invitation, token }: Invited| LinkRow {
            link: account_link::invitation(origin, &token),
            name: invitation.invitee.name,
            email: invitation.invitee.email,
        };
        self.links = invited.into_iter().map(row).collect();
        self
    }

    /// Adds the lines of a list, and those that are left out.
    fn with_checked(mut self, list: String, checked: Vec<CheckedRow>) -> Self {
        let left_out = checked.iter().filter(|row| row.problem.is_some()).count();
        self.invite = (left_out < checked.len()).then(|| self.t.invite(checked.len() - left_out));
        self.left_out = (left_out > 0).then(|| self.t.left_out(left_out));
        self.list = list;
        self.checked = checked;
        self
    }
}

impl CheckedRow {
    fn new(t: InvitationTexts, line: &ListLine, outcome: Option<&UserError>) -> Self {
        let number = line.number;
        match &line.person {
            Ok(Invitee { name, email, .. }) => {
                let problem = outcome.map(|error| match error {
                    UserError::EmailTaken => t.taken().to_owned(),
                    UserError::AlreadyInvited => t.already().to_owned(),
                    UserError::Full(most) => t.full(*most),
                    other => other.to_string(),
                });
                Self { number, name: name.clone(), email: email.clone(), problem }
            }
            Err(problem) => {
                let problem = match problem {
                    LineProblem::Address => t.no_address().to_owned(),
                    LineProblem::Name => t.bad_name().to_owned(),
                    LineProblem::Formula => t.formula().to_owned(),
                    LineProblem::Repeated(line) => t.repeated(*line),
                };
                Self { number, name: line.text.clone(), email: String::new(), problem: Some(problem) }
            }
        }
    }
}

async fn show(parts: InvitationParts, AdminVisitor { layout, .. }: AdminVisitor) -> Result<Response, ErrorPage> {
    let page = InvitationsPage::new(&parts, &layout, FormOutcome::none()).await?;
    Ok(response::html(&layout, StatusCode::OK, &page))
}

#[derive(Deserialize)]
struct PastedList {
    list: String,
    /// Absent until the list was checked.
    invite: Option<String>,
}

async fn invite(
    parts: InvitationParts,
    AdminVisitor { layout, user }: AdminVisitor,
    Form(form): Form<PastedList>,
) -> Result<Response, ErrorPage> {
    let t = InvitationTexts(layout.locale);
    let lines = match users::parse_list(&form.list) {
        Ok(lines) => lines,
        Err(problem) => {
            let text = match problem {
                ListProblem::Empty => t.empty_list(),
                ListProblem::TooLong => t.long_list(),
            };
            let mut page = InvitationsPage::new(&parts, &layout, FormOutcome::none()).await?;
            page.notice = Some(Notice::problem(text));
            page.list = form.list;
            return Ok(response::html(&layout, StatusCode::BAD_REQUEST, &page));
        }
    };
    let mode = if form.invite.is_some() { InviteMode::Send } else { InviteMode::Preview };
    let people = lines.iter().filter_map(|line| line.person.clone().ok()).collect();
    let outcomes = layout.check(users::invite(&parts.db, parts.config.max_users, &user, people, mode).await)?;
    let mut outcomes = outcomes.into_iter();
    let (mut checked, mut invited) = (Vec::new(), Vec::new());
    for line in &lines {
        let outcome = line.person.is_ok().then(|| outcomes.next()).flatten();
        checked.push(CheckedRow::new(t, line, outcome.as_ref().and_then(|outcome| outcome.as_ref().err())));
        invited.extend(outcome.and_then(Result::ok));
    }
    let page = InvitationsPage::new(&parts, &layout, FormOutcome::none()).await?;
    let page = match mode {
        InviteMode::Preview => page.with_checked(form.list, checked),
        InviteMode::Send => page.with_links(&parts.origin, invited),
    };
    Ok(response::html(&layout, StatusCode::OK, &page))
}

async fn renew(
    parts: InvitationParts,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    let (invited, outcome) = match users::renew(&parts.db, parts.config.max_users, &user, &id).await {
        Ok(invited) => (vec![invited], FormOutcome::none()),
        Err(error) => (Vec::new(), layout.form_problem(error)?),
    };
    let status = outcome.status;
    let page = InvitationsPage::new(&parts, &layout, outcome).await?;
    Ok(response::html(&layout, status, &page.with_links(&parts.origin, invited)))
}

async fn withdraw(
    parts: InvitationParts,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    layout.check(users::withdraw(&parts.db, &user, &id).await)?;
    let outcome = FormOutcome::success(Notice::success(InvitationTexts(layout.locale).withdrawn()));
    let page = InvitationsPage::new(&parts, &layout, outcome).await?;
    Ok(response::html(&layout, StatusCode::OK, &page))
}
