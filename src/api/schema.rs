//! Checks a document as the API server would, with no API server: structure first, then defaults,
//! then every CEL rule.
//!
//! All findings are reported at once, each with the path of its field, so that a source can name
//! file and line.

use std::sync::LazyLock;

use kube::CustomResourceExt;
use kube::core::cel::{CompiledSchema, ErrorKind, ValidationError, Validator, apply_defaults, compile_schema};
use serde_json::{Map, Value};

use super::field::{PlatformKind, refusals};
use super::semantics::check_semantics;
use super::{API_VERSION, MaiInstance};

/// A problem of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, such as `spec.expose.port` or `spec.server.env[0].name`; empty for the document
    /// itself.
    pub path: String,
    /// The problem and its remedy, as a sentence without the path.
    pub message: String,
}

struct Schemas {
    open_api: Value,
    compiled: CompiledSchema,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut crd = serde_json::to_value(MaiInstance::crd()).unwrap_or_default();
    let open_api = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
    Schemas { compiled: compile_schema(&open_api), open_api }
});

/// Checks `document`, a whole `MaiInstance` as its author wrote it, and its changes from `old`, the
/// document that it replaces.
///
/// Fields without effect on `platform` are refused; where the platform is not known, fields without
/// effect on any. Returns the document with its defaults, or everything that is wrong with it.
pub fn check(document: &Value, old: Option<&Value>, platform: Option<PlatformKind>) -> Result<Value, Vec<Finding>> {
    let mut findings = refusals(document, platform);
    let refused = findings.len();
    check_identity(document, &mut findings);
    let properties = &SCHEMAS.open_api["properties"];
    match document.get("spec") {
        Some(spec) => check_shape(&properties["spec"], spec, "spec", &mut findings),
        None => findings.push(Finding { path: String::new(), message: "spec is missing".to_owned() }),
    }
    if let Value::Object(fields) = document {
        for key in
            fields.keys().filter(|key| !["apiVersion", "kind", "metadata", "spec", "status"].contains(&key.as_str()))
        {
            findings.push(unknown_field(key, key, ["apiVersion", "kind", "metadata", "spec"].into_iter()));
        }
    }
    // The rules can rely on types.
    if findings.len() > refused {
        return Err(findings);
    }

    let full = apply_defaults(&SCHEMAS.open_api, document);
    if let Err(errors) = Validator::new().validate_compiled(&SCHEMAS.compiled, &full, old) {
        findings.extend(errors.into_vec().into_iter().map(from_rule));
    }
    check_semantics(&full, &mut findings);
    if findings.is_empty() { Ok(full) } else { Err(findings) }
}

fn check_identity(document: &Value, findings: &mut Vec<Finding>) {
    let mut expect = |path: &str, expected: &str| match document.pointer(&format!("/{path}")).and_then(Value::as_str) {
        Some(found) if found == expected => {}
        Some(found) => {
            findings.push(Finding { path: path.to_owned(), message: format!("is {found:?}; write {expected}") })
        }
        None => {
            findings.push(Finding { path: path.to_owned(), message: format!("is missing; write {path}: {expected}") })
        }
    };
    expect("apiVersion", API_VERSION);
    expect("kind", "MaiInstance");
    if document.pointer("/metadata/name").and_then(Value::as_str).is_none_or(str::is_empty) {
        findings.push(Finding {
            path: "metadata.name".to_owned(),
            message: "is missing; every instance needs a name of its own".to_owned(),
        });
    }
}

fn from_rule(error: ValidationError) -> Finding {
    let message = match error.kind {
        ErrorKind::ValidationFailure => error.message,
        _ => format!("the rule `{}` could not be evaluated: {}", error.rule, error.message),
    };
    Finding { path: error.field_path, message }
}

