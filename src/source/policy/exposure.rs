//! Host names and ports, each of which one instance has.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::Claims;
use crate::api::{Expose, Finding};
use crate::core::{DEFAULT_ADDRESS, addresses_overlap};

/// Where an instance is reached.
#[derive(Debug)]
pub(super) struct Exposure {
    /// Folder whose authors declared it, where that is known.
    pub(super) scope: Option<String>,
    host: Option<String>,
    /// None also while it is suspended.
    port: Option<i32>,
    address: Option<IpAddr>,
    /// Time at which it was accepted first.
    created: Timestamp,
}

impl Exposure {
    pub(super) fn new(scope: Option<String>, document: &Value, created: Timestamp) -> Self {
        let expose = serde_json::from_value::<Expose>(document["spec"]["expose"].clone()).unwrap_or_default();
        let is_suspended = document["spec"]["suspend"].as_bool().unwrap_or(false);
        Self {
            scope,
            port: expose.port.filter(|_| !is_suspended),
            address: address(&expose),
            host: expose.host,
            created,
        }
    }
}

fn address(expose: &Expose) -> Option<IpAddr> {
    expose.address.as_deref().unwrap_or(DEFAULT_ADDRESS).parse().ok()
}

impl Claims {
    /// Returns what a document of a folder declares of which another folder has it. Of two instances
    /// that have it already, the older one keeps it.
    pub(super) fn exposure_findings(&self, key: &(String, String), folder: &str, expose: &Expose) -> Vec<Finding> {
        let own = self.exposure(key);
        let mut findings = Vec::new();
        let mut refuse = |field: &str, what: String, (namespace, name): &(String, String), other: &Exposure| {
            let place = match other.scope.as_deref() {
                Some("") | None => "the directory itself".to_owned(),
                Some(folder) => format!("folder {folder}"),
            };
            let message = format!(
                "{what} belongs to instance {namespace}/{name} of {place}, which had it first; declare another one, or remove it there"
            );
            findings.push(Finding { path: format!("spec.expose.{field}"), message });
        };
        for (holder, other) in self.foreign_exposures(folder).filter(|(holder, _)| *holder != key) {
            let is_older = |has: bool| !has || own.is_none_or(|own| other.created < own.created);
            if let Some(host) = expose.host.as_ref().filter(|host| other.host.as_ref() == Some(*host))
                && is_older(own.is_some_and(|own| own.host.as_ref() == Some(host)))
            {
                refuse("host", format!("host {host}"), holder, other);
            }
            let overlaps = address(expose).zip(other.address).is_some_and(|(one, other)| addresses_overlap(one, other));
            if let Some(port) = expose.port.filter(|port| other.port == Some(*port) && overlaps)
                && is_older(own.is_some_and(|own| own.port == Some(port)))
            {
                refuse("port", format!("port {port}"), holder, other);
            }
        }
        findings
    }
}
