//! Errors of starting the server, and error answers of the JSON API.

use std::{fmt::Display, io, path::PathBuf};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use mai_contract::ExitCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::database::DatabaseError;

/// `Retry-After` of an answer that the server is too busy for, in seconds.
const BUSY_SECONDS: u64 = 2;

/// An error that ends `mai serve`; each has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting makes no sense (exit code 2).
    #[error("{0}")]
    Configuration(String),
    /// Another server has this data directory open (exit code 75).
    #[error("data directory {} is in use by another server (pid {pid}); stop that one or set another DATA_DIR", path.display())]
    DataDirectoryInUse {
        /// The data directory.
        path: PathBuf,
        /// The pid the other server wrote into the lock file.
        pid: String,
    },
    /// The data directory can't be made or written (exit code 73).
    #[error("data directory {} is not writable: {source}; give it to user {} (chown) or set another DATA_DIR", path.display(), rustix::process::geteuid().as_raw())]
    DataDirectoryNotWritable {
        /// The data directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A restore has replaced a part of the data (exit code 79).
    #[error("data directory {} is half replaced by a restore, as {} in it says; the reconciler that began it finishes it or takes it back (see `mai status`)", path.display(), mark.display())]
    RestoreUnfinished {
        /// The data directory.
        path: PathBuf,
        /// The mark of the restore.
        mark: PathBuf,
    },
    /// The port is taken (exit code 98, as EADDRINUSE).
    #[error("port {port} on {host} is taken by another program; stop it or set another PORT")]
    PortTaken {
        /// The address asked for.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The address can't be listened on for another reason.
    #[error("can't listen on {host} port {port}: {source}")]
    Listen {
        /// The address asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The database can't be opened or brought up to date (exit code 65 where a newer version wrote
    /// it).
    #[error("can't open the database in the data directory: {0}")]
    Database(#[from] DatabaseError),
    /// Start-up work failed.
    #[error("{0}")]
    Start(String),
}

impl ServeError {
    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::Configuration,
            Self::DataDirectoryInUse { .. } => ExitCode::DataInUse,
            Self::DataDirectoryNotWritable { .. } => ExitCode::DataNotWritable,
            Self::RestoreUnfinished { .. } => ExitCode::RestoreUnfinished,
            Self::PortTaken { .. } => ExitCode::PortTaken,
            Self::Database(DatabaseError::NewerVersion { .. }) => ExitCode::DataTooNew,
            Self::Listen { .. } | Self::Database(_) | Self::Start(_) => ExitCode::Failure,
        }
    }
}

/// An error answer of the JSON API: a status and one sentence. It is sent as Open WebUI's clients
/// read it (`detail`) and as OpenAI's do (`error`) at once.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    detail: String,
    code: Option<ErrorCode>,
    kind: Option<&'static str>,
    param: Option<&'static str>,
    retry_after: Option<u64>,
    metadata: Option<Box<Value>>,
}

/// An `error.code` of the JSON API.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum ErrorCode {
    /// As OpenAI's API has it.
    Text(&'static str),
    /// As OpenRouter's has it.
    Number(u16),
}

impl From<&'static str> for ErrorCode {
    fn from(code: &'static str) -> Self {
        Self::Text(code)
    }
}

impl From<u16> for ErrorCode {
    fn from(code: u16) -> Self {
        Self::Number(code)
    }
}

impl ApiError {
    /// An answer with this status and sentence.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), code: None, kind: None, param: None, retry_after: None, metadata: None }
    }

    /// The same with a `Retry-After` in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same with facts for programs, as `error.metadata`.
    pub fn metadata(mut self, facts: impl Serialize) -> Self {
        self.metadata = serde_json::to_value(facts).ok().map(Box::new);
        self
    }

    /// The same with another `error.code` than that of its status.
    pub fn code(mut self, code: impl Into<ErrorCode>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same with another `error.type` than that of its status.
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The same with the field of the request that is wrong.
    pub fn param(mut self, param: Option<&'static str>) -> Self {
        self.param = param;
        self
    }

    /// The status it is sent with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Returns `error.type` and `error.code` of a status, as OpenAI's API has them.
fn openai_kind(status: StatusCode) -> (&'static str, Option<&'static str>) {
    match status.as_u16() {
        401 => ("authentication_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("not_found")),
        405 => ("invalid_request_error", Some("method_not_supported")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (kind, code) = openai_kind(self.status);
        let code = self.code.or(code.map(ErrorCode::Text));
        let mut error = json!({
            "message": self.detail,
            "type": self.kind.unwrap_or(kind),
            "param": self.param,
            "code": code,
        });
        if let Some(metadata) = self.metadata {
            error["metadata"] = *metadata;
        }
        let mut response = (self.status, Json(json!({ "detail": self.detail, "error": error }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error with an HTTP status; `status` has the table.
pub(crate) trait HttpStatus: Display {
    /// Returns the status of the answer.
    fn status(&self) -> StatusCode;

    /// Returns the database error that caused it: its text is for the log, not for the caller.
    fn database_error(&self) -> Option<&DatabaseError> {
        None
    }

    /// Returns the seconds until another attempt is allowed.
    fn retry_after(&self) -> Option<u64> {
        None
    }
}

impl<E: HttpStatus> From<E> for ApiError {
    fn from(error: E) -> Self {
        if let Some(cause) = error.database_error() {
            tracing::error!(error = %cause, "the database failed a request");
            if cause.is_busy() {
                return Self::new(error.status(), "The server is too busy to answer this now. Please try again.")
                    .retry_after(BUSY_SECONDS);
            }
            return Self::new(error.status(), "The server could not reach its database. Please try again.");
        }
        let answer = Self::new(error.status(), error.to_string());
        match error.retry_after() {
            Some(seconds) => answer.retry_after(seconds),
            None => answer,
        }
    }
}
