//! The product's own server in a container: confined, with secrets from a file, on a volume that it was given.

use std::os::unix::fs::MetadataExt;

use super::engine;
use super::stage::{Stage, json};

use crate::fixtures::compose::{http, wait_until};

#[test]
fn the_own_server_reads_its_secrets_from_the_file_and_lets_the_declared_admin_in() {
    let _shared = engine::shared();
    engine::build_own_image();
    let stage = Stage::new("own");
    stage.place.write_secret("admin", "password", "a-Long-passw0rd-for-tests");
    let document = format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: own}}\nspec:\n  displayName: Own\n  image: mai-own:test\n  imagePullPolicy: Never\n  openRouter: {{mock: true}}\n  expose: {{port: {}}}\n  access: {{admin: {{email: boss@example.com, name: Boss, passwordSecretRef: {{name: admin, key: password}}}}}}\n",
        stage.port
    );
    stage.place.write("instance.yaml", &document);
    let compose = stage.compose();
    stage.wait_for("Ready");
    assert!(!json(&stage.inspect().unwrap()).to_string().contains("a-Long-passw0rd-for-tests"));
    let body = r#"{"email": "boss@example.com", "password": "a-Long-passw0rd-for-tests"}"#;
    let signed_in =
        || http("POST", stage.port, "/api/v1/auths/signin", "", body).ok().filter(|(status, _)| *status == 200);
    let (_, answer) = wait_until(|| format!("the admin to be let in; {}", compose.output()), signed_in);
    assert!(answer.contains("boss@example.com"), "{answer}");

    // Another container on the same volume knows the same people.
    let run = stage.run().unwrap();
    stage.place.write("instance.yaml", &document.replace("displayName: Own", "displayName: Other"));
    stage.wait_for_another(&run);
    wait_until(|| "the admin on the kept data".into(), signed_in);
}

#[test]
fn everything_is_reset_in_the_volume_after_a_copy_and_the_container_goes_on() {
    let _shared = engine::shared();
    engine::build_own_image();
    let stage = Stage::new("renewed");
    let document =
        stage.document("mai-own:test", "").replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}");
    stage.place.write("instance.yaml", &document);
    let compose = stage.compose();
    stage.wait_for("Ready");
    let body = r#"{"name": "Boss", "email": "boss@example.com", "password": "a-Long-passw0rd-for-tests"}"#;
    assert_eq!(http("POST", stage.port, "/api/v1/auths/signup", "", body).unwrap().0, 200);
    let before = stage.run().unwrap();
    let (code, out, err) = stage.mai("reset", &["--everything", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(stage.run().unwrap().0, before.0, "another container was made");
    assert!(stage.get("/api/config").contains("\"onboarding\":true"));
    stage.wait_for("Ready");
    assert!(stage.place.status()[0]["status"].get("restarts").is_none(), "{}", compose.output());

    let copies: Vec<_> =
        std::fs::read_dir(stage.volume("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    assert!(copy.join("manifest.json").exists() && copy.join("data/mai.db").exists());
    for directory in [stage.volume("data"), copy.clone(), copy.join("data")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().uid(), 65532, "{}", entry.path().display());
        }
    }
    compose.stop();
}
