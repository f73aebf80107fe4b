//! Checks of a document that no rule of its schema can make.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::tz::TimeZone;
use mai_contract::Network;
use serde_json::Value;

use super::recipient;
use super::schema::Finding;
use super::{Schedule, ScheduleError};

/// Checks what no rule of the schema can: that a schedule is due some day, that a time zone exists,
/// that keys have no typing errors, that networks are valid, and that destinations are apart from each
/// other and the data.
pub(super) fn check_semantics(document: &Value, findings: &mut Vec<Finding>) {
    let mut report = |path: &str, message: String| findings.push(Finding { path: path.to_owned(), message });
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let unknown_zone = |zone: &str| ScheduleError::UnknownZone(zone.to_owned()).to_string();
    for field in ["backup", "upgrade/window", "server"] {
        let pointer = format!("/spec/{field}/timeZone");
        if let Some(zone) = text(&pointer).filter(|zone| TimeZone::get(zone).is_err()) {
            report(&format!("spec.{}.timeZone", field.replace('/', ".")), unknown_zone(zone));
        }
    }
    if let Some(Err(error)) = text("/spec/backup/schedule").map(|line| Schedule::parse(line, "UTC", "")) {
        report("spec.backup.schedule", error.to_string());
    }
    let items = |pointer: &str| document.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    for list in ["trustedProxies", "allowedUpstreamNetworks"] {
        for (index, network) in items(&format!("/spec/server/{list}")).enumerate() {
            if let Some(Err(error)) = network.as_str().map(str::parse::<Network>) {
                report(&format!("spec.server.{list}[{index}]"), error.to_string());
            }
        }
    }
    for (index, key) in items("/spec/backup/encryption/recipients").enumerate() {
        if let Some(problem) = key.as_str().and_then(recipient::problem) {
            report(&format!("spec.backup.encryption.recipients[{index}]"), problem);
        }
    }
    let data = text("/spec/storage/data/hostPath").map(Path::new);
    let mut names = BTreeSet::new();
    for (index, destination) in items("/spec/backup/destinations").enumerate() {
        let path = format!("spec.backup.destinations[{index}]");
        if let Some(name) = destination["name"].as_str().filter(|name| !names.insert(*name)) {
            report(&path, format!("a destination named {name} stands above; names differ"));
        }
        let local = destination["local"]["path"].as_str();
        if let Some((local, data)) = local.zip(data).filter(|(local, data)| Path::new(local).starts_with(data)) {
            let message = format!("{local} is in {}, so each backup would hold all before it", data.display());
            report(&format!("{path}.local.path"), message);
        }
    }
}
