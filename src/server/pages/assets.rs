//! Style, scripts and the icon of the browser tab: embedded in the binary, under addresses that
//! change with their content.

use std::fmt;

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::Endpoint;

/// The routes of the assets.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/assets/{hash}/{name}", handler: || get(serve) },
    Endpoint { method: Method::GET, path: "/favicon.ico", handler: || get(favicon) },
];

/// An embedded file. Its `Display` is the address it is served under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
    hash: u64,
}

impl Asset {
    const fn new(name: &'static str, kind: &'static str, body: &'static [u8]) -> Self {
        Self { name, kind, body, hash: fingerprint(body) }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/assets/{:016x}/{}", self.hash, self.name)
    }
}

/// Returns the 64-bit FNV-1a hash, which is simple enough to be evaluated at compile time.
const fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

/// Every embedded file.
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) page: Asset,
    pub(super) composer: Asset,
    pub(super) icon: Asset,
    pub(super) htmx: Asset,
    pub(super) hx_sse: Asset,
    pub(super) hx_csp: Asset,
}

/// The style, split by concept and served as one file.
const STYLE: &str = concat!(
    include_str!("assets/style/tokens.css"),
    include_str!("assets/style/elements.css"),
    include_str!("assets/style/controls.css"),
    include_str!("assets/style/notices.css"),
    include_str!("assets/style/layout.css"),
    include_str!("assets/style/settings.css"),
    include_str!("assets/style/usage.css"),
    include_str!("assets/style/chat.css"),
);

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The embedded files.
pub(super) static ASSETS: Assets = Assets {
    style: Asset::new("style.css", "text/css; charset=utf-8", STYLE.as_bytes()),
    page: Asset::new("page.js", SCRIPT, include_bytes!("assets/page.js")),
    composer: Asset::new("composer.js", SCRIPT, include_bytes!("assets/composer.js")),
    icon: Asset::new("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
    htmx: Asset::new("htmx.js", SCRIPT, include_bytes!("assets/vendor/htmx.min.js")),
    hx_sse: Asset::new("hx-sse.js", SCRIPT, include_bytes!("assets/vendor/hx-sse.min.js")),
    hx_csp: Asset::new("hx-csp.js", SCRIPT, include_bytes!("assets/vendor/hx-csp.min.js")),
};

impl Assets {
    /// Returns every file.
    pub(super) fn all(&self) -> [&Asset; 7] {
        [&self.style, &self.page, &self.composer, &self.icon, &self.htmx, &self.hx_sse, &self.hx_csp]
    }
}

/// Serves a file. The address of another build gets the file of this one, but may not be cached.
async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let Some(asset) = ASSETS.all().into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let current = hash == format!("{:016x}", asset.hash);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(if current { "public, max-age=31536000, immutable" } else { "no-cache" }),
    );
    (headers, asset.body).into_response()
}

/// Serves the icon that browsers request by themselves where no page names one.
async fn favicon() -> Response {
    ([(header::CONTENT_TYPE, ASSETS.icon.kind), (header::CACHE_CONTROL, "public, max-age=86400")], ASSETS.icon.body)
        .into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The vendored files are those of htmx.org 4.0.1 on npm, byte for byte.
    #[test]
    fn vendored_scripts_are_the_published_ones() {
        let table = [
            (&ASSETS.htmx, "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"),
            (&ASSETS.hx_sse, "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103"),
            (&ASSETS.hx_csp, "a7e1e6711ae6c3e50ad300fba7936cbe8d07599cdae313414a179ddd6b26e143"),
        ];
        for (asset, sha256) in table {
            assert_eq!(hex::encode(Sha256::digest(asset.body)), sha256, "{}", asset.name);
        }
    }

    #[test]
    fn assets_request_nothing_from_other_hosts() {
        for asset in [&ASSETS.style, &ASSETS.page, &ASSETS.composer] {
            let text = std::str::from_utf8(asset.body).unwrap();
            for outside in ["http://", "https://", "url(", "@import", "innerHTML", "eval("] {
                assert!(!text.contains(outside), "{} holds {outside}", asset.name);
            }
        }
    }

    #[tokio::test]
    async fn current_address_is_cached_and_an_old_one_is_not() {
        let address = ASSETS.style.to_string();
        let mut parts = address.trim_start_matches("/assets/").splitn(2, '/');
        let (hash, name) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
        let fresh = serve(Path((hash, name.clone()))).await;
        assert_eq!(fresh.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        let stale = serve(Path(("0".repeat(16), name))).await;
        assert_eq!(
            (stale.status(), &stale.headers()[header::CACHE_CONTROL]),
            (StatusCode::OK, &HeaderValue::from_static("no-cache"))
        );
        assert_eq!(serve(Path(("0".repeat(16), "secret".to_owned()))).await.status(), StatusCode::NOT_FOUND);
    }

    /// Returns the light and the dark colour of a token of the style, as red, green and blue.
    fn token(name: &str) -> [[f64; 3]; 2] {
        let css = std::str::from_utf8(ASSETS.style.body).unwrap();
        let value = css.split(&format!("  --{name}: light-dark(")).nth(1).unwrap_or_else(|| panic!("no --{name}"));
        let mut colours = value.split(')').next().unwrap().split(',').map(|colour| {
            let hex = hex::decode(colour.trim().trim_start_matches('#')).unwrap();
            [0, 1, 2].map(|index| f64::from(hex[index]) / 255.0)
        });
        [colours.next().unwrap(), colours.next().unwrap()]
    }

    /// Returns the contrast ratio of WCAG 2.2.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let [r, g, b] = colour.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_has_enough_contrast_in_light_and_dark() {
        let backgrounds = ["bg", "bg-side", "bg-raised", "bg-sunken", "bg-hover"];
        let mut pairs: Vec<(&str, &str, f64)> = Vec::new();
        for background in backgrounds {
            pairs.extend(["ink", "ink-soft", "accent", "danger"].map(|ink| (ink, background, 4.5)));
            pairs.extend(["line-strong", "accent"].map(|line| (line, background, 3.0)));
        }
        pairs.extend(["code-comment", "code-word", "code-text", "code-number"].map(|ink| (ink, "bg-sunken", 4.5)));
        pairs.extend([
            ("accent-ink", "accent", 4.5),
            ("accent-ink", "accent-hover", 4.5),
            ("danger-ink", "danger-strong", 4.5),
            ("danger", "danger-soft", 4.5),
            ("ink", "danger-soft", 4.5),
            ("warn", "warn-soft", 4.5),
            ("ink", "warn-soft", 4.5),
            ("accent", "accent-soft", 4.5),
            ("ink-soft", "accent-soft", 4.5),
            ("ink", "bg-chosen", 4.5),
        ]);
        for (ink, background, least) in pairs {
            for (index, theme) in ["light", "dark"].into_iter().enumerate() {
                let ratio = contrast(token(ink)[index], token(background)[index]);
                assert!(ratio >= least, "{ink} on {background} in {theme}: {ratio:.2}, and {least} is needed");
            }
        }
    }
}
