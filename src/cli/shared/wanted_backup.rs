//! A backup as the command line names it.

use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mai_backup::restore::Wanted;

use crate::api::MaiInstance;

/// Parses `latest`, an id, or a time. A time without an offset is in the time zone of the backups.
pub(in crate::cli) fn parse_wanted(text: &str, instance: &MaiInstance) -> anyhow::Result<Wanted> {
    if text == "latest" {
        return Ok(Wanted::Latest);
    }
    if let Ok(id) = text.parse() {
        return Ok(Wanted::Id(id));
    }
    let zone = instance.spec.backup.as_ref().map_or("UTC", |backup| &backup.time_zone);
    let time = parse_time(text, zone).with_context(|| {
        format!(
            "{text:?} is neither `latest` nor the id of a backup, a time such as 2026-11-30T02:00 or an archive in a file; `mai backups` lists ids and times"
        )
    })?;
    Ok(Wanted::At(time))
}

/// Parses a time. One without an offset is in this zone.
pub(in crate::cli) fn parse_time(text: &str, zone: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let time: DateTime = text.parse().with_context(|| format!("{text:?} is no time such as 2026-11-30T02:00"))?;
    let zone = TimeZone::get(zone).with_context(|| format!("time zone {zone} is unknown"))?;
    Ok(zone.to_zoned(time).with_context(|| format!("{text} is no time there"))?.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn time_without_offset_is_in_the_zone_of_backups() {
        let instance: MaiInstance = serde_json::from_value(json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": "abc"},
            "spec": {"displayName": "ABC", "openRouter": {"mock": true}, "backup": {"timeZone": "Europe/Warsaw"}},
        }))
        .unwrap();
        let at = |text: &str| Wanted::At(text.parse().unwrap());
        for (text, wanted) in [
            ("latest", Wanted::Latest),
            ("20261130-020000-1f2e3d", Wanted::Id("20261130-020000-1f2e3d".parse().unwrap())),
            ("2026-11-30T02:00:00Z", at("2026-11-30T02:00:00Z")),
            ("2026-11-30T02:00", at("2026-11-30T01:00:00Z")),
            ("2026-11-30", at("2026-11-29T23:00:00Z")),
        ] {
            assert_eq!(parse_wanted(text, &instance).unwrap(), wanted, "{text}");
        }
        let error = parse_wanted("yesterday", &instance).unwrap_err().to_string();
        assert!(error.contains("mai backups"), "{error}");
    }
}
