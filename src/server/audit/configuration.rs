//! The settings of a start, compared with those of the start before.

use std::collections::BTreeMap;

use mai_contract::environment;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use super::event::{Action, Actor, Event};
use super::record::record;
use crate::Config;
use crate::database::{Database, DatabaseError};

/// Records which settings differ from those of the last start, by their names. The first start has
/// none to differ from, and neither has a setting that an earlier version did not compare.
pub(crate) async fn record_changed_settings(
    db: &Database,
    config: &Config,
    secret: &SecretString,
) -> Result<(), DatabaseError> {
    let current = fingerprints(config, secret);
    let former: BTreeMap<String, String> = sqlx::query_as("SELECT setting, fingerprint FROM audit_configuration")
        .fetch_all(db.reader())
        .await?
        .into_iter()
        .collect();
    if former == current {
        return Ok(());
    }
    let is_changed = |(name, value): &(&String, &String)| former.get(*name).is_some_and(|former| former != *value);
    let changed: Vec<String> = current.iter().filter(is_changed).map(|(name, _)| name.clone()).collect();
    db.write(move |connection| {
        Box::pin(async move {
            sqlx::query("DELETE FROM audit_configuration").execute(&mut *connection).await?;
            for (name, value) in current {
                sqlx::query("INSERT INTO audit_configuration (setting, fingerprint) VALUES (?, ?)")
                    .bind(name)
                    .bind(value)
                    .execute(&mut *connection)
                    .await?;
            }
            if !changed.is_empty() {
                let event = Event::new(Action::ConfigurationChanged, Actor::server()).with("settings", changed);
                record(connection, event).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Returns a code for the value of each setting that decides who gets in or where questions go. The
/// values themselves, of which one is a key, cannot be read from them.
fn fingerprints(config: &Config, secret: &SecretString) -> BTreeMap<String, String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let fingerprint = |name: &str, value: &str| {
        let code = hmac::sign(&key, format!("mai setting v1\0{name}\0{value}").as_bytes());
        hex::encode(&code.as_ref()[..8])
    };
    let upstream_key = config.openai_api_key.as_ref().map_or("", |key| key.expose_secret());
    [
        (environment::SIGNUP, format!("{:?}", config.signup)),
        (environment::MAX_USERS, config.max_users.to_string()),
        (environment::ENV, format!("{:?}", config.environment)),
        (environment::OPENAI_API_BASE_URL, config.openai_api_base_url.clone()),
        (environment::OPENAI_API_KEY, upstream_key.to_owned()),
        (environment::OLLAMA_BASE_URL, config.ollama_base_url.clone().unwrap_or_default()),
        (environment::MODELS, config.models.join(",")),
        (environment::TRUSTED_PROXIES, config.trusted_proxies.join(",")),
        (environment::ALLOWED_UPSTREAM_NETWORKS, config.allowed_upstream_networks.join(",")),
        (environment::CORS_ALLOWED_ORIGINS, config.cors_allowed_origins.join(",")),
        (environment::ZDR, config.zdr.to_string()),
        (environment::NO_TRAINING, config.no_training.to_string()),
        (environment::REGION, format!("{:?}", config.region)),
        (environment::MOCK_UPSTREAM, config.mock_upstream.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), fingerprint(name, &value)))
    .collect()
}
