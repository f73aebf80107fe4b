//! `spec.access`: who may have an account.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use super::SecretRef;

/// Who may have an account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("self.signup != 'Closed' || has(self.admin)")
        .message("access.signup Closed needs access.admin: without a declared admin nobody could ever sign in")
)]
pub struct Access {
    /// Who may register by themselves.
    #[serde(default)]
    pub signup: Signup,

    /// Maximal number of accounts, admin included. 1 to 1000.
    #[serde(default = "default_max_users")]
    #[x_kube(validation = kube::core::Rule::new("self >= 1 && self <= 1000").message("access.maxUsers must be 1 to 1000"))]
    pub max_users: i32,

    /// The admin, declared. Created only while the instance has no users; later changes are made in
    /// its pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
}

impl Default for Access {
    fn default() -> Self {
        Self { signup: Signup::default(), max_users: default_max_users(), admin: None }
    }
}

/// Who may register by themselves; as text, the value of `MAI_SIGNUP`.
#[derive(AsRefStr, Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signup {
    /// The first person becomes admin, which closes registration.
    #[default]
    FirstUserOnly,
    /// Nobody; needs a declared admin.
    Closed,
    /// Anyone who can reach the instance, up to maxUsers.
    Open,
}

/// A declared admin.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Admin {
    /// E-mail address, used to sign in.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[^@ ]+@[^@ ]+$')").message("access.admin.email must be an e-mail address"))]
    #[schemars(length(max = 254))]
    pub email: String,

    /// Name shown in the pages.
    #[serde(default = "default_admin_name")]
    #[schemars(length(max = 80))]
    pub name: String,

    /// First password; the admin changes it in the pages.
    pub password_secret_ref: SecretRef,
}

fn default_max_users() -> i32 {
    20
}

fn default_admin_name() -> String {
    "Admin".to_owned()
}
