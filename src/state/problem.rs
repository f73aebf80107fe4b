//! What is wrong in the directory of documents, kept so that another process can show it.

use serde::{Deserialize, Serialize};

use super::{State, StateError};

/// One thing that is wrong in the directory of documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file or folder it is in.
    pub file: String,
    /// Line, from 1; 0 when the problem is not at a line.
    pub line: u32,
    /// Column, from 1; 0 when the problem is not at a column.
    pub column: u32,
    /// Which document of the file, from 0; absent when it is about the file or folder as such.
    pub document: Option<usize>,
    /// Namespace and name of the instance, when they could be read.
    pub instance: Option<(String, String)>,
    /// The field, such as `spec.expose.port`; empty for the document itself.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
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
    /// What is wrong in the directory of documents, as it was last seen.
    pub async fn problems(&self) -> Result<Vec<Problem>, StateError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT problem FROM problems ORDER BY position")
            .fetch_all(&self.inner.readers)
            .await
            .map_err(|source| self.failed(source))?;
        rows.iter()
            .map(|(problem,)| serde_json::from_str(problem).map_err(|source| self.unreadable("a problem", source)))
            .collect()
    }

    /// Replaces what is known to be wrong; writes nothing when it is the same.
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
