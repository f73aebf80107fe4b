//! A drill of containers: a backup is brought back in a container that reaches neither the data nor a
//! network, and nothing of it is left.

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{sign_up, wait_until};

/// Returns the names of the volumes of the engine.
fn volumes() -> Vec<String> {
    engine::with_docker(async |docker| {
        let listed = docker.list_volumes(None::<bollard::query_parameters::ListVolumesOptions>).await.unwrap();
        let mut names: Vec<_> = listed.volumes.into_iter().flatten().map(|volume| volume.name).collect();
        names.sort();
        names
    })
}

#[test]
fn drill_starts_a_server_without_data_and_network() {
    let _alone = engine::alone();
    engine::build_own_image();
    let env = Environment::new("drilled");
    let document = env
        .document("mai-own:test", "  backup: {schedule: \"0 2 1 1 *\", drill: Monthly}\n")
        .replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}");
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    env.wait_for("Ready");
    let run = env.run().unwrap();
    sign_up(env.port);
    let (code, out, err) = env.mai("backup", &[]);
    assert_eq!(code, 0, "{out}{err}{}", compose.output());
    let before = volumes();

    let (code, out, err) = env.mai("drill", &["--no-wait"]);
    assert_eq!(code, 0, "{out}{err}");
    let job = wait_until(
        || format!("the container of the drill; {}", compose.output()),
        || env.containers().into_iter().find(|container| container.names.iter().flatten().any(|n| n.ends_with(".job"))),
    );
    assert_eq!(job.host_config.unwrap().network_mode.as_deref(), Some("none"));
    let mut mounts: Vec<_> = job.mounts.unwrap().into_iter().map(|m| (m.destination.unwrap(), m.rw.unwrap())).collect();
    mounts.sort();
    let expected = [("/app/backups", false), ("/run/job", false), ("/run/staging", true)];
    assert_eq!(mounts, expected.map(|(place, writable)| (place.to_owned(), writable)));

    let message = env.workspace.wait_for_reason(&env.name, "RestoreVerified", "DrillPassed");
    assert!(message.contains("a server answered on it"), "{message}");
    let status = env.workspace.status()[0]["status"]["backup"]["drill"]["passed"].clone();
    assert_eq!((status["people"].as_i64(), status["destination"].as_str()), (Some(1), Some("backups")), "{status}");
    wait_until(|| "the removal of the job".into(), || (env.containers().len() == 1).then_some(()));
    assert_eq!(volumes(), before);
    env.assert_unchanged(&run);
    let (code, out, err) = env.mai("drill", &[]);
    assert!(code == 0 && out.contains("signed in; it has 1 accounts"), "{out}{err}");
    compose.stop();
}
