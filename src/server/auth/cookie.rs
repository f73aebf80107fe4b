//! The cookies of an instance: the session's, and that of a device which has signed in before.
//!
//! Their names hold a part that is different for each instance, because browsers send cookies to
//! every port of a host. Over https they have the prefix `__Host-`, so that no other host of the
//! domain and no page over plain http can set them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, HeaderName, HeaderValue, header::SET_COOKIE, request::Parts},
    response::AppendHeaders,
};
use axum_extra::extract::CookieJar;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::device::{DeviceId, Devices};
use super::sessions::SESSION_LIFETIME;
use super::sign_in::SignedIn;
use crate::client_address::TrustedProxies;
use crate::database::{Database, DatabaseError};
use crate::public_origin::PublicOrigin;
use crate::{Config, Environment};

/// The session cookie's name in the contract of the image, and of earlier versions. It is read, and
/// no longer set.
const COMMON_NAME: &str = "token";
/// The key of the row of table `setting` that holds the id of the data.
pub(crate) const INSTANCE_ID: &str = "instance_id";
/// Prefix of names that a browser takes over https only, for this host alone.
const HOST_PREFIX: &str = "__Host-";
/// Time for which a device stays known.
const DEVICE_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The header that makes a browser forget what it keeps of this site.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
/// Pages and drafts. Not the cookies: those of other instances at this host are among them.
const OWN_SITE_DATA: &str = "\"cache\", \"storage\"";

/// Headers to put into a response's parts.
pub type SetCookies = AppendHeaders<Vec<(HeaderName, HeaderValue)>>;

/// Reads and sets the cookies of this instance. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Cookies(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    session: String,
    device: String,
    devices: Devices,
    environment: Environment,
}

impl Cookies {
    /// The cookies of the instance with this database and secret.
    pub(crate) async fn load(db: &Database, config: &Config, secret: &SecretString) -> Result<Self, DatabaseError> {
        Ok(Self::new(&instance_id(db).await?, config.environment, secret))
    }

    /// Either may be the same at another instance: the secret where it was copied, and the id in
    /// data that was.
    fn new(instance_id: &str, environment: Environment, secret: &SecretString) -> Self {
        let secret = SecretString::from(format!("{instance_id}\0{}", secret.expose_secret()));
        let mut hash = Sha256::new();
        hash.update(b"mai cookie name v1\0");
        hash.update(secret.expose_secret().as_bytes());
        let instance = hex::encode(&hash.finalize()[..4]);
        Self(Arc::new(Shared {
            session: format!("mai_{instance}_token"),
            device: format!("mai_{instance}_device"),
            devices: Devices::new(&secret),
            environment,
        }))
    }

    fn set(&self, is_https: bool, signed_in: &SignedIn) -> SetCookies {
        let Shared { session, device, devices, environment } = &*self.0;
        let (prefix, secure) = match environment {
            Environment::Prod if is_https => (HOST_PREFIX, "; Secure"),
            _ => ("", ""),
        };
        let age = |lifetime: Duration| lifetime.as_secs();
        AppendHeaders(vec![
            header(&format!(
                "{prefix}{session}={}; HttpOnly; SameSite=Lax; Path=/; Max-Age={}{secure}",
                signed_in.token.expose(),
                age(SESSION_LIFETIME)
            )),
            header(&format!(
                "{prefix}{device}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}",
                devices.value(&signed_in.user.email),
                age(DEVICE_LIFETIME)
            )),
        ])
    }

    fn clear(&self, headers: &HeaderMap) -> SetCookies {
        let jar = CookieJar::from_headers(headers);
        let name = self.names().into_iter().find(|name| jar.get(name).is_some());
        let name = name.unwrap_or_else(|| self.0.session.clone());
        let secure = if name.starts_with(HOST_PREFIX) { "; Secure" } else { "" };
        AppendHeaders(vec![
            header(&format!("{name}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0{secure}")),
            (CLEAR_SITE_DATA, HeaderValue::from_static(OWN_SITE_DATA)),
        ])
    }

