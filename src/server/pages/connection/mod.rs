//! `/connection`: the upstream and the key to it.

mod texts;

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::Method,
    response::Response,
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    error_page::ErrorPage,
    form_problem::FormOutcome,
    layout::{AdminVisitor, ICONS, Layout, Notice, Tone},
    navigation::Entry,
    response,
};
use crate::{
    Endpoint,
    auth::{Confirmations, CurrentUser},
    connection::{Connection, ConnectionSource, Connections},
    models::Models,
};
use texts::ConnectionTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/connection", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/connection", handler: || post(save) },
    Endpoint { method: Method::POST, path: "/connection/forget", handler: || post(forget) },
];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry =
    Entry { path: "/connection", icon: ICONS.connection, title: |locale| ConnectionTexts(locale).title() };

#[derive(Template)]
#[template(path = "connection/connection.html")]
struct ConnectionPage<'a> {
    layout: &'a Layout,
    t: ConnectionTexts,
    badge: Badge,
    base_url: String,
    /// Names the stored key by its last characters.
    key_kept: Option<String>,
    key_placeholder: String,
    /// True when an administrator stored the connection here, so that it can be removed.
    stored: bool,
    /// True when a change needs the reader's password.
    confirm: bool,
    source: &'static str,
    models: Vec<String>,
    models_count: String,
    notice: Option<Notice>,
}

/// The badge of the heading: the state of the connection.
struct Badge {
    tone: Tone,
    label: &'static str,
}

impl<'a> ConnectionPage<'a> {
    fn new(layout: &'a Layout, connection: &Connection, works: bool, models: Vec<String>) -> Self {
        let t = ConnectionTexts(layout.locale);
        let hint = connection.key_hint();
        let configured = connection.is_configured();
        let badge = match (configured, works) {
            (false, _) => Badge { tone: Tone::Warning, label: t.not_connected() },
            (true, false) => Badge { tone: Tone::Problem, label: t.failing() },
            (true, true) => Badge { tone: Tone::Success, label: t.connected() },
        };
        Self {
            layout,
            t,
            badge,
            base_url: connection.base_url.clone(),
            key_placeholder: hint.as_deref().map_or_else(|| "sk-or-v1-…".to_owned(), |hint| format!("••••••••{hint}")),
            key_kept: hint.map(|hint| t.key_kept(&hint)),
            stored: connection.source == ConnectionSource::Database,
            confirm: false,
            source: match (connection.source, configured) {
                (ConnectionSource::Mock, _) => t.source_mock(),
                (ConnectionSource::Database, _) => t.source_database(),
                (ConnectionSource::Environment, true) => t.source_environment(),
                (ConnectionSource::Environment, false) => t.source_none(),
            },
            models_count: t.models_count(i64::try_from(models.len()).unwrap_or(i64::MAX)),
            models,
            notice: None,
        }
    }
}

async fn draw(
    connections: &Connections,
    models: &Models,
    confirmations: &Confirmations,
    layout: &Layout,
    user: &CurrentUser,
    outcome: FormOutcome,
    typed_url: Option<String>,
) -> Result<Response, ErrorPage> {
    let connection = connections.current();
    let catalogue = models.list().await;
    let works = connections.last_check().map_or(catalogue.problem().is_none(), |check| check.ok);
    let names = catalogue.models().iter().map(|model| model.id.clone()).collect();
    let mut page = ConnectionPage::new(layout, &connection, works, names);
    page.confirm = !layout.check(confirmations.is_fresh(user).await)?;
    page.notice = outcome.notice;
    if let Some(url) = typed_url {
        page.base_url = url;
    }
    Ok(response::html(layout, outcome.status, &page))
}

async fn show(
    State(connections): State<Connections>,
    State(models): State<Models>,
    State(confirmations): State<Confirmations>,
    AdminVisitor { layout, user }: AdminVisitor,
) -> Result<Response, ErrorPage> {
    draw(&connections, &models, &confirmations, &layout, &user, FormOutcome::none(), None).await
}

#[derive(Deserialize)]
struct Change {
    base_url: String,
    #[serde(default)]
    key: String,
    /// The reader's password.
    current: Option<SecretString>,
}

/// Asks the upstream, and saves only what it accepted.
async fn save(
    State(connections): State<Connections>,
    State(models): State<Models>,
    State(confirmations): State<Confirmations>,
    AdminVisitor { layout, user }: AdminVisitor,
    Form(form): Form<Change>,
) -> Result<Response, ErrorPage> {
    let key = (!form.key.trim().is_empty()).then(|| SecretString::from(form.key));
    let by = match confirmations.confirm(&user, form.current).await {
        Ok(by) => by,
        Err(error) => {
            let outcome = layout.form_problem(error)?;
            return draw(&connections, &models, &confirmations, &layout, &user, outcome, Some(form.base_url)).await;
        }
    };
    match connections.save(&by, &form.base_url, key).await {
        Ok(_) => {
            let saved = Notice::success(ConnectionTexts(layout.locale).saved());
            draw(&connections, &models, &confirmations, &layout, &user, FormOutcome::success(saved), None).await
        }
        Err(error) => {
            draw(
                &connections,
                &models,
                &confirmations,
                &layout,
                &user,
                layout.form_problem(error)?,
                Some(form.base_url),
            )
            .await
        }
    }
}

#[derive(Deserialize)]
struct Removal {
    /// The reader's password.
    current: Option<SecretString>,
}

async fn forget(
    State(connections): State<Connections>,
    State(models): State<Models>,
    State(confirmations): State<Confirmations>,
    AdminVisitor { layout, user }: AdminVisitor,
    Form(form): Form<Removal>,
) -> Result<Response, ErrorPage> {
    let by = match confirmations.confirm(&user, form.current).await {
        Ok(by) => by,
        Err(error) => {
            let outcome = layout.form_problem(error)?;
            return draw(&connections, &models, &confirmations, &layout, &user, outcome, None).await;
        }
    };
    layout.check(connections.clear(&by).await)?;
    let removed = Notice::success(ConnectionTexts(layout.locale).removed());
    draw(&connections, &models, &confirmations, &layout, &user, FormOutcome::success(removed), None).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use axum::http::StatusCode;
    use mai_openrouter::AddressPolicy;

    use super::{super::snapshot, *};
    use crate::{connection::ConnectionError, pages::form_problem::FormError};

    #[test]
    fn connection_page_matches_its_snapshot() {
        snapshot::assert_page("connection", "/connection", |layout| {
            let connection = Connection {
                base_url: "https://openrouter.ai/api/v1".to_owned(),
                key: Some(SecretString::from("sk-or-v1-0123456789abcdefbeef")),
                source: ConnectionSource::Database,
                addresses: AddressPolicy::any(),
            };
            let mut page = ConnectionPage::new(layout, &connection, true, vec!["openai/gpt-4o-mini".to_owned()]);
            let refused =
                ConnectionError::Refused { status: StatusCode::UNAUTHORIZED, message: "User not found.".to_owned() };
            page.notice = refused.problem(layout.locale);
            page.render()
        });
    }
}
