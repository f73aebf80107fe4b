//! A restore ends with its data in place, whichever call to the engine was the last of its
//! reconciler.

use mai_operator::api::{RestoreSource, RestoreStep};
use mai_operator::core::{InstanceId, RestoreRequest};
use mai_operator::runtime::RestoreRequestFile;

use super::engine;
use super::environment::inspect;
use super::proxy::{Cut, Proxy};
use super::restored_data_comes_back::{assert_restored, client_with_backup};

use crate::fixtures::compose::wait_until;

#[test]
fn restore_killed_at_any_call_is_carried_on() {
    let _shared = engine::shared();
    let (env, compose, backup) = client_with_backup("cut-restore");
    compose.stop();
    let uid = env.inspect().unwrap().config.unwrap().labels.unwrap()["mai.dev/uid"].clone();
    let id = InstanceId { namespace: "default".into(), name: env.name.clone(), uid };
    let file = RestoreRequestFile::new(&env.workspace.state.join("instances").join(&env.name));
    let mut number = 0;
    let mut restore_through = |cut: Cut, at: usize| {
        number += 1;
        let restore = format!("20261201-0200{number:02}-0000aa");
        std::fs::write(env.volume("data").join("letter"), "second").unwrap();
        let source = RestoreSource { backup: Some(backup.to_string()), ..RestoreSource::default() };
        let request = RestoreRequest { id: restore.parse().unwrap(), source, reason: "a test asked for it".into() };
        file.ask(&id, &request).unwrap();
        let proxy = Proxy::start(cut);
        let mut compose = env.compose_on(&proxy.host());
        if cut != Cut::Never {
            proxy.kill_at(at, compose);
            compose = env.compose();
        }
        let end = wait_until(
            || format!("an answer after {cut:?}; {}", compose.output()),
            || file.take_answer(&restore).unwrap(),
        );
        assert_eq!(end.step, RestoreStep::Completed, "{cut:?}: {}", end.message);
        assert_restored(&env);
        env.wait_for("Ready");
        let job = format!("{}.job", env.container());
        wait_until(|| format!("{job} to go; {}", compose.output()), || inspect(&job).is_none().then_some(()));
        compose.stop();
        proxy.changes()
    };
    let calls = restore_through(Cut::Never, 0);
    assert!(calls.len() >= 10, "{calls:?}");
    for at in 1..=calls.len() {
        restore_through(Cut::After(at), at);
    }
}
