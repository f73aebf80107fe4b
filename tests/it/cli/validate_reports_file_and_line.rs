//! `mai validate` reports all findings at once, each with file, line, column, field and remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const HEAD: &str = "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\n";

fn validate(arguments: &[&str], within: &Path) -> Output {
    let policy = tempfile::NamedTempFile::new().unwrap();
    let text = "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\npaths: [/srv]\nenv: ['MAI_TEST_*']\nserverEnv: [X, Z]\nnetworks: [web]\n";
    fs::write(policy.path(), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mai"));
    command.env("MAI_POLICY", policy.path()).arg("validate").args(arguments).current_dir(within).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn write(within: &Path, name: &str, text: &str) {
    fs::create_dir_all(within.join(name).parent().unwrap()).unwrap();
    fs::write(within.join(name), text).unwrap();
    fs::set_permissions(within.join(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn valid_documents_are_counted() {
    let tree = tempfile::tempdir().unwrap();
    write(
        tree.path(),
        "a.yaml",
        &format!("{HEAD}metadata: {{name: a}}\nspec: {{displayName: A, expose: {{port: 8001}}}}\n"),
    );
    write(
        tree.path(),
        "more/b.yml",
        &format!(
            "{HEAD}metadata: {{name: b}}\nspec: {{displayName: B, expose: {{port: 8002}}}}\n---\n{HEAD}metadata: {{name: c}}\nspec: {{displayName: C}}\n"
        ),
    );
    let output = validate(&["."], tree.path());
    assert_eq!(lines(&output), ["3 instances in 2 files are valid"]);
    assert_eq!(output.status.code(), Some(0));
    let output = validate(&["a.yaml"], tree.path());
    assert_eq!(lines(&output), ["1 instance in 1 file is valid"]);
}

#[test]
fn finding_has_file_line_and_column() {
    let tree = tempfile::tempdir().unwrap();
    write(
        tree.path(),
        "a.yaml",
        &format!(
            "# Company A\n{HEAD}metadata:\n  name: a\nspec:\n  displayName: A\n  expose:\n    port: 70000\n  deletionPolicy: Delete\n  health:\n    timeout: 60s\n"
        ),
    );
    write(
        tree.path(),
        "b.yaml",
        &format!(
            "{HEAD}metadata:\n  name: b\nspec:\n  expose:\n    prot: 80\n---\n{HEAD}metadata:\n  name: c\nspec: [\n"
        ),
    );
    let output = validate(&["a.yaml", "b.yaml"], tree.path());
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let expected = [
        "a.yaml:9:5: spec.expose.port: expose.port must be 1 to 65535",
        "a.yaml:11:3: spec.health: health.timeout may not exceed health.interval",
        "b.yaml:5:1: spec: displayName is missing",
        "b.yaml:7:5: spec.expose.prot: unknown field \"prot\"; did you mean port?",
    ];
    for expected in expected {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} is not in {lines:#?}");
    }
    let syntax = lines.iter().find(|line| line.contains("is not valid YAML")).unwrap();
    let line: u32 = syntax.split(':').nth(1).unwrap().parse().unwrap();
    assert!((12..=13).contains(&line), "{syntax}");
    assert_eq!(lines.last().unwrap(), "5 errors, 3 instances in 2 files");
}

#[test]
fn duplicate_names_and_ports_name_both_files() {
    let tree = tempfile::tempdir().unwrap();
    for (file, name, port) in [("a.yaml", "a", 8001), ("b.yaml", "a", 8002), ("c.yaml", "c", 8001)] {
        write(
            tree.path(),
            file,
            &format!("{HEAD}metadata:\n  name: {name}\nspec:\n  displayName: X\n  expose:\n    port: {port}\n"),
        );
    }
    let output = validate(&["a.yaml", "b.yaml", "c.yaml"], tree.path());
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    for expected in [
        "a.yaml:4:3: metadata.name: instance default/a is also described at b.yaml:4; none of them is applied until only one is left",
        "b.yaml:4:3: metadata.name: instance default/a is also described at a.yaml:4;",
        "a.yaml:8:5: spec.expose.port: port 8001 is also taken by default/c at c.yaml:8; give each instance its own",
        "c.yaml:8:5: spec.expose.port: port 8001 is also taken by default/a at a.yaml:8;",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} is not in {lines:#?}");
    }
}

#[test]
fn one_port_on_two_addresses_is_valid() {
    let tree = tempfile::tempdir().unwrap();
    for (name, address) in [("a", "127.0.0.1"), ("b", "127.0.0.2")] {
        write(
            tree.path(),
            &format!("{name}.yaml"),
            &format!(
                "{HEAD}metadata: {{name: {name}}}\nspec: {{displayName: X, expose: {{port: 8001, address: {address}}}}}\n"
            ),
        );
    }
    assert_eq!(validate(&["."], tree.path()).status.code(), Some(0));
}

#[test]
fn unresolved_secret_is_a_warning_without_its_values() {
    let tree = tempfile::tempdir().unwrap();
    let spec = "spec:\n  displayName: A\n  openRouter:\n    apiKeySecretRef: {name: router, key: api-key}\n  server:\n    env:\n    - name: X\n      secretRef: {name: nowhere, key: k}\n    - name: Z\n      secretRef: {name: 'env:MAI_TEST_NOT_SET'}\n";
    write(tree.path(), "a.yaml", &format!("{HEAD}metadata: {{name: a}}\n{spec}"));
    write(
        tree.path(),
        "secrets/router.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: router}\nstringData:\n  api-kei: sesame\n",
    );
    fs::set_permissions(tree.path().join("secrets/router.yaml"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = validate(&["."], tree.path());
    assert_eq!(output.status.code(), Some(0));
    let lines = lines(&output);
    for expected in [
        "./a.yaml:7:5: warning: spec.openRouter.apiKeySecretRef: Secret router has no key api-key; it has api-kei",
        "./a.yaml:11:7: warning: spec.server.env[0].secretRef: Secret nowhere is not there",
        "./a.yaml:13:7: warning: spec.server.env[1].secretRef: environment variable MAI_TEST_NOT_SET is not set",
        "./secrets/router.yaml:1:1: warning: can be read by others on this machine (mode 0644)",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} is not in {lines:#?}");
    }

    // An invalid Secret is not quoted either.
    write(tree.path(), "secrets/broken.yaml", "apiVersion: v1\nkind: Secret\nstringData:\n  k: \"sesame\n");
    let output = validate(&["."], tree.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(!format!("{output:?}").contains("sesame"));
}

#[test]
fn encrypted_documents_are_told_with_the_command() {
    const CIPHER: &str = "ENC[AES256_GCM,data:p1xY0w==,iv:AAAA,tag:BBBB,type:str]";
    let tree = tempfile::tempdir().unwrap();
    for name in ["plain", "stringy", "binary", "sealed", "wrapped"] {
        let reference = format!("openRouter: {{apiKeySecretRef: {{name: {name}, key: k}}}}");
        let instance = format!("{HEAD}metadata: {{name: {name}}}\nspec:\n  displayName: A\n  {reference}\n");
        write(tree.path(), &format!("{name}.yaml"), &instance);
    }
    let secret = |name: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n");
    for (file, text) in [
        ("stringy", format!("{}stringData:\n  k: {CIPHER}\nsops: {{mac: x}}\n", secret("stringy"))),
        // A Secret made by kubectl of an armored age file.
        ("binary", format!("{}data:\n  k: LS0tLS1CRUdJTiBBR0UgRU5DUllQVEVEIEZJTEUtLS0tLQo=\n", secret("binary"))),
        (
            "sealed",
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: sealed}\nspec: {encryptedData: {k: AgBy}}\n"
                .to_owned(),
        ),
        // Beside the decrypted document the encrypted one says nothing.
        ("plain.enc", format!("{}stringData:\n  k: {CIPHER}\nsops: {{mac: x}}\n", secret("plain"))),
        ("plain.dec", format!("{}stringData: {{k: open}}\n", secret("plain"))),
    ] {
        write(tree.path(), &format!("secrets/{file}.yaml"), &text);
    }
    let output = validate(&["."], tree.path());
    let found = lines(&output);
    for expected in [
        "./secrets/stringy.yaml:5:3: warning: stringData.k: is still encrypted by SOPS",
        "./secrets/binary.yaml:5:3: warning: data.k: is still encrypted by age",
        "./secrets/sealed.yaml:1:1: warning: is still encrypted by Sealed Secrets",
        "./stringy.yaml:6:16: warning: spec.openRouter.apiKeySecretRef: Secret stringy in ./secrets/stringy.yaml cannot be used",
    ] {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected} is not in {found:#?}");
    }
    assert!(!found.iter().any(|line| line.contains("plain.")), "{found:#?}");
    assert!(found.iter().any(|line| line.contains("`sops -d FILE`")), "{found:#?}");
    assert_eq!(output.status.code(), Some(0));

    // Of these nobody knows what they are, so they may be instances.
    let locked = [
        &b"\0GITCRYPT\0\xff\xfe"[..],
        b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n",
        b"$ANSIBLE_VAULT;1.1;AES256\n31\n",
    ];
    for (index, bytes) in locked.iter().enumerate() {
        fs::write(tree.path().join(format!("locked{index}.yaml")), bytes).unwrap();
    }
    write(tree.path(), "whole.yaml", &format!("apiVersion: {CIPHER}\nkind: {CIPHER}\nsops: {{mac: x}}\n"));
    let output = validate(&["."], tree.path());
    assert_eq!(output.status.code(), Some(1));
    let found = lines(&output);
    let told = |file: &str, tool: &str| found.iter().any(|line| line.starts_with(file) && line.contains(tool));
    for (file, tool) in [
        ("./locked0", "git-crypt unlock"),
        ("./locked1", "age -d"),
        ("./locked2", "ansible-vault"),
        ("./whole", "sops -d"),
    ] {
        assert!(told(file, tool), "{file}: {found:#?}");
    }
}

#[test]
fn json_output_lists_findings() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "a.yaml", &format!("{HEAD}metadata: {{name: a}}\nspec:\n  displayName: A\n  suspend: often\n"));
    let output = validate(&["-o", "json", "a.yaml"], tree.path());
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["valid"], false);
    assert_eq!((found["instances"].as_u64(), found["files"].as_u64()), (Some(1), Some(1)));
    let finding = &found["findings"][0];
    assert_eq!((finding["line"].as_u64(), finding["column"].as_u64()), (Some(6), Some(3)));
    assert_eq!(
        (&finding["severity"], &finding["field"], &finding["name"]),
        (&"error".into(), &"spec.suspend".into(), &"a".into())
    );
}

#[test]
fn nothing_to_validate_is_an_error() {
    let tree = tempfile::tempdir().unwrap();
    for (path, expected) in [("nowhere", "nowhere: is not there"), (".", ".: holds no YAML file")] {
        let output = validate(&[path], tree.path());
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(lines(&output)[0].starts_with(expected), "{output:?}");
    }
}

#[test]
fn field_is_refused_where_it_has_no_effect() {
    let tree = tempfile::tempdir().unwrap();
    let spec = "  displayName: A\n  image: mai-production:1\n  expose:\n    port: 8001\n    networks: [web]\n  storage:\n    data: {hostPath: /srv/a}\n    backups: {size: 5Gi}\n";
    write(tree.path(), "a.yaml", &format!("{HEAD}metadata: {{name: a}}\nspec:\n{spec}"));
    assert_eq!(lines(&validate(&["a.yaml"], tree.path())), ["1 instance in 1 file is valid"]);
    for (runtime, refused) in [
        (
            "process",
            [
                "6:3: spec.image: image",
                "9:5: spec.expose.networks: expose.networks",
                "12:15: spec.storage.backups.size: storage.backups.size",
            ]
            .as_slice(),
        ),
        ("docker", ["12:15: spec.storage.backups.size: storage.backups.size"].as_slice()),
        (
            "kubernetes",
            [
                "8:5: spec.expose.port: expose.port",
                "9:5: spec.expose.networks: expose.networks",
                "11:12: spec.storage.data.hostPath: storage.data.hostPath",
            ]
            .as_slice(),
        ),
    ] {
        let platform = if runtime == "kubernetes" {
            "Kubernetes"
        } else {
            &format!("the {} runtime", if runtime == "docker" { "Docker" } else { runtime })
        };
        let output = validate(&["a.yaml", "--runtime", runtime], tree.path());
        let lines = lines(&output);
        assert_eq!(lines.len(), refused.len() + 1, "{lines:#?}");
        for (line, start) in lines.iter().zip(refused) {
            assert!(line.starts_with(&format!("a.yaml:{start} has no effect on {platform}: ")), "{line}");
            assert!(line.contains("; remove it"), "{line}");
        }
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn default_is_never_refused() {
    let tree = tempfile::tempdir().unwrap();
    write(
        tree.path(),
        "a.yaml",
        &format!("{HEAD}metadata: {{name: a}}\nspec:\n  displayName: A\n  openRouter: {{mock: true}}\n"),
    );
    for runtime in ["process", "docker", "kubernetes"] {
        let output = validate(&["a.yaml", "--runtime", runtime], tree.path());
        assert_eq!(lines(&output), ["1 instance in 1 file is valid"], "{runtime}");
    }
}
