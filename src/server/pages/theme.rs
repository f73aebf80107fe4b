//! `POST /theme`: stores the reader's appearance in a cookie.

use axum::{
    Form,
    http::{Method, header::SET_COOKIE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;

use super::{layout::Theme, response};
use crate::Endpoint;

/// The routes of the appearance switch.
pub(super) const ROUTES: &[Endpoint] = &[Endpoint { method: Method::POST, path: "/theme", handler: || post(choose) }];

#[derive(Deserialize)]
struct Choice {
    theme: String,
    #[serde(default)]
    back: String,
}

/// Open to anybody; the cookie holds only a code of ours.
async fn choose(Form(form): Form<Choice>) -> Response {
    let theme = Theme::parse(&form.theme).code();
    let cookie = format!("{}={theme}; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000", Theme::COOKIE);
    ([(SET_COOKIE, cookie)], response::redirect(response::local_path(&form.back))).into_response()
}
