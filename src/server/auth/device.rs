//! Devices that have signed in before: a cookie that names an account, by a code that only this
//! instance can make.

use std::fmt;

use rand::RngCore;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// The random id of a device, new at each sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceId([u8; 16]);

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceId(…)")
    }
}

#[cfg(test)]
impl From<[u8; 16]> for DeviceId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Makes and checks the values of device cookies. Nothing about them is stored.
#[derive(Clone, Debug)]
pub(super) struct Devices(hmac::Key);

impl Devices {
    pub(super) fn new(secret: &SecretString) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes()))
    }

    /// Returns the cookie of a device that has signed in to the account with this e-mail.
    pub(super) fn value(&self, email: &str) -> String {
        let mut id = [0; 16];
        rand::rng().fill_bytes(&mut id);
        let code = hmac::sign(&self.0, &signed(&id, email));
        format!("{}.{}", hex::encode(id), hex::encode(code.as_ref()))
    }

    /// Returns the device of a cookie that was made for this e-mail.
    pub(super) fn device(&self, value: &str, email: &str) -> Option<DeviceId> {
        let (id, code) = value.split_once('.')?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(id, &mut bytes).ok()?;
        hmac::verify(&self.0, &signed(&bytes, email), &hex::decode(code).ok()?).ok()?;
        Some(DeviceId(bytes))
    }
}

fn signed(id: &[u8; 16], email: &str) -> Vec<u8> {
    [b"mai device v1\0", id.as_slice(), email.as_bytes()].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn device_is_known_for_its_account_alone() {
        let devices = Devices::new(&SecretString::from("secret"));
        let value = devices.value("ada@example.com");
        assert!(devices.device(&value, "ada@example.com").is_some());
        assert!(devices.device(&value, "bob@example.com").is_none());
        assert!(Devices::new(&SecretString::from("other")).device(&value, "ada@example.com").is_none());
        for forged in ["", ".", "00", &value[..40], &format!("{value}00"), &value.replacen('.', "..", 1)] {
            assert!(devices.device(forged, "ada@example.com").is_none(), "{forged}");
        }
        assert!(!value.contains('@'));
    }
}
