//! Recognises values that may not stand in a document, which everybody on the machine can read.
//! In doubt a value is secret: a harmless one is no worse off in a Secret.

/// Words of names whose values are secret.
const WORDS: [&str; 11] = [
    "KEY",
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "PRIVATE",
    "SALT",
    "WEBHOOK",
    "COOKIE",
];
/// Words that count only when they stand alone between underscores.
const SHORT_WORDS: [&str; 6] = ["PASS", "PWD", "AUTH", "DSN", "PW", "PSK"];
/// Beginnings of values that are keys of some service, or encrypted or hashed passwords.
const PREFIXES: [&str; 18] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xox",
    "hf_",
    "AKIA",
    "AIza",
    "eyJ",
    "$2a$",
    "$2b$",
    "$2y$",
    "$apr1$",
    "AGE-SECRET-KEY-",
];
/// Parts of values that give a secret: connection strings, queries of URLs, JSON, PEM.
const PARTS: [&str; 14] = [
    "password=",
    "passwd=",
    "pwd=",
    "secret=",
    "token=",
    "api_key=",
    "apikey=",
    "key=",
    "sig=",
    "\"private_key\"",
    "\"password\"",
    "\"client_secret\"",
    "private key-----",
    "$apr1$",
];

/// Returns whether the value of an environment variable is secret.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    if value.is_empty() || is_switch(value) {
        return false;
    }
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word))
        || name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| SHORT_WORDS.contains(&word))
        || is_secret_value(value)
}

/// Returns whether the value of a label is secret. Names of labels say less: `forwardauth.address` is
/// none.
pub(super) fn is_secret_label(name: &str, value: &str) -> bool {
    if value.is_empty() || is_switch(value) {
        return false;
    }
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    let words = ["password", "passwd", "secret", "token", "apikey", "basicauth.users", "digestauth.users"];
    let is_caddys = name.contains("basicauth.") && !name.contains("realm") && !name.contains("header");
    words.iter().any(|word| name.contains(word)) || is_caddys || is_secret_value(value)
}

fn is_switch(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    matches!(value.as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "none" | "null")
        || value.chars().all(|c| c.is_ascii_digit())
}

fn is_secret_value(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    has_credentials(value)
        || PREFIXES.iter().any(|prefix| value.starts_with(prefix))
        || PARTS.iter().any(|part| lower.contains(part))
}

/// Returns whether a text holds a URL with a password or another credential before its host.
pub(super) fn has_credentials(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let end = rest.find(['/', '?', '#', ' ', '"', '\'']).unwrap_or(rest.len());
        // A password may hold any of these, unescaped.
        let authority = match rest[..end].contains('@') {
            true => &rest[..end],
            false => rest.split([' ', '"', '\'']).next().unwrap_or_default(),
        };
        let before = authority.rsplit_once('@').map(|(user, _)| user);
        before.is_some_and(|user| user.contains(':') || (user.len() >= 16 && !user.contains('/')))
    })
}

/// Returns the host that a URL names.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', ';', ',']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(ip) => ip.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognised_by_name_or_value() {
        for (name, value, secret) in [
            ("DATABASE_URL", "postgresql://u:pw@host/db", true),
            ("DATABASE_URL", "postgresql://u:p/w@host/db", true),
            ("DATABASE_URL", "postgresql://host/db", false),
            ("REDIS_URL", "redis://:pw@host:6379", true),
            ("SENTRY", "https://0123456789abcdef0123@sentry.example.com/1", true),
            ("GIT_URL", "https://git@example.com/x", false),
            ("LDAP_APP_PASSWD", "x", true),
            ("SMTP_PASS", "x", true),
            ("COMPASS", "north", false),
            ("HTTP_BASIC_AUTH", "user:x", true),
            ("WEBUI_AUTH", "True", false),
            ("OAUTH_PROVIDER_NAME", "Company", false),
            ("GOOGLE", "{\"private_key\": \"x\"}", true),
            ("CONNECTION", "Server=db;Password=x", true),
            ("UPSTREAM", "https://example.com/v1?api_key=x", true),
            ("MODEL", "sk-or-v1-x", true),
            ("TOKEN_LIMIT", "4096", false),
            ("API_KEY", "", false),
            ("LOG_LEVEL", "debug", false),
            ("URL", "http://host.docker.internal:11434", false),
        ] {
            assert_eq!(is_secret(name, value), secret, "{name}={value}");
        }
        for (name, value, secret) in [
            ("traefik.http.middlewares.a.basicauth.users", "admin:$apr1$x", true),
            ("traefik.http.middlewares.a.forwardauth.address", "http://auth:9091", false),
            ("caddy.basic_auth.admin", "JDJhJDE0", true),
            ("traefik.http.routers.a.rule", "Host(`a`)", false),
        ] {
            assert_eq!(is_secret_label(name, value), secret, "{name}={value}");
        }
        for (url, host) in
            [("http://a:1/x", Some("a")), ("http://u:p@[::1]:8/", Some("::1")), ("a:1", None), ("http:///", None)]
        {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
