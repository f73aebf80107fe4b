//! Entries of the audit log, worded for a reader. The audit page and those of the account show them
//! with `list.html`, which needs a `list` and its texts `a`.

mod texts;

use jiff::Timestamp;
use serde_json::Value;

use super::layout::Layout;
use crate::audit::{Action, Entry, PER_PAGE, Page, Person};
use crate::user::UserId;
pub(super) use texts::AuditEntryTexts;

/// A page of entries, with the addresses of the pages beside it.
pub(super) struct AuditList {
    pub(super) rows: Vec<AuditRow>,
    pub(super) newer: Option<String>,
    pub(super) older: Option<String>,
}

impl AuditList {
    /// No entries.
    pub(super) fn empty() -> Self {
        Self { rows: Vec::new(), newer: None, older: None }
    }

    /// Words some entries for `reader`, without pages beside them.
    pub(super) fn of(layout: &Layout, reader: &UserId, entries: &[Entry]) -> Self {
        Self { rows: entries.iter().map(|entry| AuditRow::new(layout, reader, entry)).collect(), ..Self::empty() }
    }

    /// Words the entries for `reader`. The pages are those of `path`.
    pub(super) fn new(layout: &Layout, reader: &UserId, page: &Page, number: u32, path: &str) -> Self {
        let number = number.max(1);
        let has_older = i64::from(number) * i64::from(PER_PAGE) < page.total;
        Self {
            newer: (number > 1).then(|| format!("{path}?page={}", number - 1)),
            older: has_older.then(|| format!("{path}?page={}", number + 1)),
            ..Self::of(layout, reader, &page.entries)
        }
    }
}

/// A row of the table.
pub(super) struct AuditRow {
    pub(super) when: String,
    pub(super) what: String,
    /// Further facts in one line.
    pub(super) facts: String,
    pub(super) who: String,
    /// The account that it was done to, if it is another.
    pub(super) subject: Option<String>,
    pub(super) address: String,
    /// The session or the key that it was done with.
    pub(super) credential: String,
}

impl AuditRow {
    /// Words an entry for `reader`.
    pub(super) fn new(layout: &Layout, reader: &UserId, entry: &Entry) -> Self {
        let t = AuditEntryTexts(layout.locale);
        let action = Action::parse(&entry.action);
        let name = |person: &Person| {
            if person.id == *reader {
                return t.you().to_owned();
            }
            if person.name.is_empty() { person.id.to_string() } else { person.name.clone() }
        };
        let is_of_another = entry.subject.as_ref().map(|subject| &subject.id) != entry.by.as_ref().map(|by| &by.id);
        let is_by_server =
            matches!(action, Some(Action::AccountAdded | Action::ConfigurationChanged | Action::ConfigurationReset));
        Self {
            when: moment(layout, entry.at),
            what: action.map_or_else(|| entry.action.clone(), |action| title(t, action).to_owned()),
            facts: facts(layout, t, entry),
            who: match &entry.by {
                Some(by) => name(by),
                None if is_by_server => t.server().to_owned(),
                None => t.stranger().to_owned(),
            },
            subject: entry.subject.as_ref().filter(|_| is_of_another).map(name),
            address: entry.address.clone().unwrap_or_default(),
            credential: match (&entry.session, &entry.api_key) {
                (Some(session), _) => t.session(session),
                (None, Some(key)) => t.api_key(key),
                (None, None) => String::new(),
            },
        }
    }
}

fn moment(layout: &Layout, at: Timestamp) -> String {
    let at = at.to_zoned(layout.zone.clone());
    format!("{} {}, {}", layout.locale.day(at.date()), at.year(), layout.locale.clock(&at))
}

