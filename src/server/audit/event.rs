//! An event of the audit log.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::user::UserId;

/// Declares the actions with their codes, which are stored and never renamed.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $code:literal),+ $(,)?) => {
        /// A kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)+
        }

        impl Action {
            /// The code in the database and the JSON API.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// Returns the action of a code.
            pub fn parse(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

actions! {
    /// Somebody signed in.
    SignedIn = "signed_in",
    /// A wrong password, or an unknown address.
    SignInFailed = "sign_in_failed",
    /// Attempts to sign in that were refused because there had been too many.
    SignInLimited = "sign_in_limited",
    /// A wrong current password in a session.
    PasswordRefused = "password_refused",
    /// Somebody signed out.
    SignedOut = "signed_out",
    /// Somebody registered an account.
    AccountRegistered = "account_registered",
    /// An admin, or the configuration, added an account.
    AccountAdded = "account_added",
    /// An admin invited somebody.
    Invited = "invited",
    /// An admin gave an invitation another link.
    InvitationRenewed = "invitation_renewed",
    /// An admin withdrew an invitation.
    InvitationWithdrawn = "invitation_withdrawn",
    /// An admin made a link by which somebody chooses another password.
    PasswordLinkMade = "password_link_made",
    /// An admin removed an account.
    AccountRemoved = "account_removed",
    /// An admin changed the address of an account.
    EmailChanged = "email_changed",
    /// An admin changed the role of an account.
    RoleChanged = "role_changed",
    /// Somebody changed their password.
    PasswordChanged = "password_changed",
    /// An admin set the password of an account.
    PasswordReset = "password_reset",
    /// An admin revoked all keys of an account.
    KeysRevoked = "keys_revoked",
    /// Somebody made an API key.
    KeyCreated = "key_created",
    /// Somebody revoked an API key of theirs.
    KeyRevoked = "key_revoked",
    /// An admin saved a connection.
    ConnectionSaved = "connection_saved",
    /// An admin removed the saved connection.
    ConnectionRemoved = "connection_removed",
    /// An admin set a budget.
    BudgetSet = "budget_set",
    /// An admin raised a budget for a day or a month.
    BudgetRaised = "budget_raised",
    /// An admin removed a budget.
    BudgetRemoved = "budget_removed",
    /// An admin typed in an exchange rate.
    RateEntered = "rate_entered",
    /// The server started with other settings than before.
    ConfigurationChanged = "configuration_changed",
    /// The provider removed what was set in the pages, with `mai reset --configuration`.
    ConfigurationReset = "configuration_reset",
}

/// The credential of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A session, by the beginning of the hash of its token, which opens nothing.
    Session(String),
    /// An API key, by its id.
    ApiKey(Arc<str>),
}

/// Who does something, with which credential and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The account; `None` for strangers and the server itself.
    pub user: Option<UserId>,
    /// The credential.
    pub credential: Option<Credential>,
    /// The address, as the trusted proxies tell it.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// The server itself, by its configuration.
    pub fn server() -> Self {
        Self::default()
    }

    /// An account without a credential yet.
    pub fn account(user: UserId, address: Option<IpAddr>) -> Self {
        Self { user: Some(user), credential: None, address }
    }
}

/// One event to record.
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) action: Action,
    pub(super) actor: Actor,
    pub(super) subject: Option<UserId>,
    pub(super) details: Map<String, Value>,
}

impl Event {
    /// An event without further facts.
    pub fn new(action: Action, actor: Actor) -> Self {
        Self { action, actor, subject: None, details: Map::new() }
    }

    /// The same, done to this account.
    pub fn of(mut self, subject: &UserId) -> Self {
        self.subject = Some(subject.clone());
        self
    }

    /// The same with another fact. It is shown to admins, so it is no secret.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        for action in [Action::SignedIn, Action::KeysRevoked, Action::ConfigurationChanged] {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("something_of_a_later_version"), None);
    }
}
