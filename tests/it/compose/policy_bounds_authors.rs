//! Authors of documents reach what the provider's policy allows, which stands outside of the
//! documents.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

use crate::fixtures::compose::{Workspace, document, is_ready, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn secret(workspace: &Workspace, file: &str, name: &str, annotations: &str, value: &str) {
    let metadata = format!("{{name: {name}, annotations: {{{annotations}}}}}");
    let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {metadata}\nstringData: {{key: \"{value}\"}}\n");
    workspace.write(file, &text);
    fs::set_permissions(workspace.documents.join(file), fs::Permissions::from_mode(0o600)).unwrap();
}

fn reads(secret: &str) -> String {
    format!("  server: {{secretKeyRef: {{name: {secret}, key: key}}}}\n")
}

#[test]
fn refused_document_starts_nothing_and_stops_nobody() {
    let workspace = Workspace::new();
    workspace.write_policy("");
    let good = free_port();
    workspace.write("good.yaml", &document("good", good, ""));
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), workspace.documents.parent().unwrap().join("link")).unwrap();
    let cases = [
        ("preload", "  server: {env: [{name: LD_PRELOAD, value: /tmp/x.so}]}\n", "add `LD_PRELOAD` to `serverEnv` in"),
        ("custom", "  server: {kind: Custom, env: [{name: LD_AUDIT, value: x}]}\n", "add `LD_AUDIT` to `serverEnv` in"),
        (
            "file",
            "  server: {env: [{name: MAI_SECRETS_FILE, value: /etc/shadow}]}\n",
            "is set by mai itself; remove it",
        ),
        ("variable", "  server: {secretKeyRef: {name: \"env:HOME\"}}\n", "add `HOME` to `env` in"),
        ("etc", "  storage: {data: {hostPath: /etc}}\n", "add `/etc` to `paths` in"),
        (
            "intranet",
            "  server: {allowedUpstreamNetworks: [10.0.0.0/8]}\n",
            "add `10.0.0.0/8` to `upstreamNetworks` in",
        ),
        (
            "copies",
            "  backup: {destinations: [{name: nas, local: {path: /var/lib}}]}\n",
            "add `/var/lib` to `paths` in",
        ),
    ];
    for (name, more, _) in cases {
        workspace.write(&format!("team/{name}.yaml"), &document(name, free_port(), more));
    }
    let compose = workspace.compose(&[]);
    wait_ready(good);
    for (name, _, expected) in cases {
        let line = compose.wait_for_line(&[&format!("team/{name}.yaml:"), expected]);
        assert!(expected.contains("itself") || line.contains("policy.yaml:"), "{line}");
    }
    assert_eq!(workspace.servers().len(), 1);
    // Although no document of them is in force.
    for (name, _, expected) in cases {
        let message = workspace.wait_for_reason(name, "Ready", "RefusedByPolicy");
        assert!(message.contains(expected), "{message}");
        assert_eq!(workspace.condition(name, "Stalled").unwrap().1, "RefusedByPolicy");
    }
    let (_, shown, _) = workspace.mai("status", &["etc"]);
    let told = |line: &str| line.contains("RefusedByPolicy") && line.contains("add `/etc` to `paths`");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("etc ") && told(line)), "{shown}");
    assert!(shown.lines().any(|line| line.contains("Warning") && told(line)), "{shown}");
    let (code, out, _) = workspace.validate();
    assert_eq!(code, 1);
    for (name, _, expected) in cases {
        assert!(out.lines().any(|line| line.contains(name) && line.contains(expected)), "{name}: {out}");
    }
    compose.stop();
}

