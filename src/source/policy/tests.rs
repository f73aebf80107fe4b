//! The policy as tables: what is written, what a document declares, what is refused.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::*;
use crate::api::{MaiInstanceSpec, PlatformKind};

const HEAD: &str = "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\n";
const SHOWN: &str = "/etc/mai/policy.yaml";

fn policy(text: &str) -> Policy {
    Policy::parse(SHOWN, &format!("{HEAD}{text}")).unwrap()
}

fn spec(more: Value) -> MaiInstanceSpec {
    let mut spec = json!({"displayName": "A"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let document =
        json!({"apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": "a"}, "spec": spec});
    let full = crate::api::check(&document, None, None).unwrap();
    serde_json::from_value(full["spec"].clone()).unwrap()
}

/// Returns the refusals of a document of `folder`, as lines.
fn refused(policy: &Policy, folder: &str, platform: Option<PlatformKind>, more: Value) -> Vec<String> {
    let (spec, claims) = (spec(more), Claims::default());
    let key = ("default".to_owned(), "a".to_owned());
    let author = match platform {
        Some(PlatformKind::Kubernetes) => Author::Namespace("default"),
        _ => Author::Folder(folder),
    };
    let subject = Subject { author, key: &key, spec: &spec, platform, claims: &claims };
    policy
        .refusals(&subject)
        .into_iter()
        .map(|Refusal { finding, .. }| format!("{}: {}", finding.path, finding.message))
        .collect()
}

#[test]
fn nothing_of_the_host_is_reached_without_a_policy() {
    let none = Policy::without_file(SHOWN.to_owned());
    let env = |name: &str| json!({"server": {"env": [{"name": name, "value": "x"}]}});
    let of_kind = |kind: &str, name: &str| json!({"server": {"kind": kind, "env": [{"name": name, "value": "x"}]}});
    let variable = json!({"openRouter": {"apiKeySecretRef": {"name": "env:HOME"}}});
    let local = |path: &str| json!({"backup": {"destinations": [{"name": "nas", "local": {"path": path}}]}});
    for (more, platform, expected) in [
        (json!({"storage": {"data": {"hostPath": "/etc"}}}), None, "paths: [\"/etc\"]"),
        (json!({"storage": {"backups": {"hostPath": "/srv/mai"}}}), None, "paths: [\"/srv/mai\"]"),
        (json!({"storage": {"backups": {"hostPath": "/srv/maister/a"}}}), None, "paths: [\"/srv/maister/a\"]"),
        (json!({"storage": {"data": {"hostPath": "/srv/mai/a/data"}}}), None, ""),
        (json!({"storage": {"data": {"volumeName": "mai-b-data"}}}), None, "volumes: [\"mai-b-data\"]"),
        (json!({"storage": {"data": {"volumeName": "mai-a-data"}}}), None, "volumes: [\"mai-a-data\"]"),
        (json!({"storage": {"data": {"volumeName": "mai-a-data"}}}), Some(PlatformKind::Kubernetes), ""),
        (local("/var/lib"), None, "paths: [\"/var/lib\"]"),
        (local("/srv/mai/copies"), None, ""),
        (variable, None, "env: [\"HOME\"]"),
        (env("LD_PRELOAD"), None, "serverEnv: [\"LD_PRELOAD\"]"),
        (env("ANY_THING"), None, "serverEnv: [\"ANY_THING\"]"),
        (env("MAI_TIME_ZONE"), None, ""),
        (env(mai_contract::environment::SECRETS_FILE), None, "is set by mai itself"),
        (of_kind("OpenWebUI", "ENABLE_API_KEYS"), None, ""),
        (of_kind("Custom", "LD_AUDIT"), None, "serverEnv: [\"LD_AUDIT\"]"),
        (of_kind("Custom", "MAI_STATE_DIR"), None, "is set by mai itself"),
        (of_kind("Custom", "ANY_THING"), Some(PlatformKind::Process), "serverEnv: [\"ANY_THING\"]"),
        (json!({"expose": {"networks": ["db"]}}), None, "networks: [\"db\"]"),
        (json!({"server": {"allowedUpstreamNetworks": ["10.1.0.0/16"]}}), None, "upstreamNetworks: [\"10.1.0.0/16\"]"),
        (json!({"server": {"allowedUpstreamNetworks": ["0.0.0.0/0"]}}), None, "upstreamNetworks: [\"0.0.0.0/0\"]"),
        (json!({"server": {"allowedUpstreamNetworks": ["104.18.2.0/24", "2a00:1450::/32"]}}), None, ""),
        (json!({"expose": {"labels": {"traefik.enable": "true"}}}), None, "labels: [\"traefik.enable\"]"),
        (json!({"image": "anything:1", "expose": {"host": "a.example.com"}}), None, ""),
    ] {
        let found = refused(&none, "", platform, more.clone()).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{more}: {found}");
        assert!(found.contains(expected), "{more}: {found}");
        assert!(expected.is_empty() || expected.contains("itself") || found.contains(SHOWN), "{found}");
    }
}

#[test]
fn each_refusal_names_the_line_that_allows_it() {
    let written = policy(
        "paths:\n- /data\nenv: [KEY_*]\nimages:\n- r.example/*\nauthors:\n- folder: team\n  env: [TEAM]\n  networks: [web]\n",
    );
    let env = |name: &str| json!({"image": "r.example/a:1", "openRouter": {"apiKeySecretRef": {"name": format!("env:{name}")}}});
    for (folder, more, expected) in [
        ("", env("KEY_A"), ""),
        ("", env("TEAM"), "add `TEAM` to `env` in /etc/mai/policy.yaml:5"),
        ("team", env("TEAM"), ""),
        ("team/b", env("TEAM"), ""),
        ("teamster", env("TEAM"), "add `TEAM` to `env` in /etc/mai/policy.yaml:5"),
        ("team", env("OTHER"), "add `OTHER` to `authors[0].env` in /etc/mai/policy.yaml:10"),
        ("", json!({"image": "evil:1"}), "add `evil:1` to `images` in /etc/mai/policy.yaml:6"),
        (
            "team",
            json!({"image": "r.example/a:1", "expose": {"networks": ["web"]}, "storage": {"data": {"hostPath": "/data/a"}}}),
            "",
        ),
        (
            "",
            json!({"image": "r.example/a:1", "storage": {"data": {"hostPath": "/database"}}}),
            "add `/database` to `paths` in /etc/mai/policy.yaml:3",
        ),
    ] {
        let found = refused(&written, folder, None, more.clone()).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{more}: {found}");
        assert!(found.contains(expected), "{more}: {found}");
    }
}

#[test]
fn networks_of_upstreams_are_allowed_with_what_is_in_them() {
    let written = policy(
        "upstreamNetworks: [10.1.0.0/16]\nauthors:\n- folder: team\n  upstreamNetworks: [fd12::/16]\n- namespace: default\n  upstreamNetworks: [127.0.0.1]\n",
    );
    let upstream = |network: &str| json!({"server": {"allowedUpstreamNetworks": [network]}});
    for (folder, platform, network, expected) in [
        ("", None, "10.1.2.0/24", ""),
        ("", None, "10.1.0.9", ""),
        (
            "",
            None,
            "10.0.0.0/8",
            "network 10.0.0.0/8 is not allowed by the policy; add `10.0.0.0/8` to `upstreamNetworks` in /etc/mai/policy.yaml:3",
        ),
        ("", None, "fd12::1", "add `fd12::1` to `upstreamNetworks`"),
        ("team", None, "fd12::1", ""),
        ("team", None, "10.2.0.1", "add `10.2.0.1` to `authors[0].upstreamNetworks` in /etc/mai/policy.yaml:6"),
        ("", Some(PlatformKind::Kubernetes), "127.0.0.1", ""),
        ("", Some(PlatformKind::Kubernetes), "127.0.0.0/8", "add `127.0.0.0/8` to `authors[1].upstreamNetworks`"),
    ] {
        let found = refused(&written, folder, platform, upstream(network)).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{folder} {network}: {found}");
        assert!(found.contains(expected), "{network}: {found}");
    }
    let text = format!("{HEAD}upstreamNetworks: [10.0.0.0/40]\n");
    let error = Policy::parse(SHOWN, &text).unwrap_err().to_string();
    assert!(error.contains(":3:20: upstreamNetworks[0]: \"10.0.0.0/40\" is no IP address and no network"), "{error}");
}

#[test]
fn restore_of_a_cluster_reads_no_file_of_another_namespace() {
    let written = policy("restores: ['shared/*']\nauthors:\n- namespace: b\n  restores: [webui.tar.gz]\n");
    let from =
        |destination: &str, file: &str| serde_json::from_value(json!({"destination": destination, "file": file}));
    for (namespace, destination, file, expected) in [
        ("a", "s3", "a/abc/20261130-020000-1f2e3d.tar.gz", ""),
        ("a", "s3", "b/xyz/20261130-020000-1f2e3d.tar.gz", "add `b/xyz/20261130-020000-1f2e3d.tar.gz` to `restores`"),
        ("a", "s3", "a", "add `a` to `restores`"),
        ("a", "s3", "shared/x.tar.gz", ""),
        ("a", "s3", "webui.tar.gz", "file webui.tar.gz is not allowed by the policy; add `webui.tar.gz` to `restores`"),
        ("b", "s3", "webui.tar.gz", ""),
        ("a", "backups", "webui.tar.gz", ""),
    ] {
        let found = written.refuses_restore(namespace, &from(destination, file).unwrap()).unwrap_or_default();
        assert_eq!(found.is_empty(), expected.is_empty(), "{namespace} {file}: {found}");
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn host_and_port_are_of_the_folder_that_had_them_first() {
    let none = Policy::without_file(SHOWN.to_owned());
    let key = |name: &str| ("default".to_owned(), name.to_owned());
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let expose = |expose: Value| json!({"spec": {"expose": expose}});
    let mut claims = Claims::default();
    let taken = json!({"host": "a.example.com", "port": 8001});
    claims.expose(&key("old"), Some("a"), &expose(taken.clone()), at(1));
    claims.expose(&key("young"), Some("b"), &expose(taken.clone()), at(2));
    claims.expose(&key("idle"), Some("a"), &json!({"spec": {"suspend": true, "expose": {"port": 8009}}}), at(1));
    let host = "spec.expose.host: host a.example.com belongs to instance default/old of folder a";
    for (name, folder, declared, expected) in [
        ("new", "c", json!({"host": "a.example.com"}), host),
        ("new", "c", json!({"port": 8001}), "spec.expose.port: port 8001 belongs to instance default/old of folder a"),
        ("new", "c", json!({"port": 8001, "address": "127.0.0.2"}), ""),
        ("new", "c", json!({"port": 8001, "address": "0.0.0.0"}), "port 8001 belongs"),
        ("new", "c", json!({"host": "b.example.com", "port": 8002}), ""),
        ("new", "c", json!({"port": 8009}), ""),
        ("old", "a", taken.clone(), ""),
        ("young", "b", taken.clone(), host),
        ("idle", "a", json!({"port": 8001}), "belongs to instance default/young of folder b"),
    ] {
        let (spec, key) = (spec(json!({"expose": declared})), key(name));
        let subject =
            Subject { author: Author::Folder(folder), key: &key, spec: &spec, platform: None, claims: &claims };
        let found: Vec<String> = none
            .refusals(&subject)
            .into_iter()
            .map(|Refusal { finding, .. }| format!("{}: {}", finding.path, finding.message))
            .collect();
        let found = found.join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{name} {declared}: {found}");
        assert!(found.contains(expected), "{name} {declared}: {found}");
    }
}

#[test]
fn limits_count_where_they_are_written() {
    let written = policy(
        "hosts: ['*.example.com']\nkinds: [Mai]\nauthors:\n- folder: b\n  hosts: [b.example.net]\n  instances: ['b-*', a]\n- folder: c\n  instances: [c]\n",
    );
    for (folder, more, expected) in [
        ("", json!({"expose": {"host": "a.example.com"}}), "name a is not allowed here"),
        ("b", json!({"expose": {"host": "b.example.net"}}), ""),
        ("b", json!({"expose": {"host": "a.example.com"}}), "add `a.example.com` to `authors[0].hosts`"),
        ("c", json!({}), "name a is not allowed here by the policy; add `a` to `authors[1].instances`"),
        ("b", json!({"server": {"kind": "Custom"}}), "add `Custom` to `kinds`"),
    ] {
        let found = refused(&written, folder, None, more.clone()).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{folder} {more}: {found}");
        assert!(found.contains(expected), "{more}: {found}");
    }
}

#[test]
fn broken_policy_is_told_by_line_and_field() {
    for (text, expected) in [
        ("", "holds no document"),
        ("apiVersion: v1\nkind: MaiPolicy\n", ":1:1: apiVersion: must be mai.dev/v1alpha1"),
        ("apiVersion: mai.dev/v1alpha1\nkind: Policy\n", ":2:1: kind: must be MaiPolicy"),
        (&format!("{HEAD}path: [/data]\n"), ":3:1: path: unknown field \"path\"; did you mean paths?"),
        (&format!("{HEAD}paths: /data\n"), ":3:1: paths: must be a list"),
        (&format!("{HEAD}paths: [data]\n"), ":3:9: paths[0]: must be an absolute directory"),
        (&format!("{HEAD}paths: [/data/../etc]\n"), "must be an absolute directory"),
        (&format!("{HEAD}paths: [/]\n"), "not the root"),
        (&format!("{HEAD}kinds: [Mai, Open]\n"), ":3:14: kinds[1]: \"Open\" is not one of Mai, OpenWebUI, Custom"),
        (&format!("{HEAD}instances: [a]\n"), "write it into an entry of authors"),
        (&format!("{HEAD}authors:\n- env: [A]\n"), ":4:3: authors[0]: needs exactly one of folder"),
        (&format!("{HEAD}authors:\n- folder: ../b\n"), "authors[0].folder: must be a folder below"),
        (&format!("{HEAD}---\n{HEAD}"), "is a second document"),
        (&format!("{HEAD}paths: [\n"), "is not valid YAML"),
    ] {
        let error = Policy::parse(SHOWN, text).unwrap_err().to_string();
        assert!(error.starts_with("policy /etc/mai/policy.yaml:") && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn paths_are_compared_where_links_lead() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path().canonicalize().unwrap();
    fs::create_dir_all(base.join("data/a")).unwrap();
    symlink("/etc", base.join("data/link")).unwrap();
    symlink(base.join("data"), base.join("alias")).unwrap();
    symlink("/nowhere/x", base.join("data/dangling")).unwrap();
    let at = |path: &Path| json!({"storage": {"data": {"hostPath": path}}});
    let written = policy(&format!("paths: [{}]\n", base.join("alias").display()));
    for (path, expected) in [
        ("data/a", ""),
        ("alias/new/er", ""),
        ("data", ""),
        ("data/link", "leads to /etc, which is not allowed by the policy; add `/etc` to `paths`"),
        ("data/link/mai", "leads to /etc/mai, which"),
        ("data/dangling", "cannot be followed to its end"),
        ("datum", "is not allowed by the policy"),
    ] {
        let found = refused(&written, "", None, at(&base.join(path))).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{path}: {found}");
        assert!(found.contains(expected), "{path}: {found}");
    }
    let nested =
        json!({"storage": {"data": {"hostPath": base.join("data/a")}, "backups": {"hostPath": base.join("data/a/b")}}});
    assert_eq!(refused(&written, "", Some(PlatformKind::Process), nested.clone()), [""; 0]);
    assert!(refused(&written, "", Some(PlatformKind::Docker), nested)[0].contains("lies within the other"));
}

#[test]
fn places_of_others_are_not_taken() {
    let mut claims = Claims::default();
    let key = |name: &str| ("default".to_owned(), name.to_owned());
    let document = |path: &str| json!({"spec": {"storage": {"data": {"hostPath": path}}}});
    claims.add(&key("b"), Some("b/secrets"), &document("/srv/mai/b/data"));
    claims.add(&key("gone"), None, &document("/srv/mai/gone"));
    claims.add(&key("a"), Some("a"), &document("/srv/mai/a"));
    for (name, folder, path, is_refused) in [
        ("a", "a", "/srv/mai/b/data", true),
        ("a", "a", "/srv/mai/b", true),
        ("a", "a", "/srv/mai/b/data/x", true),
        ("a", "a", "/srv/mai/gone/x", true),
        ("a", "a", "/srv/mai/bee", false),
        ("a", "a", "/srv/mai/a", false),
        ("a", "a", "/srv/mai/a/below", true),
        ("c", "b", "/srv/mai/b/data", false),
        ("c", "b", "/srv/mai/b/data/x", true),
    ] {
        let problem = claims.problem(&key(name), folder, Path::new(path));
        assert_eq!(problem.is_some(), is_refused, "{name} of {folder} at {path}: {problem:?}");
    }
}

#[test]
fn secret_is_read_by_its_folder_or_by_whom_it_names() {
    let place = |scope: Option<&str>, readers: Option<&str>| SecretPlace {
        scope: scope.unwrap_or("a").to_owned(),
        is_outside: scope.is_none(),
        readers: readers.map(str::to_owned),
    };
    let none = Policy::without_file(SHOWN.to_owned());
    let strict =
        policy("secretsNeedReaders: true\nsecrets: [shared/router]\nauthors: [{folder: a, secrets: ['b/*']}]\n");
    let outside = policy("secrets: [a/router]\n");
    let (own, granted, above, named) = (Readable::Own, Readable::Granted, Readable::NamedAbove, Readable::Named);
    for (policy, folder, place, expected) in [
        (&none, "a", place(Some("a"), None), Some(own)),
        (&none, "a/secrets", place(Some("a"), None), Some(own)),
        (&none, "a", place(Some("b"), None), None),
        (&none, "", place(Some("b"), None), None),
        (&none, "a", place(Some(""), None), None),
        (&none, "a", place(None, None), None),
        (&none, "a", place(None, Some("a/")), None),
        (&none, "a", place(Some(""), Some("x, a/")), Some(above)),
        (&none, "a/deep", place(Some("b"), Some("a/")), Some(named)),
        (&none, "ab", place(Some("b"), Some("a/")), None),
        (&none, "a", place(Some("b"), Some("one")), Some(named)),
        (&none, "a", place(Some("b"), Some("default/one")), Some(named)),
        (&none, "a", place(Some("b"), Some("team/one")), None),
        (&none, "a", place(Some("a"), Some("other")), None),
        (&none, "a", place(Some("b"), Some("/")), None),
        (&strict, "a", place(Some("a"), None), None),
        (&strict, "a", place(Some("a"), Some("one")), Some(own)),
        (&strict, "c", place(Some("shared"), None), Some(granted)),
        (&strict, "a", place(Some("b"), None), Some(granted)),
        (&strict, "c", place(Some("b"), None), None),
        (&outside, "b", place(None, None), Some(granted)),
        (&outside, "a", place(None, None), Some(granted)),
    ] {
        let found = policy.reads(Author::Folder(folder), ("default", "one"), "router", &place);
        assert_eq!(found, expected, "{folder} {place:?}");
    }
    assert_eq!(scope("a/secrets/deep"), "a");
    assert_eq!(scope("secrets"), "");
    let remedy = none.reader_remedy(Author::Folder("a"), "one", "router", &place(Some("b"), None));
    assert!(
        remedy.starts_with("add a/ to its annotation mai.dev/readers, or write `secrets: [\"b/router\"]`"),
        "{remedy}"
    );
}

#[test]
fn backups_of_others_begin_no_instance() {
    let destination = json!({"destinations": [{"name": "nas", "local": {"path": "/srv/mai/nas"}}]});
    let of = |source: Value| json!({"backup": destination, "restoreFrom": source});
    let none = Policy::without_file(SHOWN.to_owned());
    let some = policy("restores: [b, '*.tar.gz']\n");
    for (source, is_free) in [
        (json!({"destination": "nas"}), true),
        (json!({"destination": "nas", "instance": "a"}), true),
        (json!({"destination": "nas", "instance": "b"}), false),
        (json!({"destination": "nas", "file": "default/b/x.tar.gz"}), false),
        (json!({"destination": "nas", "file": "webui.tar.gz"}), false),
        (json!({"destination": "nas", "file": "default/a/x.tar.gz"}), true),
    ] {
        assert_eq!(refused(&none, "", None, of(source.clone())).is_empty(), is_free, "{source}");
        assert_eq!(refused(&some, "", None, of(source.clone())), [""; 0], "{source}");
    }
}
