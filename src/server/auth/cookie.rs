//! The session cookie, as the `Set-Cookie` header that sets and clears it.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header::SET_COOKIE},
    response::AppendHeaders,
};

use super::sessions::SESSION_LIFETIME;
use super::sign_in::SignedIn;
use crate::{Config, Environment};

/// The cookie's name, which the image's contract has.
pub(super) const NAME: &str = "token";

/// Headers to put into a response's parts.
pub type SetCookie = AppendHeaders<[(HeaderName, HeaderValue); 1]>;

/// Sets the session cookie. Marked Secure in production when the request (whose headers these are)
/// came by https, so that plain http in a local network works too.
pub fn set_cookie(config: &Config, headers: &HeaderMap, signed_in: &SignedIn) -> SetCookie {
    // A chain of proxies lists theirs one after the other; the first is the browser's.
    let proto = headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok()?.split(',').next());
    let https = proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"));
    let secure = if config.environment == Environment::Prod && https { "; Secure" } else { "" };
    header(&format!(
        "{NAME}={}; HttpOnly; SameSite=Lax; Path=/; Max-Age={}{secure}",
        signed_in.token.expose(),
        SESSION_LIFETIME.as_secs()
    ))
}

/// Clears the session cookie.
pub fn clear_cookie() -> SetCookie {
    header(&format!("{NAME}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"))
}

fn header(text: &str) -> SetCookie {
    // Tokens are hex digits, which every header may hold; an empty value sets nothing.
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    AppendHeaders([(SET_COOKIE, value)])
}
