//! A reconciler that is killed at any call to the engine is followed by one that ends what it began.

use super::engine;
use super::proxy::{Cut, Proxy};
use super::stage::Stage;

use crate::fixtures::compose::{wait_ready, wait_until};

/// Declares something else and kills the reconciler at the given call; its successor has to reach what is declared.
fn deploy_with(stage: &Stage, image: &str, more: &str, cut: Cut) -> Vec<String> {
    let proxy = Proxy::start(cut);
    stage.declare(image, more);
    let mut compose = stage.compose_on(&proxy.host());
    let reached = |at: usize| {
        wait_until(
            || format!("change {at}; so far {:?}", proxy.changes()),
            || (proxy.changes().len() >= at).then_some(()),
        )
    };
    match cut {
        Cut::Never => {
            wait_until(|| image.to_owned(), || settled(stage, image));
        }
        Cut::Before(at) | Cut::After(at) => {
            reached(at);
            compose.kill();
        }
    }
    drop(compose);
    proxy.changes()
}

fn settled(stage: &Stage, image: &str) -> Option<()> {
    let wanted = engine::by_hand(async |docker| docker.inspect_image(image).await.unwrap().id);
    let container = stage.inspect()?;
    let there = container.image == wanted && stage.run().is_some() && stage.containers().len() == 1;
    there.then_some(())
}

#[test]
fn at_every_call_of_a_deployment() {
    let _shared = engine::shared();
    let stage = Stage::new("cut");
    drop(stage.up(""));
    // What a whole deployment consists of is found out, not assumed.
    let calls = deploy_with(&stage, "fixture:2", "", Cut::Never);
    assert!(calls.len() >= 6, "{calls:?}");
    let mut image = 2;
    for at in 1..=calls.len() {
        for cut in [Cut::Before(at), Cut::After(at)] {
            image = 3 - image;
            let name = format!("fixture:{image}");
            let starts = stage.starts();
            deploy_with(&stage, &name, "", cut);
            let compose = stage.compose();
            wait_until(
                || format!("{name} after {cut:?} of {calls:?}; {}", compose.output()),
                || settled(&stage, &name),
            );
            wait_ready(stage.port);
            stage.wait_for("Ready");
            let added = stage.starts() - starts;
            assert!((1..=2).contains(&added), "{cut:?}: the data saw {added} starts");
            compose.stop();
        }
    }
}

#[test]
fn at_every_call_of_a_first_start() {
    let _shared = engine::shared();
    let calls = {
        let stage = Stage::new("firstcut");
        deploy_with(&stage, "fixture:1", "", Cut::Never)
    };
    for at in 1..=calls.len() {
        let stage = Stage::new("firstcut");
        deploy_with(&stage, "fixture:1", "", Cut::After(at));
        let compose = stage.compose();
        wait_until(
            || format!("a first start after {at} of {calls:?}; {}", compose.output()),
            || settled(&stage, "fixture:1"),
        );
        wait_ready(stage.port);
    }
}

#[test]
fn a_first_start_asks_the_engine_for_each_thing_once() {
    let _shared = engine::shared();
    let stage = Stage::new("once");
    let calls = deploy_with(&stage, "fixture:1", "", Cut::Never);
    let id = stage.inspect().unwrap().id.unwrap();
    let mut asked: Vec<String> =
        calls.iter().map(|call| call.split('?').next().unwrap_or_default().replace(&id, "ID")).collect();
    // The network may be there from others.
    asked.retain(|call| call != "POST /networks/create");
    let once = ["POST /volumes/create", "POST /volumes/create", "POST /containers/create", "POST /containers/ID/start"];
    assert_eq!(asked, once);
}

#[test]
fn an_unchanged_instance_costs_reads_alone() {
    let _shared = engine::shared();
    let stage = Stage::new("unchanged");
    drop(stage.up(""));
    let proxy = Proxy::start(Cut::Never);
    let compose = stage.place.compose(&["--runtime", "docker", "--docker-host", &proxy.host(), "--resync", "300ms"]);
    stage.wait_for("Ready");
    let begun = proxy.reads();
    wait_until(|| "a few passes".into(), || (proxy.reads() > begun + 20).then_some(()));
    assert_eq!(proxy.changes(), Vec::<String>::new(), "{}", compose.output());
}
