//! The product's own server in a container: confined, with secrets from a file, on a volume that it was given.

use super::engine;
use super::stage::{Stage, json};
use super::support::{http, wait_until};

#[test]
fn the_own_server_reads_its_secrets_from_the_file_and_lets_the_declared_admin_in() {
    let _shared = engine::shared();
    engine::build_own_image();
    let stage = Stage::new("own");
    stage.place.secret("admin", "password", "a-Long-passw0rd-for-tests");
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
    let (_, answer) = wait_until(|| format!("the admin to be let in; {}", compose.said()), signed_in);
    assert!(answer.contains("boss@example.com"), "{answer}");

    // Another container on the same volume knows the same people.
    let run = stage.run().unwrap();
    stage.place.write("instance.yaml", &document.replace("displayName: Own", "displayName: Other"));
    stage.wait_for_another(&run);
    wait_until(|| "the admin on the kept data".into(), signed_in);
}
