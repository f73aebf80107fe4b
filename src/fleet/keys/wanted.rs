//! The key that a document asks for.

use std::time::Duration;

use crate::api::{KeyRotation, MaiInstance};
use crate::core::KeyPlace;

/// The keys that are to be at the upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// All stay as they are: the instance is paused, or its document is refused.
    AsIs,
    /// One for the server.
    Key(KeyWish),
    /// None: the document declares no management key.
    None,
    /// None, and none that was lost: the instance is deleted. The account that its document names.
    Gone(Option<KeyPlace>),
}

/// The key that is to be at the upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyWish {
    /// The account.
    pub place: KeyPlace,
    /// The most that may be spent in a calendar month (UTC), in whole USD.
    pub limit_usd: Option<i64>,
    /// The instance is suspended, so its key is disabled.
    pub suspended: bool,
    /// Age after which it is rotated.
    pub longest_age: Option<Duration>,
    /// Time that a former key works after the last server has used it.
    pub grace: Duration,
}

/// Seconds of a day.
const DAY: u64 = 86_400;

impl Wanted {
    /// Returns the keys that a document asks for. `untouched` says that nothing is done for it.
    pub fn from_instance(instance: &MaiInstance, untouched: bool) -> Self {
        let upstream = instance.spec.open_router.as_ref();
        let place = upstream.and_then(|upstream| {
            let management = upstream.management_key_secret_ref.clone()?;
            Some(KeyPlace { base_url: upstream.base_url.trim_end_matches('/').to_owned(), management })
        });
        if instance.metadata.deletion_timestamp.is_some() {
            return Self::Gone(place);
        }
        if untouched {
            return Self::AsIs;
        }
        let (Some(upstream), Some(place)) = (upstream, place) else { return Self::None };
        let rotation = upstream.key_rotation.as_ref();
        let days = rotation.and_then(|rotation| u64::try_from(rotation.every_days?).ok());
        Self::Key(KeyWish {
            place,
            limit_usd: upstream.monthly_limit_usd,
            suspended: instance.spec.suspend,
            longest_age: days.map(|days| Duration::from_secs(days * DAY)),
            grace: rotation.map_or(KeyRotation::DEFAULT_GRACE_PERIOD, KeyRotation::grace_period),
        })
    }
}
