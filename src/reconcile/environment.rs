//! The environment of a server, in the variables of the program in its image.

use std::collections::BTreeMap;

use mai_contract::environment as name;
use secrecy::SecretString;

use super::desired::Generated;
use crate::api::{Locale, MaiInstance, OpenRouter, Reason, SecretRef, ServerKind, Signup};
use crate::core::{Blocked, EnvValue};

/// Returns the whole environment. `secrets` holds a value for each reference of the document.
pub(super) fn environment(
    instance: &MaiInstance,
    secrets: &BTreeMap<SecretRef, SecretString>,
    generated: &Generated,
) -> Result<BTreeMap<String, EnvValue>, Blocked> {
    let spec = &instance.spec;
    let mut env = Environment { secrets, generated, values: BTreeMap::new() };
    env.plain(name::WEBUI_NAME, &spec.display_name);
    env.plain(name::ENV, spec.server.environment.as_ref());
    match &spec.server.secret_key_ref {
        Some(reference) => env.secret(name::WEBUI_SECRET_KEY, reference)?,
        None => env.insert(name::WEBUI_SECRET_KEY, EnvValue::Secret(generated.session_key.clone())),
    }
    if let Some(admin) = &spec.access.admin {
        env.plain(name::ADMIN_EMAIL, &admin.email);
        env.plain(name::ADMIN_NAME, &admin.name);
        env.secret(name::ADMIN_PASSWORD, &admin.password_secret_ref)?;
    }
    if let Some(ollama) = &spec.ollama {
        env.plain(name::OLLAMA_BASE_URL, ollama.base_url.trim_end_matches('/'));
    }
    match spec.server.kind {
        ServerKind::Mai | ServerKind::Custom => add_contract_variables(&mut env, instance)?,
        ServerKind::OpenWebUI => add_open_webui_variables(&mut env, instance)?,
    }
    for variable in &spec.server.env {
        match (&variable.value, &variable.secret_ref) {
            (Some(value), _) => env.plain(&variable.name, value),
            (None, Some(reference)) => env.secret(&variable.name, reference)?,
            (None, None) => {}
        }
    }
    Ok(env.values)
}

/// Adds what our own server reads, and every image that keeps its contract.
fn add_contract_variables(env: &mut Environment, instance: &MaiInstance) -> Result<(), Blocked> {
    let spec = &instance.spec;
    if let Some(locale) = spec.server.locale {
        env.plain(name::DEFAULT_LOCALE, locale.as_ref());
    }
    if !spec.server.trusted_proxies.is_empty() {
        env.plain(name::TRUSTED_PROXIES, &spec.server.trusted_proxies.join(","));
    }
    if !spec.server.allowed_upstream_networks.is_empty() {
        env.plain(name::ALLOWED_UPSTREAM_NETWORKS, &spec.server.allowed_upstream_networks.join(","));
    }
    if !spec.server.cors_allowed_origins.is_empty() {
        env.plain(name::CORS_ALLOWED_ORIGINS, &spec.server.cors_allowed_origins.join(","));
    }
    if let Some(zone) = &spec.server.time_zone {
        env.plain(name::TIME_ZONE, zone);
    }
    env.plain(name::ENABLE_SIGNUP, if spec.access.signup == Signup::Open { "true" } else { "false" });
    env.plain(name::SIGNUP, spec.access.signup.as_ref());
    env.plain(name::MAX_USERS, &spec.access.max_users.to_string());
    if let Some(privacy) = &spec.privacy {
        for (name, is_set) in [(name::ZDR, privacy.zdr), (name::NO_TRAINING, privacy.no_training)] {
            if is_set {
                env.plain(name, "true");
            }
        }
        if let Some(region) = privacy.region {
            env.plain(name::REGION, region.as_ref());
        }
    }
    if let Some(upstream) = &spec.open_router {
        if upstream.mock {
            env.plain(name::MOCK_UPSTREAM, "true");
        } else {
            env.plain(name::OPENAI_API_BASE_URL, upstream.base_url.trim_end_matches('/'));
        }
        env.upstream_key(name::OPENAI_API_KEY, upstream)?;
        if !upstream.models.is_empty() {
            env.plain(name::MODELS, &upstream.models.join(","));
        }
        if let Some(dollars) = upstream.monthly_limit_usd {
            env.plain(name::MONTHLY_LIMIT_USD, &dollars.to_string());
        }
        for (name, factor) in [(name::MARKUP, &upstream.markup), (name::CREDIT_FEE, &upstream.credit_fee)] {
            if let Some(factor) = factor {
                env.plain(name, factor);
            }
        }
    }
    Ok(())
}

/// Adds what Open WebUI reads. Much of it counts for its first start only: afterwards its own
/// database wins.
fn add_open_webui_variables(env: &mut Environment, instance: &MaiInstance) -> Result<(), Blocked> {
    let spec = &instance.spec;
    if let Some(locale) = spec.server.locale {
        let tag = match locale {
            Locale::En => "en-US",
            Locale::Pl => "pl-PL",
        };
        env.plain(name::DEFAULT_LOCALE, tag);
    }
    // It makes the first person admin and then closes registration by itself. Closed from the
    // start, versions up to 0.9.5 would let nobody in. A declared admin exists from the start.
    let open = match spec.access.signup {
        Signup::Open => true,
        Signup::FirstUserOnly => spec.access.admin.is_none(),
        Signup::Closed => false,
    };
    env.plain(name::ENABLE_SIGNUP, if open { "true" } else { "false" });
    // Else it waits for an Ollama that does not exist.
    env.plain(name::ENABLE_OLLAMA_API, if spec.ollama.is_some() { "true" } else { "false" });
    if let Some(upstream) = &spec.open_router {
        // The plural wins over the singular, which an image may set.
        env.plain(name::OPENAI_API_BASE_URLS, upstream.base_url.trim_end_matches('/'));
        env.upstream_key(name::OPENAI_API_KEYS, upstream)?;
        if !upstream.models.is_empty() {
            let connection = serde_json::json!({"0": {"enable": true, "model_ids": upstream.models}});
            env.plain(name::OPENAI_API_CONFIGS, &connection.to_string());
        }
    }
    Ok(())
}

/// An environment under construction.
struct Environment<'a> {
    secrets: &'a BTreeMap<SecretRef, SecretString>,
    generated: &'a Generated,
    values: BTreeMap<String, EnvValue>,
}

impl Environment<'_> {
    fn plain(&mut self, name: &str, value: &str) {
        self.insert(name, EnvValue::Plain(value.to_owned()));
    }

    fn secret(&mut self, name: &str, reference: &SecretRef) -> Result<(), Blocked> {
        let value = self
            .secrets
            .get(reference)
            .ok_or_else(|| Blocked::new(Reason::MissingSecret, format!("the value of {reference} is not known")))?;
        self.insert(name, EnvValue::Secret(value.clone()));
        Ok(())
    }

    /// Adds the key of the client: the one that the document names, or the one that was made for it.
    fn upstream_key(&mut self, name: &str, upstream: &OpenRouter) -> Result<(), Blocked> {
        if let Some(reference) = &upstream.api_key_secret_ref {
            return self.secret(name, reference);
        }
        if let Some(key) = &self.generated.upstream_key {
            self.insert(name, EnvValue::Secret(key.clone()));
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, value: EnvValue) {
        self.values.insert(name.to_owned(), value);
    }
}