#[test]
fn running_instance_outlives_a_policy_that_refuses_it() {
    let workspace = Workspace::new();
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let more = format!("  storage: {{data: {{hostPath: {}}}}}\n", data.path().join("alpha").display());
    workspace.write("alpha.yaml", &document("alpha", port, &more));
    let mut compose = workspace.compose(&["--detach"]);
    wait_ready(port);
    let pid = workspace.pid("alpha");

    workspace.write_policy("networks: [web]\n");
    let message = workspace.wait_for_reason("alpha", "DocumentValid", "RefusedByPolicy");
    let expected =
        format!("add `{}` to `paths` in {}", data.path().join("alpha").display(), workspace.policy.display());
    assert!(message.contains("alpha.yaml:9") && message.contains(&expected), "{message}");
    assert_eq!(workspace.condition("alpha", "Stalled").unwrap().1, "RefusedByPolicy");
    assert!(is_ready(port));

    // Its server comes back with the document that was accepted, also under another reconciler.
    compose.interrupt();
    compose.wait_exit();
    let compose = workspace.compose(&[]);
    wait_ready(port);
    assert_eq!(workspace.pid("alpha"), pid);
    workspace.write("alpha.yaml", &document("alpha", port, &format!("{more}  access: {{maxUsers: 3}}\n")));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(workspace.pid("alpha"), pid, "the refused document is not applied");

    workspace.write_policy(&format!("paths: [{}]\n", data.path().display()));
    workspace.wait_for_reason("alpha", "DocumentValid", "Valid");
    wait_until(|| "another server".into(), || (workspace.pid("alpha") != pid).then_some(()));
    wait_ready(port);
    compose.stop();
}

#[test]
fn broken_policy_changes_nothing_that_runs() {
    let workspace = Workspace::new();
    let (alpha, beta) = (free_port(), free_port());
    workspace.write("alpha.yaml", &document("alpha", alpha, ""));
    let compose = workspace.compose(&[]);
    wait_ready(alpha);
    workspace.write_policy("pathes: [/data]\n");
    compose.wait_for_line(&["policy.yaml:3:1: pathes:", "did you mean paths?", "as it was before stays in force"]);
    let restricted = "  server: {env: [{name: NOTE, value: x}]}\n";
    workspace.write("beta.yaml", &document("beta", beta, restricted));
    wait_ready(beta);
    assert!(is_ready(alpha));
    fs::remove_file(&workspace.policy).unwrap();
    compose.wait_for_line(&["policy.yaml: is gone"]);
    compose.stop();
    for verb in ["compose", "plan", "validate"] {
        let (code, out, err) = if verb == "validate" { workspace.validate() } else { workspace.mai(verb, &[]) };
        assert_eq!((code, workspace.servers().len()), (1, 0), "{out}{err}");
        assert!(err.contains("cannot be read"), "{verb}: {err}");
    }
    workspace.write_policy("pathes: [/data]\n");
    let (code, _, err) = workspace.mai("compose", &[]);
    assert!(code == 1 && err.contains("nothing was started") && err.contains("policy.yaml:3:1: pathes"), "{err}");
}

#[test]
fn policy_of_an_author_is_none() {
    let workspace = Workspace::new();
    workspace.write("alpha.yaml", &document("alpha", free_port(), ""));
    workspace.write("policy.yaml", "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\n");
    let policy = workspace.documents.join("policy.yaml");
    for verb in ["compose", "plan"] {
        let (code, _, err) = workspace.mai(verb, &["--policy", policy.to_str().unwrap()]);
        assert!(code == 1 && err.contains("lies in the directory of documents"), "{verb}: {err}");
    }
    fs::set_permissions(&workspace.policy, fs::Permissions::from_mode(0o666)).unwrap();
    let (code, _, err) = workspace.mai("plan", &[]);
    assert!(code == 1 && err.contains("may be written by everybody"), "{err}");
}