    /// Returns the token of the session cookie. The first of its names that is sent decides.
    pub(super) fn session_token(&self, headers: &HeaderMap) -> Option<String> {
        let jar = CookieJar::from_headers(headers);
        self.names().iter().find_map(|name| jar.get(name).map(|cookie| cookie.value().to_owned()))
    }

    fn device(&self, headers: &HeaderMap, email: &str) -> Option<DeviceId> {
        let Shared { device, devices, .. } = &*self.0;
        let jar = CookieJar::from_headers(headers);
        let names = [format!("{HOST_PREFIX}{device}"), device.clone()];
        names.iter().find_map(|name| devices.device(jar.get(name)?.value(), email))
    }

    /// Names of the session cookie, the safest first.
    fn names(&self) -> [String; 3] {
        let session = &self.0.session;
        [format!("{HOST_PREFIX}{session}"), session.clone(), COMMON_NAME.to_owned()]
    }
}

/// Returns the random id of the instance's data, which the first start makes.
async fn instance_id(db: &Database) -> Result<String, DatabaseError> {
    let new = Uuid::new_v4().to_string();
    db.write(move |connection| {
        Box::pin(async move {
            sqlx::query("INSERT INTO setting (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING")
                .bind(INSTANCE_ID)
                .bind(new)
                .execute(&mut *connection)
                .await?;
            let id = sqlx::query_scalar("SELECT value FROM setting WHERE key = ?");
            Ok(id.bind(INSTANCE_ID).fetch_one(connection).await?)
        })
    })
    .await
}

/// The cookies of one request, and those that its answer sets.
#[derive(Debug, Clone)]
pub struct RequestCookies {
    cookies: Cookies,
    headers: HeaderMap,
    origin: PublicOrigin,
}

impl RequestCookies {
    /// Sets the session cookie, and that of the device. In production they are marked Secure when
    /// the request came by https, so that plain http in a local network works too.
    pub fn set(&self, signed_in: &SignedIn) -> SetCookies {
        self.cookies.set(self.origin.is_https, signed_in)
    }

    /// Clears the session cookie that the request was sent with, and the pages and drafts that the
    /// browser keeps. The device stays known.
    pub fn clear(&self) -> SetCookies {
        self.cookies.clear(&self.headers)
    }

    /// Returns the device, if it has signed in to the account with this e-mail before.
    pub(super) fn device(&self, email: &str) -> Option<DeviceId> {
        self.cookies.device(&self.headers, email)
    }
}

impl<S> FromRequestParts<S> for RequestCookies
where
    S: Send + Sync,
    Cookies: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let origin = PublicOrigin::from_request_parts(parts, state).await?;
        Ok(Self { cookies: Cookies::from_ref(state), headers: parts.headers.clone(), origin })
    }
}

fn header(text: &str) -> (HeaderName, HeaderValue) {
    // Names and values are hex digits, which every header may hold; an empty value sets nothing.
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    (SET_COOKIE, value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_by_data_and_by_secret() {
        let name =
            |id: &str, secret: &str| Cookies::new(id, Environment::Prod, &SecretString::from(secret)).0.session.clone();
        assert_eq!(name("a", "s"), name("a", "s"));
        assert!(name("a", "s") != name("b", "s") && name("a", "s") != name("a", "t"));
    }

    #[test]
    fn safest_name_of_the_session_cookie_decides() {
        let cookies = Cookies::new("a", Environment::Prod, &SecretString::from("s"));
        let own = cookies.0.session.clone();
        for (sent, expected) in [
            (format!("token=1; {own}=2; __Host-{own}=3"), Some("3")),
            (format!("token=1; {own}=2"), Some("2")),
            ("token=1; mai_00000000_token=2".to_owned(), Some("1")),
            ("mai_00000000_token=2; __Host-token=3".to_owned(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", sent.parse().unwrap());
            assert_eq!(cookies.session_token(&headers).as_deref(), expected, "{sent}");
        }
    }
}
