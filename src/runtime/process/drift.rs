//! How a running server differs from what is declared, field by field, told by what it carries in its environment.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::labels::Labels;
use crate::runtime::{Change, Drift, EnvValue, InstanceId, Workload};

/// A process is told everything at its start, so it is as declared or has to be another one.
pub(super) fn drift(labels: &Labels, pid: u32, id: &InstanceId, workload: &Workload) -> Drift {
    let change = |field: &str, from: String, to: String| Change { field: field.to_owned(), from, to };
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    if labels.id != *id {
        // What runs for a namesake with another uid is never what is declared.
        return Drift::Replace(vec![change("uid", labels.id.uid.clone(), id.uid.clone())]);
    }
    if labels.hash == workload.hash {
        return Drift::None;
    }
    let mut changes = Vec::new();
    if labels.listen != workload.listen {
        changes.push(change("listen", labels.listen.to_string(), workload.listen.to_string()));
    }
    if let Ok(environ) = std::fs::read(format!("/proc/{pid}/environ")) {
        changes.extend(variables(&read(&environ), workload));
    }
    if changes.is_empty() {
        // It differs in what a process is not told by its environment: limits, or what only a container has.
        changes.push(change("workload", short(&labels.hash), short(&workload.hash)));
    }
    Drift::Replace(changes)
}

/// What a variable was is never shown: it may have been a secret then.
fn variables(is: &BTreeMap<String, String>, workload: &Workload) -> Vec<Change> {
    let change = |name: &str, from: &str, to: &str| Change {
        field: format!("env.{name}"),
        from: from.to_owned(),
        to: to.to_owned(),
    };
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
    let carried = |name: &str| name == "DATA_DIR" || Labels::names().contains(&name);
    let dropped = is.keys().filter(|name| !workload.env.contains_key(*name) && !carried(name));
    changes.extend(dropped.map(|name| change(name, "(set)", "(not set)")));
    if let (Some(path), Some(is)) = (&workload.data_path, is.get("DATA_DIR"))
        && path.as_os_str() != is.as_str()
    {
        changes.push(Change { field: "data".to_owned(), from: is.clone(), to: path.display().to_string() });
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