/// Adds what does not match a schema: types, required and unknown fields, enumerations and lengths,
/// all the way down.
pub fn check_shape(schema: &Value, value: &Value, path: &str, findings: &mut Vec<Finding>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let mut report = |message: String| findings.push(Finding { path: path.to_owned(), message });
    match (schema["type"].as_str().unwrap_or_default(), value) {
        ("object", Value::Object(fields)) => check_object(schema, fields, path, findings),
        ("array", Value::Array(items)) => {
            if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
                report(format!("has {} entries; at most {most} are allowed", items.len()));
            }
            for (index, item) in items.iter().enumerate() {
                check_shape(&schema["items"], item, &format!("{path}[{index}]"), findings);
            }
        }
        ("string", Value::String(text)) => {
            if let Some(most) = schema["maxLength"].as_u64().filter(|most| text.chars().count() as u64 > *most) {
                report(format!("is longer than {most} characters"));
            }
            if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(value)) {
                let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
                let hint = nearest(text, choices.iter().copied())
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                report(format!("{text:?} is not one of {}{hint}", choices.join(", ")));
            }
        }
        ("integer", Value::Number(number)) if number.is_i64() => {}
        ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) | ("", _) => {}
        (wanted, found) => report(format!("must be {}, not {}", article(wanted), describe(found))),
    }
}

fn check_object(schema: &Value, fields: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| fields.len() as u64 > *most) {
        findings.push(Finding {
            path: path.to_owned(),
            message: format!("has {} entries; at most {most} are allowed", fields.len()),
        });
    }
    let additional = &schema["additionalProperties"];
    if additional.is_object() {
        for (key, value) in fields {
            check_shape(additional, value, &format!("{path}.{key}"), findings);
        }
        return;
    }
    let Some(known) = schema["properties"].as_object() else { return };
    for (key, value) in fields {
        match known.get(key) {
            Some(inner) => check_shape(inner, value, &format!("{path}.{key}"), findings),
            None => findings.push(unknown_field(&format!("{path}.{key}"), key, known.keys().map(String::as_str))),
        }
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            findings.push(Finding { path: path.to_owned(), message: format!("{required} is missing") });
        }
    }
}

