//! The mai server in a confined container, with secrets from a file and data on a volume.

use std::os::unix::fs::MetadataExt;

use super::engine;
use super::environment::{Environment, json};

use crate::fixtures::compose::{http, sign_up, wait_until};

#[test]
fn mai_server_reads_its_secrets_file_and_admits_the_admin() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("own");
    env.workspace.write_secret("admin", "password", "a-Long-passw0rd-for-tests");
    let document = format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: own}}\nspec:\n  displayName: Own\n  image: mai-own:test\n  imagePullPolicy: Never\n  openRouter: {{mock: true}}\n  expose: {{port: {}}}\n  access: {{admin: {{email: boss@example.com, name: Boss, passwordSecretRef: {{name: admin, key: password}}}}}}\n",
        env.port
    );
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    env.wait_for("Ready");
    assert!(!json(&env.inspect().unwrap()).to_string().contains("a-Long-passw0rd-for-tests"));
    let body = r#"{"email": "boss@example.com", "password": "a-Long-passw0rd-for-tests"}"#;
    let signed_in =
        || http("POST", env.port, "/api/v1/auths/signin", "", body).ok().filter(|(status, _)| *status == 200);
    let (_, answer) = wait_until(|| format!("the admin to be let in; {}", compose.output()), signed_in);
    assert!(answer.contains("boss@example.com"), "{answer}");

    // Another container on the same volume has the same accounts.
    let run = env.run().unwrap();
    env.workspace.write("instance.yaml", &document.replace("displayName: Own", "displayName: Other"));
    env.wait_for_another(&run);
    wait_until(|| "the admin on the kept data".into(), signed_in);
}

#[test]
fn reset_in_a_volume_makes_a_backup_and_keeps_the_container() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("renewed");
    let document =
        env.document("mai-own:test", "").replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}");
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    env.wait_for("Ready");
    sign_up(env.port);
    let before = env.run().unwrap();
    let (code, out, err) = env.mai("reset", &["--everything", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(env.run().unwrap().0, before.0, "another container was made");
    assert!(env.get("/api/config").contains("\"onboarding\":true"));
    env.wait_for("Ready");
    assert!(env.workspace.status()[0]["status"].get("restarts").is_none(), "{}", compose.output());

    let stored: Vec<_> =
        std::fs::read_dir(env.volume("backups")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for end in [".tar.gz", ".verified.json"] {
        assert_eq!(stored.iter().filter(|name| name.to_str().unwrap().ends_with(end)).count(), 1, "{stored:?}");
    }
    for directory in [env.volume("data"), env.volume("backups")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().uid(), 65532, "{}", entry.path().display());
        }
    }
    compose.stop();
}
