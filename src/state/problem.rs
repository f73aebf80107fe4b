//! Problems of the directory of documents, stored so that another process can show them.

use serde::{Deserialize, Serialize};

use super::{State, StateError};
use crate::api::Reason;

/// A problem of the directory of documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file or folder.
    pub file: String,
    /// Line, from 1; 0 if the problem has none.
    pub line: u32,
    /// Column, from 1; 0 if the problem has none.
    pub column: u32,
    /// Index of the document in the file, from 0; absent if the problem is of the file or folder
    /// itself.
    pub document: Option<usize>,
    /// Namespace and name of the instance, if they could be read.
    pub instance: Option<(String, String)>,
    /// The field, such as `spec.expose.port`; empty for the document itself.
    pub field: String,
    /// The problem and its remedy.
    pub message: String,
    /// It is a refusal of the provider's policy.
    #[serde(default)]
    pub refused: bool,
}

impl Problem {
    /// Returns the reason of the condition that shows it.
    pub fn reason(&self) -> Reason {
        match self.refused {
            true => Reason::RefusedByPolicy,
            false => Reason::InvalidDocument,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl State {
    /// Returns the problems of the directory, as last seen.
    pub async fn problems(&self) -> Result<Vec<Problem>, StateError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT problem FROM problems ORDER BY position")
            .fetch_all(&self.inner.readers)
            .await
            .map_err(|source| self.failed(source))?;
        rows.iter()
            .map(|(problem,)| serde_json::from_str(problem).map_err(|source| self.unreadable("a problem", source)))
            .collect()
    }

    /// Stores the problems of the directory; writes nothing if they are the same.
    pub async fn put_problems(&self, problems: &[Problem]) -> Result<(), StateError> {
        if self.problems().await? == problems {
            return Ok(());
        }
        let write = async {
            let mut transaction = self.inner.writer.begin().await?;
            sqlx::query("DELETE FROM problems").execute(&mut *transaction).await?;
            for (position, problem) in problems.iter().enumerate() {
                sqlx::query("INSERT INTO problems (position, problem) VALUES (?, ?)")
                    .bind(position as i64)
                    .bind(serde_json::json!(problem).to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        write.await.map_err(|source| self.failed(source))
    }
}
