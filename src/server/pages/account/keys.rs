//! API keys on the account page: the rows of the table, and a key that was just created.

use jiff::Timestamp;

use super::super::layout::Layout;
use super::texts::AccountTexts;
use crate::auth::{ApiKey, NewApiKey, Scope};
use crate::models::Models;
use crate::public_origin::PublicOrigin;
use crate::usage::KeyUsage;

/// A row of the table of keys.
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) hint: String,
    pub(super) scopes: Vec<&'static str>,
    pub(super) created: String,
    pub(super) expires: Option<String>,
    pub(super) expired: bool,
    pub(super) last_used: String,
    pub(super) cost: String,
    pub(super) tokens: String,
    pub(super) revoke_title: String,
}

impl KeyRow {
    pub(super) fn new(layout: &Layout, t: AccountTexts, usage: KeyUsage, key: ApiKey, now: Timestamp) -> Self {
        let Layout { locale, zone, .. } = layout;
        let expired = key.expires_at.is_some_and(|at| at <= now);
        let expires = key.expires_at.map(|at| {
            let date = at.to_zoned(zone.clone()).date();
            let date = format!("{} {}", locale.day(date), date.year());
            if expired { t.expired(&date) } else { t.expires_on(&date) }
        });
        let cost = locale.usd(usage.cost);
        Self {
            scopes: key.scopes.iter().map(|scope| scope_name(t, scope)).collect(),
            created: locale.ago(key.created_at, now, zone),
            expires,
            expired,
            last_used: key.last_used_at.map_or_else(|| t.never().to_owned(), |then| locale.ago(then, now, zone)),
            // An unknown cost is not zero.
            cost: if usage.unknown_cost > 0 { t.at_least(&cost) } else { cost },
            tokens: t.tokens(i64::try_from(usage.total_tokens).unwrap_or(i64::MAX)),
            revoke_title: t.revoke_title(&key.name),
            id: key.id,
            name: key.name,
            hint: key.hint,
        }
    }
}

fn scope_name(t: AccountTexts, scope: Scope) -> &'static str {
    match scope {
        Scope::Chat => t.scope_chat(),
        Scope::Usage => t.scope_usage(),
        Scope::Admin => t.scope_admin(),
    }
}

/// A key that was just created; the only time it is shown in clear.
pub(super) struct NewKey {
    pub(super) title: String,
    pub(super) secret: String,
    /// An example program; none for a key that cannot chat.
    pub(super) snippet: Option<String>,
}

impl NewKey {
    pub(super) async fn new(t: AccountTexts, created: &NewApiKey, origin: &PublicOrigin, models: &Models) -> Self {
        let secret = created.secret.expose();
        let snippet = if created.key.scopes.contains(Scope::Chat) {
            Some(snippet(&origin.url(), secret, &example_model(models).await))
        } else {
            None
        };
        Self { title: t.key_created(&created.key.name), secret: secret.to_owned(), snippet }
    }
}

/// Returns the first model on offer, for the example program.
async fn example_model(models: &Models) -> String {
    models.list().await.models().first().map_or_else(|| "openai/gpt-4o-mini".to_owned(), |model| model.id.clone())
}

/// Returns an example program that runs as it is.
fn snippet(origin: &str, key: &str, model: &str) -> String {
    format!(
        "from openai import OpenAI\n\n\
         client = OpenAI(\n    base_url=\"{origin}/v1\",\n    api_key=\"{key}\",\n)\n\
         answer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"Hello!\"}}],\n)\n\
         print(answer.choices[0].message.content)\n"
    )
}
