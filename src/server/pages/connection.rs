//! `/connection`: where answers come from, and the key to it.

use askama::Template;
use axum::{Form, extract::State, http::StatusCode, response::Response};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    notice::Notice,
    refusal::{Refusal, Refused},
    reply,
    shell::{Boss, Shell},
};
use crate::{
    App,
    connection::{self, Connection, ConnectionError, Source},
    models,
};

#[derive(Template)]
#[template(path = "connection.html")]
pub(super) struct ConnectionPage<'a> {
    pub(super) s: &'a Shell,
    pub(super) state: Standing,
    pub(super) base_url: String,
    /// Says which key is stored, by its last characters.
    pub(super) key_kept: Option<String>,
    pub(super) key_placeholder: String,
    /// Whether an admin stored it here, so that it can be forgotten.
    pub(super) stored: bool,
    pub(super) source: &'static str,
    pub(super) models: Vec<String>,
    pub(super) models_count: String,
    pub(super) notice: Option<Notice>,
}

/// The badge beside the heading.
pub(super) struct Standing {
    pub(super) tone: &'static str,
    pub(super) label: &'static str,
}

impl<'a> ConnectionPage<'a> {
    pub(super) fn new(s: &'a Shell, connection: &Connection, ok: bool, models: Vec<String>) -> Self {
        let t = &s.t.connection;
        let hint = connection.key_hint();
        let configured = connection.is_configured();
        let state = match (configured, ok) {
            (false, _) => Standing { tone: "warn", label: t.not_connected },
            (true, false) => Standing { tone: "bad", label: t.failing },
            (true, true) => Standing { tone: "good", label: t.connected },
        };
        Self {
            s,
            state,
            base_url: connection.base_url.clone(),
            key_placeholder: hint.as_deref().map_or_else(|| "sk-or-v1-…".to_owned(), |hint| format!("••••••••{hint}")),
            key_kept: hint.map(|hint| (t.key_kept)(&hint)),
            stored: connection.source == Source::Database,
            source: match (connection.source, configured) {
                (Source::Mock, _) => t.source_mock,
                (Source::Database, _) => t.source_database,
                (Source::Environment, true) => t.source_environment,
                (Source::Environment, false) => t.source_none,
            },
            models_count: (t.models_count)(i64::try_from(models.len()).unwrap_or(i64::MAX)),
            models,
            notice: None,
        }
    }
}

async fn draw(
    app: &App,
    shell: &Shell,
    status: StatusCode,
    notice: Option<Notice>,
    typed_url: Option<String>,
) -> Result<Response, Refused> {
    let connection = connection::current(app);
    let catalogue = models::list(app).await;
    let ok = app.connections.verdict().map_or(catalogue.problem().is_none(), |verdict| verdict.ok);
    let names = catalogue.models().iter().map(|model| model.id.clone()).collect();
    let mut page = ConnectionPage::new(shell, &connection, ok, names);
    page.notice = notice;
    if let Some(url) = typed_url {
        page.base_url = url;
    }
    Ok(reply::page(shell, status, &page))
}

/// `GET /connection`
pub(super) async fn show(State(app): State<App>, Boss { shell, .. }: Boss) -> Result<Response, Refused> {
    draw(&app, &shell, StatusCode::OK, None, None).await
}

#[derive(Deserialize)]
pub(super) struct Change {
    base_url: String,
    #[serde(default)]
    key: String,
}

/// `POST /connection`: asks the upstream, and saves only what it accepted.
pub(super) async fn save(
    State(app): State<App>,
    Boss { shell, .. }: Boss,
    Form(form): Form<Change>,
) -> Result<Response, Refused> {
    let key = (!form.key.trim().is_empty()).then(|| SecretString::from(form.key));
    match connection::save(&app, &form.base_url, key).await {
        Ok(_) => draw(&app, &shell, StatusCode::OK, Some(Notice::good(shell.t.connection.saved)), None).await,
        Err(ConnectionError::Database(error)) => shell.check(Err(error)),
        Err(error) => {
            let notice = Notice::bad(error.to_string()).titled(shell.t.connection.refused);
            draw(&app, &shell, StatusCode::BAD_REQUEST, Some(notice), Some(form.base_url)).await
        }
    }
}

/// `POST /connection/forget`
pub(super) async fn forget(State(app): State<App>, Boss { shell, .. }: Boss) -> Result<Response, Refused> {
    shell.check(connection::clear(&app).await)?;
    draw(&app, &shell, StatusCode::OK, Some(Notice::good(shell.t.connection.cleared)), None).await
}

impl From<ConnectionError> for Refusal {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Database(error) => error.into(),
            other => {
                tracing::error!(error = %other, "the connection could not be changed");
                Self::Broken
            }
        }
    }
}
