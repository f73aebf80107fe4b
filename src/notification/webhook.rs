//! URLs of services that are told something. Such a URL often holds a secret, so no log and no error
//! shows more of it than its host.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

/// Longest URL.
const LONGEST: usize = 2048;

/// A URL of which only scheme, host and port are ever shown.
#[derive(Clone)]
pub struct SecretUrl {
    text: SecretString,
    shown: String,
    host: String,
    is_slack_path: bool,
}

/// Why a text is no such URL. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a URL such as https://hooks.example.com/…, of up to {LONGEST} bytes")]
pub struct SecretUrlError;

impl FromStr for SecretUrl {
    type Err = SecretUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| SecretUrlError)?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.filter(|_| text.len() <= LONGEST).ok_or(SecretUrlError)?.to_owned();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            shown: format!("{}://{host}{port}", url.scheme()),
            is_slack_path: url.path().ends_with("/slack"),
            host,
            text: SecretString::from(url.to_string()),
        })
    }
}

impl SecretUrl {
    /// Returns the whole URL.
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Returns whether a connection to it is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.shown.starts_with("https:")
    }

    /// Returns an id that does not reveal it.
    fn id(&self) -> String {
        let hash = hex::encode(Sha256::digest(self.expose().as_bytes()));
        hash.chars().take(16).collect()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Form of a notice.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// By the host of the URL: Slack, ntfy, or else JSON
    Auto,
    /// Slack, and what understands its messages, such as Mattermost
    Slack,
    /// ntfy
    Ntfy,
    /// One object with each condition
    Json,
}

/// A service that receives notices about conditions. Two with one URL are equal.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub(super) id: String,
    pub(super) url: SecretUrl,
    /// Never [`Format::Auto`].
    pub(super) format: Format,
}

impl PartialEq for Webhook {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Webhook {
    /// Returns the webhook of a URL.
    pub fn new(url: SecretUrl, format: Format) -> Self {
        let is_host = |name: &str| url.host == name || url.host.ends_with(&format!(".{name}"));
        let format = match format {
            Format::Auto if is_host("slack.com") || url.is_slack_path => Format::Slack,
            Format::Auto if is_host("ntfy.sh") || url.host.starts_with("ntfy.") => Format::Ntfy,
            Format::Auto => Format::Json,
            given => given,
        };
        Self { id: url.id(), url, format }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn url_shows_no_more_than_its_host() {
        let url: SecretUrl = "https://user:pass@hooks.example.com:8443/T00/secret?token=x#y".parse().unwrap();
        assert_eq!((url.to_string(), format!("{url:?}")), (url.shown.clone(), url.shown.clone()));
        assert_eq!(url.shown, "https://hooks.example.com:8443");
        assert!(url.expose().contains("T00/secret?token=x") && url.is_encrypted());
        let shown = format!("{:?}", Webhook::new(url, Format::Auto));
        assert!(!shown.contains("secret") && !shown.contains("pass"), "{shown}");
        for text in
            ["", "hooks.example.com/x", "ftp://a/b", "file:///etc/passwd", &format!("http://a/{LONGEST:0>3000}")]
        {
            assert!(text.parse::<SecretUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn format_follows_the_host() {
        for (url, format) in [
            ("https://hooks.slack.com/services/T/B/x", Format::Slack),
            ("https://discord.com/api/webhooks/1/x/slack", Format::Slack),
            ("https://ntfy.sh/topic", Format::Ntfy),
            ("https://ntfy.example.com/topic", Format::Ntfy),
            ("https://notslack.com/x", Format::Json),
            ("http://127.0.0.1:9/x", Format::Json),
        ] {
            assert_eq!(Webhook::new(url.parse().unwrap(), Format::Auto).format, format, "{url}");
        }
        let given = Webhook::new("https://ntfy.sh/topic".parse().unwrap(), Format::Json);
        assert_eq!(given.format, Format::Json);
        assert_ne!(given.id, Webhook::new("https://ntfy.sh/topic2".parse().unwrap(), Format::Json).id);
    }
}
