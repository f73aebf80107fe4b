//! The JSON routes of accounts and the connection, over the same functions the pages call.

mod api_keys;
mod auths;
mod body;
mod connection;
mod facts;
mod users;

use axum::{
    Router,
    http::{HeaderValue, Method, header},
    routing::{delete, get, post},
};
use mai_contract::http;
use tower_http::set_header::SetResponseHeaderLayer;

pub use body::{JsonBody, UrlQuery};

use super::{App, Endpoint, route};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: http::HEALTH_PATH, handler: || get(facts::health) },
    Endpoint { method: Method::GET, path: http::READY_PATH, handler: || get(facts::ready) },
    Endpoint { method: Method::GET, path: "/api/version", handler: || get(facts::version) },
    Endpoint { method: Method::GET, path: "/api/config", handler: || get(facts::config) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/signup", handler: || post(auths::sign_up) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/signin", handler: || post(auths::sign_in) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/signout", handler: || post(auths::sign_out) },
    Endpoint { method: Method::GET, path: "/api/v1/auths/", handler: || get(auths::session) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/add", handler: || post(auths::add) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/update/password", handler: || post(auths::update_password) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/update/profile", handler: || post(auths::update_profile) },
    Endpoint { method: Method::GET, path: "/api/v1/auths/api_keys", handler: || get(api_keys::list) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/api_keys", handler: || post(api_keys::create) },
    Endpoint { method: Method::DELETE, path: "/api/v1/auths/api_keys/{id}", handler: || delete(api_keys::remove) },
    Endpoint { method: Method::GET, path: "/api/v1/users/", handler: || get(users::list) },
    Endpoint { method: Method::GET, path: "/api/v1/users/{id}", handler: || get(users::show) },
    Endpoint { method: Method::POST, path: "/api/v1/users/{id}/update", handler: || post(users::update) },
    Endpoint { method: Method::DELETE, path: "/api/v1/users/{id}", handler: || delete(users::remove) },
    Endpoint { method: Method::GET, path: "/api/v1/connection", handler: || get(connection::show) },
    Endpoint { method: Method::POST, path: "/api/v1/connection", handler: || post(connection::save) },
    Endpoint { method: Method::DELETE, path: "/api/v1/connection", handler: || delete(connection::clear) },
    Endpoint { method: Method::POST, path: "/api/v1/connection/verify", handler: || post(connection::verify) },
];

pub(super) fn routes() -> Router<App> {
    // Answers about accounts and the present moment must not be cached.
    route::build(ROUTES)
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}