#[test]
fn secret_is_for_its_folder_and_for_whom_it_names() {
    let workspace = Workspace::new();
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    secret(&workspace, "b/secrets/key.yaml", "key", "", "of-b");
    secret(&workspace, "shared/key.yaml", "shared", "mai.dev/readers: \"a/, nobody\"", "of-all");
    workspace.write("a/one.yaml", &document("one", ports[0], &reads("key")));
    workspace.write("a/two.yaml", &document("two", ports[1], &reads("shared")));
    workspace.write("b/three.yaml", &document("three", ports[2], &reads("key")));
    // A link makes no Secret one's own, and neither does a Secret of the same name.
    symlink("../b/secrets/key.yaml", workspace.documents.join("a/stolen.yaml")).unwrap();
    let compose = workspace.compose(&[]);
    wait_ready(ports[1]);
    wait_ready(ports[2]);
    let told = compose.wait_for_line(&["a/one.yaml:9", "Secret key in", "is not for this instance"]);
    assert!(told.contains("add a/ to its annotation mai.dev/readers, or add `b/key` to `secrets` in"), "{told}");
    let three = workspace.pid("three");
    secret(&workspace, "a/key.yaml", "key", "", "of-a");
    wait_ready(ports[0]);
    secret(&workspace, "b/secrets/key.yaml", "key", "mai.dev/readers: one", "of-b");
    let told = workspace.wait_for_reason("three", "DocumentValid", "RefusedByPolicy");
    assert!(told.contains("is not for this instance"), "{told}");
    assert_eq!(workspace.pid("three"), three, "it keeps running");
    compose.stop();
}

#[test]
fn name_and_data_belong_to_the_folder_that_was_first() {
    let workspace = Workspace::new();
    let (port, other) = (free_port(), free_port());
    workspace.write("a/alpha.yaml", &document("alpha", port, ""));
    let compose = workspace.compose(&[]);
    wait_ready(port);
    let pid = workspace.pid("alpha");
    // Of two documents the owner's stays in force, and is followed.
    workspace.write("0/alpha.yaml", &document("alpha", other, ""));
    compose.wait_for_line(&["0/alpha.yaml:4", "instance default/alpha belongs to", "a/alpha.yaml"]);
    let port = free_port();
    workspace.write("a/alpha.yaml", &document("alpha", port, ""));
    wait_ready(port);
    assert!(workspace.pid("alpha") != pid && !is_ready(other));

    // Without the owner's document the data stays the owner's.
    workspace.remove("a/alpha.yaml");
    let told = compose.wait_for_line(&["0/alpha.yaml:4", "and its data belong to folder a"]);
    assert!(told.contains("{folder: \"0\", instances: [alpha]}"), "{told}");
    assert!(!is_ready(other));
    workspace.write_policy("authors:\n- folder: \"0\"\n  instances: [alpha]\n");
    wait_ready(other);
    compose.stop();
}

#[test]
fn host_goes_to_another_folder_once_it_is_given_up() {
    let workspace = Workspace::new();
    let with_host = |name: &str, port: u16, host: &str| {
        let text = document(name, port, "");
        text.replace(&format!("port: {port}"), &format!("port: {port}, host: {host}"))
    };
    let (alpha, beta) = (free_port(), free_port());
    workspace.write("b/alpha.yaml", &with_host("alpha", alpha, "a.example.com"));
    let compose = workspace.compose(&[]);
    wait_ready(alpha);
    // A document that comes before the other one's.
    workspace.write("a/aaa.yaml", &with_host("aaa", beta, "a.example.com"));
    let told = workspace.wait_for_reason("aaa", "Ready", "RefusedByPolicy");
    assert!(told.contains("host a.example.com belongs to instance default/alpha of folder b"), "{told}");
    let (code, out, _) = workspace.validate();
    assert_eq!(code, 1);
    assert!(out.contains("host a.example.com is also declared by default/aaa at"), "{out}");
    assert!(workspace.mai("plan", &[]).1.contains("belongs to instance default/alpha"));
    workspace.write("b/alpha.yaml", &with_host("alpha", alpha, "b.example.com"));
    wait_ready(beta);
    compose.stop();
}

#[test]
fn validation_without_a_policy_names_the_default_one() {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.write("a.yaml", &document("a", port, "  storage: {data: {hostPath: /etc}}\n"));
    workspace.write("b.yaml", &document("b", port + 1, "  storage: {data: {volumeName: openwebui}}\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mai"));
    let output = command.env_remove("MAI_POLICY").arg("validate").arg(&workspace.documents).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    if !std::path::Path::new("/etc/mai/policy.yaml").exists() {
        let expected = "write `paths: [\"/etc\"]` into the policy /etc/mai/policy.yaml, which does not exist yet";
        assert!(out.contains(expected), "{out}");
        assert!(out.contains("warning: spec.storage.data.volumeName: volume openwebui is not allowed"), "{out}");
    }
}
