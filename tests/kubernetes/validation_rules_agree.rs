//! `mai validate` and the API server refuse what the rules of the CRD forbid with the same message.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::cluster;
use super::environment::Environment;

/// Invalid lines below `spec:`, and the message about them.
const BROKEN: &[(&str, &str)] = &[
    ("{displayName: ''}", "displayName must have 1 to 80 characters"),
    (
        "{image: 'Mai Production'}",
        "image must be an image reference such as mai-production:1.4.0 or registry.example.com/mai@sha256:...",
    ),
    (
        "{openRouter: {mock: true}, ollama: {baseUrl: 'http://ollama:11434'}}",
        "openRouter.mock answers every model itself: remove ollama or set openRouter.mock to false",
    ),
    (
        "{openRouter: {mock: true}, server: {kind: OpenWebUI}}",
        "openRouter.mock is part of mai's own server: set server.kind to Mai, or openRouter.mock to false",
    ),
    (
        "{privacy: {zdr: true}, server: {kind: OpenWebUI}}",
        "privacy has no effect with server.kind OpenWebUI, which has no such settings; remove it",
    ),
    (
        "{privacy: {zdr: true}, openRouter: {baseUrl: 'https://llm.example.com/v1'}}",
        "privacy.zdr, noTraining and region are kept by OpenRouter alone: set openRouter.baseUrl to https://openrouter.ai/api/v1, or remove them",
    ),
    (
        "{deletionPolicy: Delete, server: {kind: Custom}}",
        "deletionPolicy Delete and Snapshot are refused for server.kind Custom: where such an image keeps other data is not known; use Retain",
    ),
    (
        "{deletionPolicy: Snapshot, backup: {encryption: {recipients: [age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj]}}}",
        "deletionPolicy Snapshot needs a backup that can be verified: declare backup.encryption.identitySecretRef, or use Retain",
    ),
    (
        "{access: {signup: Closed}}",
        "access.signup Closed needs access.admin: without a declared admin nobody could ever sign in",
    ),
    (
        "{access: {admin: {email: boss, passwordSecretRef: {name: a, key: b}}}}",
        "access.admin.email must be an e-mail address",
    ),
    ("{access: {maxUsers: 0}}", "access.maxUsers must be 1 to 1000"),
    (
        "{openRouter: {apiKeySecretRef: {name: upstream}}}",
        "a secret reference needs name and key (letters, digits, dashes, dots, underscores), or name: \"env:VARIABLE\" alone",
    ),
    (
        "{openRouter: {apiKeySecretRef: {name: upstream, key: 'a key'}}}",
        "a secret reference needs name and key (letters, digits, dashes, dots, underscores), or name: \"env:VARIABLE\" alone",
    ),
    (
        "{openRouter: {apiKeySecretRef: {name: Upstream, key: key}}}",
        "must be the name of a Secret (lower-case letters, digits, dashes, dots) or env:VARIABLE",
    ),
    (
        "{openRouter: {mock: true, apiKeySecretRef: {name: upstream, key: key}}}",
        "openRouter.mock and a key exclude each other: remove mock to use the real upstream, or the key to try things out",
    ),
    (
        "{openRouter: {baseUrl: openrouter.ai}}",
        "openRouter.baseUrl must be an http or https URL such as https://openrouter.ai/api/v1",
    ),
    ("{openRouter: {markup: '0.0'}}", "openRouter.markup must be a decimal above 0 in quotes, such as \"1.3\""),
    (
        "{openRouter: {creditFee: '5.5'}}",
        "openRouter.creditFee must be a decimal from 0 to 0.9999 in quotes, such as \"0.055\"",
    ),
    (
        "{server: {kind: OpenWebUI}, openRouter: {markup: '1.3'}}",
        "openRouter.markup, creditFee and monthlyLimitUsd have no effect with server.kind OpenWebUI, which knows no prices; remove them",
    ),
    ("{server: {timeZone: 'Europe Warsaw'}}", "server.timeZone must be an IANA name such as Europe/Warsaw"),
    (
        "{server: {kind: OpenWebUI, timeZone: Europe/Warsaw}}",
        "server.timeZone has no effect on Open WebUI, which counts no usage; remove it",
    ),
    (
        "{openRouter: {models: ['a b']}}",
        "openRouter.models must hold model ids such as anthropic/claude-sonnet-4, without spaces or commas",
    ),
    ("{openRouter: {monthlyLimitUsd: 0}}", "openRouter.monthlyLimitUsd must be 1 to 1000000 (USD)"),
    (
        "{openRouter: {managementKeySecretRef: {name: account, key: key}, apiKeySecretRef: {name: upstream, key: key}}}",
        "openRouter.apiKeySecretRef and managementKeySecretRef exclude each other: name the client's key, or the management key with which mai makes one",
    ),
    (
        "{openRouter: {keyRotation: {everyDays: 90}}}",
        "openRouter.keyRotation is about the key that mai makes: declare openRouter.managementKeySecretRef, or remove it",
    ),
    (
        "{openRouter: {managementKeySecretRef: {name: account, key: key}, keyRotation: {everyDays: 0}}}",
        "openRouter.keyRotation.everyDays must be 1 to 3650",
    ),
    (
        "{openRouter: {managementKeySecretRef: {name: account, key: key}, keyRotation: {gracePeriod: 1d}}}",
        "openRouter.keyRotation.gracePeriod must be a duration such as 10m",
    ),
    (
        "{ollama: {baseUrl: 'ollama:11434'}}",
        "ollama.baseUrl must be an http or https URL such as http://host.docker.internal:11434",
    ),
    ("{backup: {destinations: [{name: nas}]}}", "a backup destination needs exactly one of s3 and local"),
    (
        "{backup: {destinations: [{name: nas, local: {path: /nas/../etc}}]}}",
        "local.path must be an absolute path without .. and not the root",
    ),
    (
        "{backup: {destinations: [{name: backups, local: {path: /nas}}]}}",
        "a destination's name must be lower-case letters, digits and dashes, and not backups, which is the backups volume",
    ),
    (
        "{backup: {destinations: [{name: s3, s3: {bucket: b, endpoint: minio, accessKeyIdRef: {name: s, key: i}, secretAccessKeyRef: {name: s, key: k}}}]}}",
        "s3.endpoint must be an http or https URL",
    ),
    (
        "{backup: {encryption: {recipients: [age2abc]}}}",
        "backup.encryption.recipients must hold age public keys (age1 and 58 letters and digits)",
    ),
    (
        "{backup: {retention: {keepLast: 0, keepHourly: 0, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepYearly: 0}}}",
        "backup.retention counts must be 0 to 1000 and keep at least one backup",
    ),
    (
        "{backup: {schedule: nightly}}",
        "backup.schedule must be a cron line of five fields such as \"0 2 * * *\", or @hourly, @daily, @weekly, @monthly, @yearly, or one of the first four with -random",
    ),
    ("{backup: {timeZone: '+02:00'}}", "backup.timeZone must be an IANA name such as Europe/Warsaw"),
    (
        "{restoreFrom: {backup: 20261130-020000-1f2e3d, file: a.tar}}",
        "a restore takes at most one of backup, time and file",
    ),
    (
        "{restoreFrom: {instance: brightlabs}}",
        "the backups volume of another instance cannot be read; name a destination that both instances have",
    ),
    (
        "{restoreFrom: {destination: s3, instance: brightlabs, file: a.tar}}",
        "a file is named by its path below the destination, whatever instance it is of: remove instance",
    ),
    ("{restoreFrom: {destination: s3, instance: Bright}}", "instance must be the name of a MaiInstance"),
    ("{restoreFrom: {backup: newest}}", "backup must be the id of a backup such as 20261130-020000-1f2e3d"),
    ("{restoreFrom: {file: ../a.tar}}", "file must be a path below the destination, without .."),
    (
        "{restoreFrom: {destination: s3}, backup: {}}",
        "restoreFrom.destination must be the name of one of backup.destinations, or backups, the backups volume",
    ),
    (
        "{expose: {host: a.example.com, ingress: {}, gateway: {name: g}}}",
        "expose.ingress and expose.gateway exclude each other: keep the one your cluster has",
    ),
    ("{expose: {ingress: {}}}", "expose.host is needed for an ingress or a gateway route"),
    ("{expose: {address: localhost}}", "expose.address must be an IP address such as 127.0.0.1 or 0.0.0.0"),
    ("{expose: {host: 'https://a.example.com'}}", "expose.host must be a host name such as abc.example.com"),
    ("{expose: {labels: {mai.dev/owner: me}}}", "expose.labels may not begin with mai.dev/, which is reserved"),
    ("{expose: {port: 70000}}", "expose.port must be 1 to 65535"),
    (
        "{server: {trustedProxies: [proxy.example.com]}}",
        "server.trustedProxies takes IP addresses and networks such as 10.42.0.0/16",
    ),
    (
        "{server: {kind: OpenWebUI, trustedProxies: [10.42.0.0/16]}}",
        "server.trustedProxies has no effect on Open WebUI, which has no setting for it; remove it",
    ),
    (
        "{server: {allowedUpstreamNetworks: [intranet.example.com]}}",
        "server.allowedUpstreamNetworks takes IP addresses and networks such as 10.1.0.0/16",
    ),
    (
        "{server: {kind: OpenWebUI, allowedUpstreamNetworks: [10.1.0.0/16]}}",
        "server.allowedUpstreamNetworks has no effect on Open WebUI, which calls any address; remove it",
    ),
    (
        "{server: {corsAllowedOrigins: ['https://app.example.com/']}}",
        "server.corsAllowedOrigins takes origins such as https://app.example.com, without a path, or * for any",
    ),
    (
        "{server: {kind: OpenWebUI, corsAllowedOrigins: ['*']}}",
        "server.corsAllowedOrigins has no effect on Open WebUI; set CORS_ALLOW_ORIGIN in server.env, with its own address among the origins",
    ),
    ("{health: {interval: 5s, timeout: 6s}}", "health.timeout may not exceed health.interval"),
    ("{health: {interval: 0s}}", "health.interval must be a duration above 0 such as 30s"),
    ("{health: {path: ready}}", "health.path must start with / and hold no spaces"),
    ("{health: {retries: 0}}", "health.retries must be 1 to 100"),
    ("{health: {startPeriod: soon}}", "health.startPeriod must be a duration above 0 such as 60s"),
    ("{health: {timeout: '10'}}", "health.timeout must be a duration above 0 such as 10s"),
    (
        "{resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}",
        "resources.requests.memory may not exceed resources.limits.memory",
    ),
    (
        "{resources: {requests: {cpu: '2'}, limits: {cpu: 1500m}}}",
        "resources.requests.cpu may not exceed resources.limits.cpu",
    ),
    ("{resources: {limits: {cpu: '0'}}}", "cpu must be a quantity above 0 such as \"1\" or 500m"),
    ("{resources: {limits: {memory: 2GB}}}", "memory must be a quantity of at least 32Mi such as 2Gi"),
    (
        "{server: {env: [{name: PORT, value: '80'}]}}",
        "server.env may not set PORT, HOST, DATA_DIR, WEBUI_NAME, WEBUI_SECRET_KEY, OPENAI_API_KEY or MAI_EXIT_WITH_STDIN: fields of the spec set them",
    ),
    ("{server: {env: [{name: A}]}}", "an environment variable needs either value or secretRef"),
    ("{server: {env: [{name: 1A, value: b}]}}", "must be letters, digits and underscores, and not start with a digit"),
    (
        "{storage: {data: {size: 1Gi, hostPath: /srv/a, volumeName: a}}}",
        "a volume takes at most one of hostPath, volumeName and storageClassName",
    ),
    ("{storage: {data: {size: 1Gi, hostPath: srv}}}", "hostPath must be an absolute path without .. and not the root"),
    ("{storage: {data: {size: '0'}}}", "a volume's size must be a quantity above 0 such as 10Gi"),
    (
        "{storage: {data: {size: 1Gi, volumeName: 'a b'}}}",
        "volumeName must be letters, digits, dots, dashes and underscores",
    ),
    (
        "{upgrade: {window: {start: '22:00', duration: long}}}",
        "upgrade.window.duration must be a duration above 0 such as 4h",
    ),
    ("{upgrade: {window: {start: '22:00', duration: 169h}}}", "upgrade.window.duration may not exceed 168h, a week"),
    ("{upgrade: {settle: 25h}}", "upgrade.settle must be a duration of up to 24h such as 10m"),
    ("{upgrade: {settle: soon}}", "upgrade.settle must be a duration of up to 24h such as 10m"),
    (
        "{upgrade: {window: {start: 10 PM, duration: 4h}}}",
        "upgrade.window.start must be a time in quotes such as \"22:00\"",
    ),
    (
        "{upgrade: {window: {start: '22:00', duration: 4h, timeZone: '+02:00'}}}",
        "upgrade.window.timeZone must be an IANA name such as Europe/Warsaw",
    ),
    (
        "{server: {kind: OpenWebUI}, access: {maxUsers: 5}}",
        "access.maxUsers has no effect with server.kind OpenWebUI: Open WebUI does not limit accounts; remove it",
    ),
    (
        "{backup: {destinations: [{name: nas, local: {path: /nas}}]}}",
        "backup.destinations[].local has no effect on Kubernetes: a backup job may run on any node, and this is a directory of one; remove it; the backups volume and s3 work in a cluster",
    ),
    (
        "{expose: {port: 8001}}",
        "expose.port has no effect on Kubernetes: the Service mai-NAME serves port 8080 inside the cluster; remove it, and declare expose.host with expose.ingress or expose.gateway for access from outside",
    ),
    (
        "{expose: {address: 127.0.0.1}}",
        "expose.address has no effect on Kubernetes: the Service mai-NAME serves port 8080 inside the cluster; remove it, and declare expose.host with expose.ingress or expose.gateway for access from outside",
    ),
    (
        "{expose: {networks: [web]}}",
        "expose.networks has no effect on Kubernetes: a pod has the network of the cluster; remove it; the NetworkPolicy of the instance limits who may reach it",
    ),
    (
        "{storage: {data: {hostPath: /srv/a}}}",
        "storage.data.hostPath has no effect on Kubernetes: a pod may run on any node, and this is a directory of one; remove it, or name an existing claim in volumeName",
    ),
    (
        "{storage: {backups: {hostPath: /srv/a}}}",
        "storage.backups.hostPath has no effect on Kubernetes: a pod may run on any node, and this is a directory of one; remove it, or name an existing claim in volumeName",
    ),
];

