//! `POST /theme`: light, dark, or as the system has it, kept in a cookie.

use axum::{
    Form,
    http::header::SET_COOKIE,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{reply, shell::Theme};

#[derive(Deserialize)]
pub(super) struct Choice {
    theme: String,
    #[serde(default)]
    back: String,
}

/// Anybody may choose; nothing but a word of our own goes into the cookie.
pub(super) async fn choose(Form(form): Form<Choice>) -> Response {
    let theme = Theme::parse(&form.theme).code();
    let cookie = format!("{}={theme}; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000", Theme::COOKIE);
    ([(SET_COOKIE, cookie)], reply::redirect(reply::local(&form.back))).into_response()
}
