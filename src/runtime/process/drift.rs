//! Differences between a running server and its workload, read from its environment.

use std::collections::BTreeMap;

use mai_contract::environment::DATA_DIR;
use secrecy::ExposeSecret;

use super::labels::Labels;
use crate::core::{Change, Effect, EnvValue, Field, InstanceId, Workload};

/// Returns the changes that another process would bring. A process gets everything at its start, so
/// each needs another one.
pub(super) fn changes(labels: &Labels, pid: u32, id: &InstanceId, workload: &Workload) -> Vec<Change> {
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    if labels.id != *id {
        // Another instance of the same name.
        return vec![change(Field::Uid, labels.id.uid.clone(), id.uid.clone())];
    }
    if labels.hash == workload.hash {
        return Vec::new();
    }
    let mut changes = Vec::new();
    if labels.listen != workload.listen {
        changes.push(change(Field::Listen, labels.listen.to_string(), workload.listen.to_string()));
    }
    if let Ok(environ) = std::fs::read(format!("/proc/{pid}/environ")) {
        changes.extend(variables(&read(&environ), workload));
    }
    if changes.is_empty() {
        // A difference that does not show in the environment: limits, or settings of a container.
        changes.push(change(Field::Workload, short(&labels.hash), short(&workload.hash)));
    }
    changes
}

fn change(field: Field, from: impl Into<String>, to: impl Into<String>) -> Change {
    Change { field, effect: Effect::Recreate, from: from.into(), to: to.into() }
}

/// Returns the variables that differ. A former value is never shown: it may have been a secret.
fn variables(is: &BTreeMap<String, String>, workload: &Workload) -> Vec<Change> {
    let change = |name: &str, from: &str, to: &str| change(Field::Env(name.to_owned()), from, to);
    let mut changes = Vec::new();
    for (name, value) in &workload.env {
        let (wanted, shown) = match value {
            EnvValue::Plain(text) => (text.as_str(), format!("{text:?}")),
            EnvValue::Secret(secret) => (secret.expose_secret(), "(a secret)".to_owned()),
        };
        match is.get(name) {
            Some(value) if value == wanted => {}
            Some(_) => changes.push(change(name, "(another value)", &shown)),
            None => changes.push(change(name, "(not set)", &shown)),
        }
    }
    let carried = |name: &str| name == DATA_DIR || Labels::names().contains(&name);
    let dropped = is.keys().filter(|name| !workload.env.contains_key(*name) && !carried(name));
    changes.extend(dropped.map(|name| change(name, "(set)", "(not set)")));
    if let (Some(path), Some(is)) = (&workload.data_path, is.get(DATA_DIR))
        && path.as_os_str() != is.as_str()
    {
        changes.push(self::change(Field::Data, is.clone(), path.display().to_string()));
    }
    changes
}

fn read(environ: &[u8]) -> BTreeMap<String, String> {
    environ
        .split(|byte| *byte == 0)
        .filter_map(|variable| {
            String::from_utf8_lossy(variable).split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()))
        })
        .collect()
}
