//! The last good document of every instance, and what Kubernetes would keep in its metadata.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{FromRow, Row as _, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{State, StateError, from_millis, now};
use crate::api::RestoreStatus;

/// An instance that was accepted once, with its last good document.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownDocument {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its identity; a document of the same name that is added again gets the same one.
    pub uid: String,
    /// Number of the spec, from 1.
    pub generation: i64,
    /// Number of the change of this row.
    pub resource_version: i64,
    /// The last good document, defaults filled in.
    pub document: Value,
    /// The file that holds it.
    pub file: Option<String>,
    /// The problem of its newest document, if that is invalid.
    pub problem: Option<String>,
    /// That problem is a refusal of the provider's policy.
    pub refused: bool,
    /// Time at which it was first accepted.
    pub created_at: Timestamp,
    /// Time at which its document was removed.
    pub deleted_at: Option<Timestamp>,
    /// Time at which its workload was gone as well.
    pub released_at: Option<Timestamp>,
    /// The newest restore of its data, as in its status.
    pub restore: Option<RestoreStatus>,
}

/// Query for all rows.
const ALL: &str = "SELECT documents.*, json_extract(statuses.status, '$.restore') AS restore
    FROM documents LEFT JOIN statuses ON statuses.uid = documents.uid ORDER BY namespace, name";
/// Query for the row of one instance.
const ONE: &str = "SELECT documents.*, json_extract(statuses.status, '$.restore') AS restore
    FROM documents LEFT JOIN statuses ON statuses.uid = documents.uid WHERE namespace = ? AND name = ?";

struct Row {
    namespace: String,
    name: String,
    uid: String,
    generation: i64,
    resource_version: i64,
    document: String,
    file: Option<String>,
    problem: Option<String>,
    refused: bool,
    created_at: i64,
    deleted_at: Option<i64>,
    released_at: Option<i64>,
    restore: Option<String>,
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            namespace: row.try_get("namespace")?,
            name: row.try_get("name")?,
            uid: row.try_get("uid")?,
            generation: row.try_get("generation")?,
            resource_version: row.try_get("resource_version")?,
            document: row.try_get("document")?,
            file: row.try_get("file")?,
            problem: row.try_get("problem")?,
            // A database that is only read may be of an earlier version.
            refused: row.try_get("refused").unwrap_or(false),
            created_at: row.try_get("created_at")?,
            deleted_at: row.try_get("deleted_at")?,
            released_at: row.try_get("released_at")?,
            restore: row.try_get("restore")?,
        })
    }
}

impl KnownDocument {
    /// Returns the row after a valid document was accepted; `standing` is the row before, if any.
    pub(crate) fn accepted(
        standing: Option<Self>,
        namespace: &str,
        name: &str,
        document: &Value,
        file: Option<&str>,
    ) -> Self {
        let Some(mut next) = standing else {
            return Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: Uuid::now_v7().to_string(),
                generation: 1,
                resource_version: 0,
                document: document.clone(),
                file: file.map(str::to_owned),
                problem: None,
                refused: false,
                created_at: now(),
                deleted_at: None,
                released_at: None,
                restore: None,
            };
        };
        next.generation += i64::from(next.document.get("spec") != document.get("spec"));
        next.document = document.clone();
        next.file = file.map(str::to_owned);
        (next.problem, next.refused) = (None, false);
        (next.deleted_at, next.released_at) = (None, None);
        next
    }

    /// Returns the document with what the rules about its changes ask of its status.
    pub(crate) fn as_former(&self) -> Cow<'_, Value> {
        let Some(restore) = self.restore.as_ref().filter(|_| !self.document["spec"]["restoreFrom"].is_null()) else {
            return Cow::Borrowed(&self.document);
        };
        let mut former = self.document.clone();
        former["status"] = json!({"restore": restore});
        Cow::Owned(former)
    }

    /// Returns the row after its newest document proved invalid, or was refused by the policy.
    pub(crate) fn with_problem(mut self, problem: &str, refused: bool) -> Self {
        self.problem = Some(problem.to_owned());
        self.refused = refused;
        self.deleted_at = None;
        self
    }

    /// Returns the row after its document was removed.
    pub(crate) fn into_deleted(mut self) -> Self {
        self.deleted_at = self.deleted_at.or_else(|| Some(now()));
        (self.problem, self.refused) = (None, false);
        self
    }
}

