//! The report of an import: numbers by table, and what was not taken with reason and id.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Most ids that are named for one reason; the number is always whole.
const NAMED_IDS: usize = 1000;

/// A reason that a row was not taken as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The account it belongs to does not exist.
    OwnerUnknown,
    /// The account it belongs to was not taken, or was removed here.
    OwnerNotTaken,
    /// Its JSON cannot be read.
    NotReadable,
    /// It has no message with text.
    NoMessages,
    /// It is the frozen copy behind a shared link.
    SharedCopy,
    /// It was continued or renamed here since it was taken.
    ChangedHere,
    /// It was removed here since it was taken.
    RemovedHere,
    /// Its address is not one that an account can have.
    BadAddress,
    /// An account with this address was here before; its password and role stay.
    AccountExists,
    /// It waited for approval; it is taken without a password, which an administrator can set.
    Pending,
    /// It has no password, or one that cannot be checked; an administrator can set one.
    NoPassword,
    /// It is not a key that this server can know.
    BadKey,
    /// Another account here has this key, or it was revoked here.
    KeyNotTaken,
    /// It may hold secrets in clear, and stays in the old server alone.
    HoldsSecrets,
    /// There is no place for it here.
    NoPlace,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::OwnerUnknown => "of an account that does not exist",
            Self::OwnerNotTaken => "of an account that was not taken or was removed here",
            Self::NotReadable => "not readable",
            Self::NoMessages => "without a message that has text",
            Self::SharedCopy => "frozen copy of a shared chat",
            Self::ChangedHere => "changed here since it was taken",
            Self::RemovedHere => "removed here since it was taken",
            Self::BadAddress => "not an e-mail address",
            Self::AccountExists => "joined with the account here that has its address; password and role here stay",
            Self::Pending => "waited for approval; cannot sign in until an administrator sets a password",
            Self::NoPassword => "has no usable password; cannot sign in until an administrator sets one",
            Self::BadKey => "expired, or not a key of this kind",
            Self::KeyNotTaken => "already a key here, or revoked here",
            Self::HoldsSecrets => "settings and secrets, to be entered here by hand",
            Self::NoPlace => "no place here",
        }
    }
}

/// Rows that share a reason.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Named {
    /// Their number.
    pub count: u64,
    /// Their ids, up to a thousand.
    pub ids: Vec<String>,
}

/// The numbers of one table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Table {
    /// Rows read.
    pub read: u64,
    /// Rows taken now into a place of their own.
    pub taken: u64,
    /// Rows kept now as they were, for a later version.
    pub kept: u64,
    /// Rows that an earlier run took, unchanged since.
    pub already_there: u64,
    /// Rows not taken.
    pub skipped: BTreeMap<Reason, Named>,
    /// Rows taken, with something to know about them.
    pub remarks: BTreeMap<Reason, Named>,
}

impl Table {
    pub(super) fn skip(&mut self, reason: Reason, id: &str) {
        add(&mut self.skipped, reason, id);
    }

    pub(super) fn remark(&mut self, reason: Reason, id: &str) {
        add(&mut self.remarks, reason, id);
    }
}

fn add(to: &mut BTreeMap<Reason, Named>, reason: Reason, id: &str) {
    let named = to.entry(reason).or_default();
    named.count += 1;
    if named.ids.len() < NAMED_IDS {
        named.ids.push(id.to_owned());
    }
}

/// Numbers of the messages of the chats that were read.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Messages {
    /// On current branches, taken or there before.
    pub shown: u64,
    /// On other branches, kept in the original.
    pub on_other_branches: u64,
    /// On current branches without text, such as pictures or tools alone.
    pub without_text: u64,
    /// Damaged, without a role or of one that is not shown.
    pub not_shown: u64,
    /// Those whose text differs between the two places that Open WebUI keeps it in.
    pub differing: u64,
    /// Those with reasoning, tools, sources or files, which are in the original alone.
    pub with_parts: u64,
}

/// The report of an import.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// True when nothing was written.
    pub dry_run: bool,
    /// The revision that the database has.
    pub revision: Option<String>,
    /// By table of the old server.
    pub tables: BTreeMap<String, Table>,
    /// Messages of all chats read.
    pub messages: Messages,
}

impl Report {
    pub(super) fn table(&mut self, name: &str) -> &mut Table {
        self.tables.entry(name.to_owned()).or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            writeln!(f, "dry run: nothing was written")?;
        }
        writeln!(f, "{:<22} {:>7} {:>7} {:>7} {:>7}", "table", "read", "taken", "kept", "already")?;
        for (name, table) in &self.tables {
            let Table { read, taken, kept, already_there, .. } = table;
            writeln!(f, "{name:<22} {read:>7} {taken:>7} {kept:>7} {already_there:>7}")?;
            for (what, reasons) in [("not taken", &table.skipped), ("remark", &table.remarks)] {
                for (reason, named) in reasons {
                    writeln!(f, "    {what}, {}: {}", reason.text(), named.count)?;
                    if !matches!(reason, Reason::NoPlace | Reason::HoldsSecrets) {
                        let more = if named.ids.len() > 10 { " … (all with --json)" } else { "" };
                        let ids: Vec<&str> = named.ids.iter().take(10).map(String::as_str).collect();
                        writeln!(f, "        {}{more}", ids.join(" "))?;
                    }
                }
            }
        }
        let Messages { shown, on_other_branches, without_text, not_shown, differing, with_parts } = self.messages;
        writeln!(
            f,
            "messages: {shown} shown, {on_other_branches} on other branches (kept), {without_text} without text, \
             {not_shown} not readable or of another role, {differing} with two texts, {with_parts} with reasoning, \
             tools, sources or files (kept)"
        )
    }
}
