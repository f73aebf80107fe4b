//! A drill of containers: a backup is brought back in a container that reaches neither the data nor a
//! network, and nothing of it is left.

use bollard::query_parameters::KillContainerOptions;
use mai_operator::contract::job::Outcome;
use mai_operator::core::{InstanceId, JobRequest, JobWork};
use mai_operator::runtime::JobRequestFile;

use super::engine;
use super::environment::{Environment, inspect};
use super::proxy::{Cut, Proxy};

use crate::fixtures::compose::{Compose, sign_up, wait_until};

/// Returns the names of the volumes of the engine.
fn volumes() -> Vec<String> {
    engine::with_docker(async |docker| {
        let listed = docker.list_volumes(None::<bollard::query_parameters::ListVolumesOptions>).await.unwrap();
        let mut names: Vec<_> = listed.volumes.into_iter().flatten().map(|volume| volume.name).collect();
        names.sort();
        names
    })
}

/// Starts a client with an account, whose backup is verified.
fn client_with_backup(name: &str) -> (Environment, Compose) {
    engine::build_own_image();
    let env = Environment::new(name);
    let document = env
        .document("mai-own:test", "  backup: {schedule: \"0 2 1 1 *\", drill: Monthly}\n")
        .replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}");
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    env.wait_for("Ready");
    sign_up(env.port);
    let (code, out, err) = env.mai("backup", &[]);
    assert_eq!(code, 0, "{out}{err}{}", compose.output());
    (env, compose)
}

#[test]
fn drill_starts_a_server_without_data_and_network() {
    let _alone = engine::alone();
    let (env, compose) = client_with_backup("drilled");
    let run = env.run().unwrap();
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

#[test]
fn drill_killed_at_any_call_is_answered_and_leaves_nothing() {
    let _alone = engine::alone();
    let (env, compose) = client_with_backup("cut-drill");
    compose.stop();
    let (run, before) = (env.run().unwrap(), volumes());
    let uid = env.inspect().unwrap().config.unwrap().labels.unwrap()["mai.dev/uid"].clone();
    let id = InstanceId { namespace: "default".into(), name: env.name.clone(), uid };
    let file = JobRequestFile::new(&env.workspace.state.join("instances").join(&env.name));
    let job = format!("{}.job", env.container());
    let mut number = 0;
    let mut drill_through = |cut: Cut, disturb: &dyn Fn()| {
        number += 1;
        let name = format!("20261202-0200{number:02}-0000aa");
        let work = JobWork::Drill(None);
        file.ask(&id, &JobRequest { name: name.clone(), reason: "a test asked for it".into(), work }).unwrap();
        let proxy = Proxy::start(cut);
        let mut compose = env.compose_on(&proxy.host());
        if let Cut::After(at) = cut {
            proxy.kill_at(at, compose);
            compose = env.compose();
        }
        disturb();
        let answer = wait_until(
            || format!("an answer after {cut:?}; {}", compose.output()),
            || file.take_answer(&name).unwrap(),
        );
        wait_until(|| format!("{job} to go; {}", compose.output()), || inspect(&job).is_none().then_some(()));
        assert_eq!(volumes(), before, "{cut:?}");
        compose.stop();
        (answer, proxy.changes())
    };
    let (answer, calls) = drill_through(Cut::Never, &|| ());
    assert!(matches!(&answer, Outcome::Drilled(report) if report.people == Some(1)), "{answer:?}");
    assert!(calls.len() >= 3, "{calls:?}");
    for at in 1..=calls.len() {
        let (answer, _) = drill_through(Cut::After(at), &|| ());
        let is_told = match &answer {
            Outcome::Drilled(_) => true,
            Outcome::Failed { message } => message.contains("mai was interrupted"),
            _ => false,
        };
        assert!(is_told, "call {at}: {answer:?}");
    }
    let (answer, _) = drill_through(Cut::Never, &|| {
        let runs = || inspect(&job)?.state?.running.filter(|runs| *runs);
        wait_until(|| "a drill that runs".into(), runs);
        engine::with_docker(async |docker| {
            docker.kill_container(&job, None::<KillContainerOptions>).await.unwrap();
        });
    });
    assert!(matches!(&answer, Outcome::Failed { message } if message.contains("signal 9")), "{answer:?}");
    env.assert_unchanged(&run);
}