impl State {
    /// Returns all known documents, released ones too, by namespace and name.
    pub async fn documents(&self) -> Result<Vec<KnownDocument>, StateError> {
        let rows: Vec<Row> =
            sqlx::query_as(ALL).fetch_all(&self.inner.readers).await.map_err(|source| self.failed(source))?;
        rows.into_iter().map(|row| self.known(row)).collect()
    }

    /// Accepts a valid document: a new instance, a new generation, or one that was removed before.
    /// An unchanged one is not written again.
    pub async fn accept(
        &self,
        namespace: &str,
        name: &str,
        document: &Value,
        file: Option<&str>,
    ) -> Result<KnownDocument, StateError> {
        self.change(namespace, name, |standing| {
            Some(KnownDocument::accepted(standing, namespace, name, document, file))
        })
        .await
    }

    /// Stores the problem of the newest document of a known instance and keeps its last good one. A
    /// pending deletion is cancelled: the document exists, it is only invalid.
    pub async fn keep_last_good(
        &self,
        namespace: &str,
        name: &str,
        problem: &str,
        refused: bool,
    ) -> Result<KnownDocument, StateError> {
        self.change(namespace, name, |standing| standing.map(|next| next.with_problem(problem, refused))).await
    }

    /// Marks an instance whose document was removed.
    pub async fn mark_deleted(&self, namespace: &str, name: &str) -> Result<KnownDocument, StateError> {
        self.change(namespace, name, |standing| standing.map(KnownDocument::into_deleted)).await
    }

    /// Marks a deleted instance whose workload is gone. Its row and its generated secrets stay, so
    /// that a later document of the same name can read its data. Changes nothing if its document
    /// was added again meanwhile, which `released_at` tells.
    pub async fn release(&self, namespace: &str, name: &str) -> Result<KnownDocument, StateError> {
        self.change(namespace, name, |standing| {
            standing.map(|mut next| {
                if next.deleted_at.is_some() {
                    next.released_at = next.released_at.or_else(|| Some(now()));
                }
                next
            })
        })
        .await
    }

    /// Reads a row, changes it, and writes it if it differs, in one transaction.
    async fn change(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(Option<KnownDocument>) -> Option<KnownDocument>,
    ) -> Result<KnownDocument, StateError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.inner.writer.begin().await.map_err(failed)?;
        let row: Option<Row> =
            sqlx::query_as(ONE).bind(namespace).bind(name).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let standing = row.map(|row| self.known(row)).transpose()?;
        let Some(mut next) = change(standing.clone()) else {
            return Err(StateError::UnknownInstance { namespace: namespace.to_owned(), name: name.to_owned() });
        };
        if standing.as_ref() != Some(&next) {
            next.resource_version += 1;
            put(&mut transaction, &next).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
        }
        Ok(next)
    }

    fn known(&self, row: Row) -> Result<KnownDocument, StateError> {
        let unreadable =
            |part: &str, source| self.unreadable(format!("a {part} of {}/{}", row.namespace, row.name), source);
        let document = serde_json::from_str(&row.document).map_err(|source| unreadable("document", source))?;
        let restore = row.restore.as_deref().map(serde_json::from_str).transpose();
        let restore = restore.map_err(|source| unreadable("status", source))?;
        Ok(KnownDocument {
            namespace: row.namespace,
            name: row.name,
            uid: row.uid,
            generation: row.generation,
            resource_version: row.resource_version,
            document,
            file: row.file,
            problem: row.problem,
            refused: row.refused,
            created_at: from_millis(row.created_at),
            deleted_at: row.deleted_at.map(from_millis),
            released_at: row.released_at.map(from_millis),
            restore,
        })
    }
}

pub(super) async fn put(connection: &mut SqliteConnection, known: &KnownDocument) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO documents (namespace, name, uid, generation, resource_version, document, file, problem,
             refused, created_at, deleted_at, released_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&known.namespace)
    .bind(&known.name)
    .bind(&known.uid)
    .bind(known.generation)
    .bind(known.resource_version)
    .bind(known.document.to_string())
    .bind(&known.file)
    .bind(&known.problem)
    .bind(known.refused)
    .bind(known.created_at.as_millisecond())
    .bind(known.deleted_at.map(Timestamp::as_millisecond))
    .bind(known.released_at.map(Timestamp::as_millisecond))
    .execute(connection)
    .await
    .map(drop)
}
