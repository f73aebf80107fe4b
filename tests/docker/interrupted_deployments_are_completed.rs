//! A reconciler killed at any call to the engine is followed by one that completes the deployment.

use super::engine;
use super::environment::{Environment, run_of};
use super::proxy::{Cut, Proxy};

use crate::fixtures::compose::{wait_ready, wait_until};

/// Declares a change and kills the reconciler at the given call; returns the changes that it
/// requested until then.
fn deploy_with(env: &Environment, image: &str, more: &str, cut: Cut) -> Vec<String> {
    let proxy = Proxy::start(cut);
    env.declare(image, more);
    let mut compose = env.compose_on(&proxy.host());
    // It may take fewer changes this time: another test may have made the network meanwhile.
    let reached = |at: usize| {
        wait_until(
            || format!("change {at}; so far {:?}", proxy.changes()),
            || (proxy.changes().len() >= at || is_deployed(env, image).is_some()).then_some(()),
        )
    };
    match cut {
        Cut::Never => {
            wait_until(|| image.to_owned(), || is_deployed(env, image));
        }
        Cut::Before(at) | Cut::After(at) => {
            reached(at);
            compose.kill();
        }
    }
    drop(compose);
    proxy.changes()
}

fn is_deployed(env: &Environment, image: &str) -> Option<()> {
    let wanted = engine::with_docker(async |docker| docker.inspect_image(image).await.unwrap().id);
    let container = env.inspect()?;
    let there = container.image == wanted && run_of(&container).is_some() && env.containers().len() == 1;
    there.then_some(())
}

#[test]
fn deployment_killed_at_any_call_is_completed() {
    let _shared = engine::shared();
    let env = Environment::new("cut");
    drop(env.up(""));
    // The calls of a whole deployment are recorded first, so that the test does not assume them.
    let calls = deploy_with(&env, "fixture:2", "", Cut::Never);
    assert!(calls.len() >= 6, "{calls:?}");
    let mut image = 2;
    for at in 1..=calls.len() {
        for cut in [Cut::Before(at), Cut::After(at)] {
            image = 3 - image;
            let name = format!("fixture:{image}");
            let starts = env.starts();
            deploy_with(&env, &name, "", cut);
            let compose = env.compose();
            wait_until(
                || format!("{name} after {cut:?} of {calls:?}; {}", compose.output()),
                || is_deployed(&env, &name),
            );
            wait_ready(env.port);
            env.wait_for("Ready");
            let added = env.starts() - starts;
            assert!((1..=2).contains(&added), "{cut:?}: the data saw {added} starts");
            compose.stop();
        }
    }
}

#[test]
fn first_start_killed_at_any_call_is_completed() {
    let _shared = engine::shared();
    let calls = {
        let env = Environment::new("firstcut");
        deploy_with(&env, "fixture:1", "", Cut::Never)
    };
    for at in 1..=calls.len() {
        let env = Environment::new("firstcut");
        deploy_with(&env, "fixture:1", "", Cut::After(at));
        let compose = env.compose();
        wait_until(
            || format!("a first start after {at} of {calls:?}; {}", compose.output()),
            || is_deployed(&env, "fixture:1"),
        );
        wait_ready(env.port);
    }
}

#[test]
fn first_start_makes_each_call_once() {
    let _shared = engine::shared();
    let env = Environment::new("once");
    let calls = deploy_with(&env, "fixture:1", "", Cut::Never);
    let id = env.inspect().unwrap().id.unwrap();
    let mut asked: Vec<String> =
        calls.iter().map(|call| call.split('?').next().unwrap_or_default().replace(&id, "ID")).collect();
    // The network may exist already, from another test.
    asked.retain(|call| call != "POST /networks/create");
    let once = ["POST /volumes/create", "POST /volumes/create", "POST /containers/create", "POST /containers/ID/start"];
    assert_eq!(asked, once);
}

#[test]
fn unchanged_instance_causes_only_reads() {
    let _shared = engine::shared();
    let env = Environment::new("unchanged");
    drop(env.up(""));
    let proxy = Proxy::start(Cut::Never);
    let compose = env.compose_on(&proxy.host());
    env.wait_for("Ready");
    let begun = proxy.reads();
    wait_until(|| "a few passes".into(), || (proxy.reads() > begun + 20).then_some(()));
    assert_eq!(proxy.changes(), Vec::<String>::new(), "{}", compose.output());
}
