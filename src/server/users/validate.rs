//! Checks of names and e-mails.

use super::error::UserError;
use crate::user::normalised_email;

/// Checks and trims a name.
pub(super) fn name(name: &str) -> Result<String, UserError> {
    let name = name.trim();
    let fits = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(UserError::BadName) }
}

/// Checks an e-mail and returns it in lower case. Only its form is checked.
pub(crate) fn email(email: &str) -> Result<String, UserError> {
    let email = normalised_email(email);
    let clean = !email.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"(),;".contains(c));
    match email.split_once('@') {
        Some((local, host))
            if clean && email.len() <= 254 && !local.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(email)
        }
        _ => Err(UserError::BadEmail),
    }
}
