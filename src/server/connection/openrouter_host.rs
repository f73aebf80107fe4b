//! The hosts of OpenRouter.

use url::Url;

/// A host of OpenRouter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenRouterHost {
    /// The one without a region.
    Global,
    /// The one in the European Union, which fails where no model provider there can answer.
    EU,
    /// Another one of its domain.
    Other,
}

impl OpenRouterHost {
    /// The base URL of the API in the European Union.
    pub(crate) const EU_BASE_URL: &str = "https://eu.openrouter.ai/api/v1";

    /// Returns the host in a base URL; `None` for another upstream, and without TLS, where somebody
    /// else may answer.
    pub(crate) fn from_base_url(base_url: &str) -> Option<Self> {
        let url = Url::parse(base_url).ok().filter(|url| url.scheme() == "https" && url.port().is_none())?;
        match url.host_str()?.strip_suffix("openrouter.ai")? {
            "" => Some(Self::Global),
            "eu." => Some(Self::EU),
            other => other.ends_with('.').then_some(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_read_from_base_urls() {
        for (base_url, host) in [
            ("https://openrouter.ai/api/v1", Some(OpenRouterHost::Global)),
            ("https://EU.openrouter.ai/api/v1", Some(OpenRouterHost::EU)),
            ("https://us.openrouter.ai/api/v1", Some(OpenRouterHost::Other)),
            ("https://notopenrouter.ai/api/v1", None),
            ("https://openrouter.ai.example.com/api/v1", None),
            ("https://openrouter.ai:8443/api/v1", None),
            ("http://openrouter.ai/api/v1", None),
            ("https://example.com/openrouter.ai", None),
        ] {
            assert_eq!(OpenRouterHost::from_base_url(base_url), host, "{base_url}");
        }
    }
}
