//! Addresses of the pages that one-time links open. The token is in the query, which no log of ours has.

use crate::auth::Token;
use crate::public_origin::PublicOrigin;

/// Path of the page that takes an invitation.
pub(crate) const INVITATION_PATH: &str = "/invitation";
/// Path of the page that takes a new password.
pub(crate) const PASSWORD_PATH: &str = "/new-password";

/// Returns the link of an invitation.
pub(crate) fn invitation(origin: &PublicOrigin, token: &Token) -> String {
    format!("{}{INVITATION_PATH}?token={}", origin.url(), token.expose())
}

/// Returns the link by which somebody chooses another password.
pub(crate) fn password(origin: &PublicOrigin, token: &Token) -> String {
    format!("{}{PASSWORD_PATH}?token={}", origin.url(), token.expose())
}
