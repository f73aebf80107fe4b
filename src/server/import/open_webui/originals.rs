//! Rows that have no place here yet and hold no secrets: kept as they are, for a later version.

use super::SOURCE;
use super::people::People;
use super::source::Source;
use crate::database::Database;
use crate::import::record::{self, NewRecord};
use crate::import::{ImportError, Reason, Report};

/// Tables whose rows are kept.
const KEPT: [&str; 17] = [
    "chatidtag",
    "document",
    "feedback",
    "file",
    "folder",
    "group",
    "group_member",
    "knowledge",
    "knowledge_directory",
    "knowledge_file",
    "memory",
    "model",
    "note",
    "pinned_note",
    "prompt",
    "prompt_history",
    "tag",
];
/// Tables that other files of this room take.
const TAKEN: [&str; 5] = ["user", "auth", "api_key", "chat", "chat_message"];
/// Tables that may hold secrets in clear.
const SECRET: [&str; 9] = [
    "channel_webhook",
    "config",
    "config_old",
    "app",
    "function",
    "oauth_session",
    "tool",
    "tool_history",
    "function_history",
];
/// Bookkeeping of the old server.
const INTERNAL: [&str; 2] = ["alembic_version", "migratehistory"];

/// Keeps the rows of these tables, and counts those of all others.
pub(super) async fn keep(
    source: &mut Source,
    db: &Database,
    people: &People,
    report: &mut Report,
) -> Result<(), ImportError> {
    for table in source.tables() {
        let name = table.as_str();
        if TAKEN.contains(&name) || INTERNAL.contains(&name) {
            continue;
        }
        if KEPT.contains(&name) {
            keep_table(source, db, people, report, name).await?;
            continue;
        }
        let count = source.count(name).await?;
        let counts = report.table(name);
        counts.read = count;
        let reason = if SECRET.contains(&name) { Reason::HoldsSecrets } else { Reason::NoPlace };
        if count > 0 {
            counts.skipped.entry(reason).or_default().count = count;
        }
    }
    Ok(())
}

async fn keep_table(
    source: &mut Source,
    db: &Database,
    people: &People,
    report: &mut Report,
    name: &str,
) -> Result<(), ImportError> {
    for number in source.row_numbers(name).await? {
        let row = source.row(name, number).await?;
        let counts = report.table(name);
        counts.read += 1;
        let Some(row) = row else {
            counts.skip(Reason::NotReadable, &format!("row {number}"));
            continue;
        };
        let owner = row.text("user_id").filter(|owner| !owner.is_empty());
        let id = row.text("id").unwrap_or_else(|| number.to_string());
        // Ids of folders and tags are of one person.
        let external_id = owner.as_ref().map_or_else(|| id.clone(), |owner| format!("{id}@{owner}"));
        let user = match owner.map(|owner| people.get(&owner).cloned()) {
            None => None,
            Some(Some(Some(user))) => Some(user),
            Some(Some(None)) => {
                counts.skip(Reason::OwnerNotTaken, &id);
                continue;
            }
            Some(None) => {
                counts.skip(Reason::OwnerUnknown, &id);
                continue;
            }
        };
        let kind = name.to_owned();
        let is_new = db
            .write_bytes(row.original.len(), move |connection| {
                Box::pin(async move {
                    let fingerprint = record::fingerprint(&row.original);
                    let recorded = record::find(connection, SOURCE, &kind, &external_id).await?;
                    if recorded.is_some_and(|recorded| recorded.fingerprint == fingerprint) {
                        return Ok(false);
                    }
                    let new = NewRecord {
                        source: SOURCE,
                        kind: &kind,
                        external_id: &external_id,
                        user: user.as_ref(),
                        local_id: None,
                        fingerprint: &fingerprint,
                        changed_at: None,
                        original: Some(&row.original),
                    };
                    record::save(connection, new).await?;
                    Ok(true)
                })
            })
            .await?;
        let counts = report.table(name);
        if is_new { counts.kept += 1 } else { counts.already_there += 1 }
    }
    Ok(())
}