const NAME_RULE: &str = "metadata.name must be at most 40 lower-case letters, digits and dashes, start with a letter and end with a letter or digit; it names containers, volumes and services";

fn name(index: usize) -> String {
    format!("broken-{index:02}")
}

/// Returns the documents of the table and one with a name that is too long.
fn documents() -> Vec<(String, String, &'static str)> {
    let document = |name: &str, spec: &str| {
        let spec =
            if spec.contains("displayName") { spec.to_owned() } else { spec.replacen('{', "{displayName: A, ", 1) };
        format!("apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let mut documents: Vec<_> = (BROKEN.iter().enumerate())
        .map(|(index, (spec, message))| (name(index), document(&name(index), spec), *message))
        .collect();
    let long = "a".repeat(41);
    documents.push((long.clone(), document(&long, "{displayName: A}"), NAME_RULE));
    documents
}

/// Returns the refusals of the API server by document name.
fn refusals(env: &Environment, documents: &[(String, String, &str)]) -> impl Fn(&str) -> String {
    let all: Vec<&str> = documents.iter().map(|(_, document, _)| document.as_str()).collect();
    let output = env.try_kubectl(&["apply", "--dry-run=server", "-f", "-"], &all.join("---\n")).unwrap_err();
    move |name| {
        let it = format!("\"{name}\" is invalid");
        let section = output.split("Error from server").find(|section| section.contains(&it));
        section.unwrap_or_else(|| panic!("nothing is said of {name}: {output}")).to_owned()
    }
}

/// Returns the findings of `mai validate` by file.
fn findings(documents: &[(String, String, &str)]) -> impl Fn(&str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, document, _) in documents {
        std::fs::write(directory.path().join(format!("{name}.yaml")), document).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_mai"))
        .args(["validate", "--runtime", "kubernetes", "-o", "json"])
        .arg(directory.path())
        .output();
    let verdict: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let findings = verdict["findings"].as_array().unwrap().clone();
    move |name| {
        let file = format!("{name}.yaml");
        let of_it = findings.iter().filter(|finding| finding["file"].as_str().unwrap().ends_with(&file));
        of_it
            .filter(|finding| finding["severity"] == "error")
            .map(|finding| finding["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn api_server_and_validate_refuse_with_the_same_message() {
    let _shared = cluster::shared();
    let env = Environment::new("rules");
    let documents = documents();
    let (refusal, finding) = (refusals(&env, &documents), findings(&documents));
    let mut differing = Vec::new();
    for (name, document, message) in &documents {
        let (refusal, finding) = (refusal(name), finding(name));
        // validate can check more: schedules and time zones.
        if !refusal.contains(message) || !finding.iter().any(|found| found == message) {
            differing.push(format!("{document}API server: {refusal}\nvalidate: {finding:?}\nexpected: {message}\n"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn table_covers_every_rule_of_the_crd() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/maiinstances.yaml");
    let definition: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut rules = BTreeSet::new();
    collect(&definition, &mut rules);
    assert!(rules.len() > 50, "rules are not found in the definition: {rules:?}");
    let covered: BTreeSet<String> = documents().into_iter().map(|(.., message)| message.to_owned()).collect();
    let missing: Vec<_> = rules.difference(&covered).collect();
    assert!(missing.is_empty(), "no test breaks these rules: {missing:#?}");
}

/// Collects the messages of all rules, except those about a change, which a single document cannot
/// violate.
fn collect(node: &Value, messages: &mut BTreeSet<String>) {
    match node {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                if !rule["rule"].as_str().unwrap().contains("oldSelf") {
                    messages.insert(rule["message"].as_str().unwrap().to_owned());
                }
            }
            fields.values().for_each(|field| collect(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
        _ => {}
    }
}