fn unknown_field<'a>(path: &str, key: &str, known: impl Iterator<Item = &'a str> + Clone) -> Finding {
    let message = match nearest(key, known.clone()) {
        Some(near) => format!("unknown field {key:?}; did you mean {near}?"),
        None => format!("unknown field {key:?}; known here are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Finding { path: path.to_owned(), message }
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn article(wanted: &str) -> String {
    match wanted {
        "object" => "a mapping".to_owned(),
        "array" => "a list".to_owned(),
        "integer" => "a whole number".to_owned(),
        "string" => "text (put it in quotes)".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => format!("a {other}"),
    }
}

fn describe(found: &Value) -> String {
    match found {
        Value::Null => "empty".to_owned(),
        Value::Bool(flag) => format!("the truth value {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(spec: Value) -> Value {
        json!({"apiVersion": API_VERSION, "kind": "MaiInstance", "metadata": {"name": "companyabc"}, "spec": spec})
    }

    fn findings(spec: Value) -> Vec<String> {
        match check(&document(spec), None, None) {
            Ok(_) => Vec::new(),
            Err(findings) => {
                findings.into_iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
            }
        }
    }

    const SECRET_KEY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

    #[test]
    fn the_smallest_document_is_filled_with_defaults() {
        let full = check(&document(json!({"displayName": "Company ABC"})), None, None).unwrap();
        assert_eq!(full["spec"]["access"]["maxUsers"], 20);
        assert_eq!(full["spec"]["storage"]["data"]["size"], "10Gi");
        serde_json::from_value::<MaiInstance>(full).unwrap();
    }

    #[test]
    fn every_rule_compiles() {
        fn walk(schema: &CompiledSchema) {
            assert!(!schema.has_errors(), "{:?}", schema.compilation_errors());
        }
        walk(&SCHEMAS.compiled);
        let text = SCHEMAS.open_api.to_string();
        assert!(text.matches("x-kubernetes-validations").count() > 30, "the rules are in the schema");
    }

    #[test]
    fn each_rule_answers_with_its_own_words() {
        let cases = [
            (json!({"displayName": ""}), "spec.displayName: displayName must have 1 to 80 characters"),
            (
                json!({"displayName": "A", "expose": {"port": 70000}}),
                "spec.expose.port: expose.port must be 1 to 65535",
            ),
            (
                json!({"displayName": "A", "expose": {"prot": 1}}),
                "spec.expose.prot: unknown field \"prot\"; did you mean port?",
            ),
            (
                json!({"displayName": "A", "expose": {"port": "80"}}),
                "spec.expose.port: must be a whole number, not the text \"80\"",
            ),
            (
                json!({"displayName": "A", "deletionPolicy": "retain"}),
                "spec.deletionPolicy: \"retain\" is not one of Retain, Snapshot, Delete; did you mean Retain?",
            ),
            (
                json!({"displayName": "A", "storage": {"data": {"size": "ten"}}}),
                "spec.storage.data.size: a volume's size must be a quantity above 0 such as 10Gi",
            ),
            (
                json!({"displayName": "A", "openRouter": {"mock": true, "apiKeySecretRef": {"name": "s", "key": "k"}}}),
                "spec.openRouter: openRouter.mock and a key exclude each other: remove mock to use the real upstream, or the key to try things out",
            ),
            (
                json!({"displayName": "A", "openRouter": {"apiKeySecretRef": {"name": "s"}}}),
                "spec.openRouter.apiKeySecretRef: a secret reference needs name and key (letters, digits, dashes, dots, underscores), or name: \"env:VARIABLE\" alone",
            ),
            (
                json!({"displayName": "A", "openRouter": {"markup": "0.0"}}),
                "spec.openRouter.markup: openRouter.markup must be a decimal above 0 in quotes, such as \"1.3\"",
            ),
            (
                json!({"displayName": "A", "access": {"signup": "Closed"}}),
                "spec.access: access.signup Closed needs access.admin: without a declared admin nobody could ever sign in",
            ),
            (
                json!({"displayName": "A", "health": {"timeout": "60s"}}),
                "spec.health: health.timeout may not exceed health.interval",
            ),
            (
                json!({"displayName": "A", "backup": {"schedule": "often"}}),
                "spec.backup.schedule: backup.schedule must be a cron line",
            ),
            (
                json!({"displayName": "A", "backup": {"schedule": "99 2 * * *"}}),
                "spec.backup.schedule: \"99 2 * * *\" is not a schedule",
            ),
            (
                json!({"displayName": "A", "backup": {"schedule": "0 0 30 2 *"}}),
                "spec.backup.schedule: \"0 0 30 2 *\" is never due: no day of the next eight years fits it",
            ),
            (
                json!({"displayName": "A", "backup": {"encryption": {"recipients": [
                    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwq"
                ]}}}),
                "spec.backup.encryption.recipients[0]: \"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwq\" has a typing error",
            ),
            (
                json!({"displayName": "A", "backup": {"encryption": {"recipients": [SECRET_KEY]}}}),
                "spec.backup.encryption.recipients[0]: is a secret key",
            ),
            (
                json!({"displayName": "A", "backup": {"destinations": [
                    {"name": "nas", "local": {"path": "/nas"}}, {"name": "nas", "local": {"path": "/other"}}
                ]}}),
                "spec.backup.destinations[1]: a destination named nas stands above",
            ),
            (
                json!({"displayName": "A", "storage": {"data": {"hostPath": "/srv/a"}}, "backup": {"destinations": [
                    {"name": "nas", "local": {"path": "/srv/a/backups"}}
                ]}}),
                "spec.backup.destinations[0].local.path: /srv/a/backups is in /srv/a",
            ),
            (
                json!({"displayName": "A", "server": {"trustedProxies": ["10.0.0.0/8", "10.0.0.0/33"]}}),
                "spec.server.trustedProxies[1]: \"10.0.0.0/33\" is no IP address and no network such as 10.0.0.0/8",
            ),
            (
                json!({"displayName": "A", "server": {"kind": "OpenWebUI", "trustedProxies": ["10.0.0.1"]}}),
                "spec.server: server.trustedProxies has no effect on Open WebUI",
            ),
            (
                json!({"displayName": "A", "server": {"allowedUpstreamNetworks": ["10.0.0.0/8", "fd00::/129"]}}),
                "spec.server.allowedUpstreamNetworks[1]: \"fd00::/129\" is no IP address and no network",
            ),
            (
                json!({"displayName": "A", "server": {"kind": "OpenWebUI", "allowedUpstreamNetworks": ["10.0.0.1"]}}),
                "spec.server: server.allowedUpstreamNetworks has no effect on Open WebUI",
            ),
            (
                json!({"displayName": "A", "server": {"timeZone": "Europe/Krakow"}}),
                "spec.server.timeZone: \"Europe/Krakow\" is not a known time zone",
            ),
            (
                json!({"displayName": "A", "server": {"kind": "OpenWebUI", "timeZone": "Europe/Warsaw"}}),
                "spec.server: server.timeZone has no effect on Open WebUI",
            ),
            (
                json!({"displayName": "A", "server": {"kind": "OpenWebUI"}, "openRouter": {"creditFee": "0.055"}}),
                "spec: openRouter.markup, creditFee and monthlyLimitUsd have no effect with server.kind OpenWebUI",
            ),
            (
                json!({"displayName": "A", "server": {"kind": "OpenWebUI"}, "privacy": {"zdr": true}}),
                "spec: privacy has no effect with server.kind OpenWebUI",
            ),
            (
                json!({"displayName": "A", "privacy": {"zdr": true}, "openRouter": {"baseUrl": "https://openrouter.ai.example.com/api/v1"}}),
                "spec: privacy.zdr, noTraining and region are kept by OpenRouter alone",
            ),
            (
                json!({"displayName": "A", "privacy": {"noTraining": true}, "openRouter": {"baseUrl": "http://openrouter.ai/api/v1"}}),
                "spec: privacy.zdr, noTraining and region are kept by OpenRouter alone",
            ),
            (
                json!({"displayName": "A", "privacy": {"region": "EU"}, "openRouter": {"baseUrl": "https://us.openrouter.ai/api/v1"}}),
                "spec: privacy.zdr, noTraining and region are kept by OpenRouter alone",
            ),
            (
                json!({"displayName": "A", "openRouter": {"creditFee": "5.5"}}),
                "spec.openRouter.creditFee: openRouter.creditFee must be a decimal from 0 to 0.9999 in quotes",
            ),
            (
                json!({"displayName": "A", "backup": {"timeZone": "Europe/Krakow"}}),
                "spec.backup.timeZone: \"Europe/Krakow\" is not a known time zone",
            ),
            (
                json!({"displayName": "A", "restoreFrom": {"backup": "20261130-020000-1f2e3d", "file": "a.tar"}}),
                "spec.restoreFrom: a restore takes at most one of backup, time and file",
            ),
            (
                json!({"displayName": "A", "restoreFrom": {"instance": "brightlabs"}}),
                "spec.restoreFrom: the backups volume of another instance cannot be read",
            ),
            (
                json!({"displayName": "A", "restoreFrom": {"destination": "s3", "instance": "b", "file": "a.tar"}}),
                "spec.restoreFrom: a file is named by its path below the destination",
            ),
            (
                json!({"displayName": "A", "restoreFrom": {"destination": "s3", "file": "../a.tar"}}),
                "spec.restoreFrom.file: file must be a path below the destination",
            ),
            (
                json!({"displayName": "A", "restoreFrom": {"destination": "nas"}}),
                "spec: restoreFrom.destination must be the name of one of backup.destinations",
            ),
            (
                json!({"displayName": "A", "resources": {"requests": {"memory": "4Gi"}, "limits": {"memory": "2Gi"}}}),
                "spec.resources: resources.requests.memory may not exceed resources.limits.memory",
            ),
            (
                json!({"displayName": "A", "server": {"env": [{"name": "PORT", "value": "1"}]}}),
                "spec.server.env: server.env may not set PORT",
            ),
            (
                json!({"displayName": "A", "expose": {"ingress": {}, "gateway": {"name": "g"}, "host": "a.example"}}),
                "spec.expose: expose.ingress and expose.gateway exclude each other",
            ),
            (
                json!({"displayName": "A", "expose": {"address": "localhost"}}),
                "spec.expose.address: expose.address must be an IP address",
            ),
            (
                json!({"displayName": "A", "storage": {"data": {"size": "1Gi", "hostPath": "/a", "volumeName": "b"}}}),
                "spec.storage.data: a volume takes at most one of hostPath, volumeName and storageClassName",
            ),
            (
                json!({"displayName": "A", "upgrade": {"window": {"start": "25:00", "duration": "1h"}}}),
                "spec.upgrade.window.start: upgrade.window.start must be a time in quotes",
            ),
            (
                json!({"displayName": "A", "upgrade": {"window": {"start": "22:00", "duration": "169h"}}}),
                "spec.upgrade.window.duration: upgrade.window.duration may not exceed 168h, a week",
            ),
            (
                json!({"displayName": "A", "upgrade": {"settle": "24h1s"}}),
                "spec.upgrade.settle: upgrade.settle must be a duration of up to 24h",
            ),
        ];
        for (spec, expected) in cases {
            let found = findings(spec);
            assert!(found.iter().any(|line| line.starts_with(expected)), "expected {expected:?}, found {found:#?}");
            assert!(!found.iter().any(|line| line.contains(SECRET_KEY)), "{found:#?}");
        }
    }

    #[test]
    fn what_may_not_change_is_compared_with_what_stood() {
        let old =
            check(&document(json!({"displayName": "A", "storage": {"data": {"size": "10Gi"}}})), None, None).unwrap();
        for (spec, expected) in [
            (
                json!({"displayName": "A", "storage": {"data": {"size": "5Gi"}}}),
                "a volume's size may grow and never shrink",
            ),
            (json!({"displayName": "A", "server": {"kind": "OpenWebUI"}}), "server.kind cannot change"),
        ] {
            let Err(found) = check(&document(spec), Some(&old), None) else { panic!("{expected} was not reported") };
            assert!(found.iter().any(|finding| finding.message.starts_with(expected)), "{found:?}");
        }
        assert!(
            check(&document(json!({"displayName": "A", "storage": {"data": {"size": "20Gi"}}})), Some(&old), None)
                .is_ok()
        );
    }

    #[test]
    fn restore_of_a_new_instance_changes_until_it_was_used() {
        let with = |backup: Option<&str>| {
            let from = backup.map(|backup| json!({"restoreFrom": {"backup": backup}}));
            let mut spec = json!({"displayName": "A"});
            spec.as_object_mut().unwrap().extend(from.iter().flat_map(|from| from.as_object().unwrap().clone()));
            document(spec)
        };
        let (one, other) = ("20261130-020000-1f2e3d", "20261201-020000-1f2e3d");
        let step = |cause: &str, step: &str| Some(json!({"restore": {"cause": cause, "step": step}}));
        for (before, after, status, refused) in [
            (None, Some(one), None, Some("restoreFrom cannot be added to an instance that exists")),
            (Some(one), None, step("NewInstance", "Completed"), None),
            (Some(one), Some(one), step("NewInstance", "Completed"), None),
            (Some(one), Some(other), None, None),
            (Some(one), Some(other), step("NewInstance", "Failed"), None),
            (Some(one), Some(other), step("NewInstance", "Completed"), Some("spec.restoreFrom was used")),
            (Some(one), Some(other), step("Request", "Failed"), Some("spec.restoreFrom was used")),
        ] {
            let mut old = with(before);
            old["status"] = status.unwrap_or(json!({}));
            let found = check(&with(after), Some(&old), None).err().unwrap_or_default();
            assert_eq!(found.is_empty(), refused.is_none(), "{before:?} {after:?} {old}: {found:?}");
            assert!(refused.is_none_or(|refused| found[0].message.starts_with(refused)), "{found:?}");
        }
    }

    #[test]
    fn a_name_must_fit_what_is_named_after_it() {
        for name in ["Company", "1abc", "a_b", "a-", &"a".repeat(41)] {
            let document = json!({"apiVersion": API_VERSION, "kind": "MaiInstance", "metadata": {"name": name}, "spec": {"displayName": "A"}});
            assert!(check(&document, None, None).is_err(), "{name}");
        }
    }
}