fn title(t: AuditEntryTexts, action: Action) -> &'static str {
    match action {
        Action::SignedIn => t.signed_in(),
        Action::SignInFailed => t.sign_in_failed(),
        Action::SignInLimited => t.sign_in_limited(),
        Action::PasswordRefused => t.password_refused(),
        Action::SignedOut => t.signed_out(),
        Action::AccountRegistered => t.account_registered(),
        Action::AccountAdded => t.account_added(),
        Action::Invited => t.invited(),
        Action::InvitationRenewed => t.invitation_renewed(),
        Action::InvitationWithdrawn => t.invitation_withdrawn(),
        Action::PasswordLinkMade => t.password_link_made(),
        Action::AccountRemoved => t.account_removed(),
        Action::EmailChanged => t.email_changed(),
        Action::RoleChanged => t.role_changed(),
        Action::PasswordChanged => t.password_changed(),
        Action::PasswordReset => t.password_reset(),
        Action::KeysRevoked => t.keys_revoked(),
        Action::KeyCreated => t.key_created(),
        Action::KeyRevoked => t.key_revoked(),
        Action::ConnectionSaved => t.connection_saved(),
        Action::ConnectionRemoved => t.connection_removed(),
        Action::BudgetSet => t.budget_set(),
        Action::BudgetRaised => t.budget_raised(),
        Action::BudgetRemoved => t.budget_removed(),
        Action::RateEntered => t.rate_entered(),
        Action::ConfigurationChanged => t.configuration_changed(),
        Action::ConfigurationReset => t.configuration_reset(),
    }
}

/// Returns the facts of an entry that are known to this version, in one line.
fn facts(layout: &Layout, t: AuditEntryTexts, entry: &Entry) -> String {
    let text = |name: &str| entry.details.get(name).and_then(Value::as_str);
    let list = |name: &str| {
        let values = entry.details.get(name).and_then(Value::as_array);
        values.map(|values| values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
    };
    let mut facts = Vec::new();
    if entry.count > 1 {
        facts.push(t.times(entry.count, &moment(layout, entry.last_at)));
    }
    if entry.details.get("many").is_some() {
        facts.push(t.many_addresses().to_owned());
    }
    if let (Some(from), Some(to)) = (text("from"), text("to")) {
        facts.push(format!("{from} → {to}"));
    }
    facts.extend(text("email").map(str::to_owned));
    if let Some(role) = text("role") {
        facts.push(if role == "admin" { t.role_admin() } else { t.role_user() }.to_owned());
    }
    if let Some(name) = text("name") {
        facts.push(format!("{name} (sk-…{})", text("hint").unwrap_or_default()));
    }
    facts.extend(list("scopes"));
    if let Some(keys) = entry.details.get("keys").and_then(Value::as_i64) {
        facts.push(t.keys(keys));
    }
    facts.extend(text("base_url").map(str::to_owned));
    if entry.details.get("key_changed").and_then(Value::as_bool) == Some(true) {
        facts.push(t.key_changed().to_owned());
    }
    facts.extend(list("settings"));
    if let (Some(date), Some(rate)) = (text("date"), text("rate")) {
        facts.push(format!("{date}: {rate}"));
    }
    facts.join(" · ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::{super::snapshot, *};
    use crate::i18n::Locale;

    fn entry(action: &str, details: &Value) -> Entry {
        Entry {
            id: 1,
            at: snapshot::now(),
            last_at: snapshot::now(),
            count: 1,
            action: action.to_owned(),
            by: None,
            subject: None,
            address: None,
            session: None,
            api_key: None,
            details: details.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn entries_are_worded_in_the_language_of_the_reader() {
        for (action, details, english, polish) in [
            ("signed_in", json!({}), ["Sign-in", "", "Not signed in"], ["Logowanie", "", "Bez logowania"]),
            (
                "role_changed",
                json!({ "role": "admin" }),
                ["Role changed", "Administrator", "Not signed in"],
                ["Zmiana roli", "Administrator", "Bez logowania"],
            ),
            (
                "keys_revoked",
                json!({ "keys": 2 }),
                ["API keys revoked", "2 keys", "Not signed in"],
                ["Unieważnienie kluczy API", "2 klucze", "Bez logowania"],
            ),
            (
                "configuration_changed",
                json!({ "settings": ["MAI_SIGNUP", "MAI_MODELS"] }),
                ["Settings of the server changed", "MAI_SIGNUP, MAI_MODELS", "Server"],
                ["Zmiana ustawień serwera", "MAI_SIGNUP, MAI_MODELS", "Serwer"],
            ),
            ("later_code", json!({ "x": 1 }), ["later_code", "", "Not signed in"], ["later_code", "", "Bez logowania"]),
        ] {
            for (locale, expected) in [(Locale::En, english), (Locale::Pl, polish)] {
                let layout = snapshot::layout(locale, "/audit");
                let row = AuditRow::new(&layout, &UserId::from("me"), &entry(action, &details));
                assert_eq!([&*row.what, &*row.facts, &*row.who], expected);
            }
        }
    }
}
