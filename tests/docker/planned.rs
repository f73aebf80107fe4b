//! `mai plan` on an engine: told by field, and nothing is made or changed.

use super::engine;
use super::stage::Stage;

fn plan(stage: &Stage) -> (i32, serde_json::Value) {
    let (code, out, err) =
        stage.place.mai("plan", &["--json", "--runtime", "docker", "--docker-host", &engine::host()]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

#[test]
fn what_would_change_is_told_by_field_and_the_engine_is_only_read() {
    let _engine = engine::shared();
    let stage = Stage::new("planned");
    stage.declare("fixture:1", "");
    let (code, planned) = plan(&stage);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &"start".into()), "{planned}");
    assert!(stage.inspect().is_none() && !stage.place.state.exists());

    let _compose = stage.up("");
    let run = stage.run().unwrap();
    let (code, planned) = plan(&stage);
    assert_eq!((code, &planned["instances"][0]["action"]), (0, &"none".into()), "{planned}");
    drop(_compose);

    stage.declare("fixture:2", "");
    let (code, planned) = plan(&stage);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &"replace".into()), "{planned}");
    let changes = planned["instances"][0]["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["field"] == "image"), "{planned}");

    stage.declare("fixture:1", "  resources: {limits: {memory: 64Mi}}\n");
    let (code, planned) = plan(&stage);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &"update".into()), "{planned}");
    assert_eq!(planned["instances"][0]["changes"][0]["field"], "memory", "{planned}");
    assert_eq!(stage.run(), Some(run));
}
