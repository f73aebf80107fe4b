//! `mai plan` on an engine lists changes by field and only reads.

use super::engine;
use super::environment::Environment;

fn plan(env: &Environment) -> (i32, serde_json::Value) {
    let (code, out, err) =
        env.workspace.mai("plan", &["--json", "--runtime", "docker", "--docker-host", &engine::host()]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

#[test]
fn plan_lists_changes_by_field_and_only_reads() {
    let _engine = engine::shared();
    let env = Environment::new("planned");
    env.declare("fixture:1", "");
    let (code, planned) = plan(&env);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &"start".into()), "{planned}");
    assert!(env.inspect().is_none() && !env.workspace.state.exists());

    let _compose = env.up("");
    let run = env.run().unwrap();
    let (code, planned) = plan(&env);
    assert_eq!((code, &planned["instances"][0]["action"]), (0, &"none".into()), "{planned}");
    drop(_compose);

    env.declare("fixture:2", "");
    let (code, planned) = plan(&env);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &"replace".into()), "{planned}");
    let changes = planned["instances"][0]["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["field"] == "image"), "{planned}");

    env.declare("fixture:1", "  resources: {limits: {memory: 64Mi}}\n");
    let (code, planned) = plan(&env);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &"update".into()), "{planned}");
    assert_eq!(planned["instances"][0]["changes"][0]["field"], "memory", "{planned}");
    assert_eq!(env.run(), Some(run));
}
