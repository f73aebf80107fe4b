//! The recovery kit is printed and asked for until somebody proved to have the keys.

use super::fleet::{Copies, Keys};
use crate::fixtures::compose::{Workspace, document};
use crate::fixtures::ports::free_port;

#[test]
fn recovery_kit_is_asked_for_until_confirmed_with_its_keys() {
    let (copies, keys, others) = (Copies::directory(), Keys::new(), Keys::new());
    let workspace = Workspace::new();
    workspace.write("a.yaml", &document("alpha", free_port(), ""));
    let compose = workspace.compose(&[]);
    compose.wait_for_line(&["alpha", "ready"]);
    let (code, out, err) = workspace.mai("recovery-kit", &[]);
    assert!(code == 1 && err.contains("no backup leaves this machine"), "{out}{err}");
    assert!(!compose.output().contains("recovery kit"), "{}", compose.output());
    compose.stop();

    let arguments = [copies.to(), vec!["--recovery-recipient", &keys.public]].concat();
    let compose = workspace.compose(&arguments);
    compose.wait_for_line(&["recovery kit", "not confirmed"]);
    compose.wait_for_line(&["alpha", "ready"]);
    let (code, page, err) = workspace.mai("recovery-kit", &[]);
    assert!(code == 0 && err.contains("--confirm"), "{page}{err}");
    let command = format!("mai recover {} --from {}", workspace.documents.display(), copies.address);
    assert!(page.contains(&keys.public) && page.contains(&command), "{page}");
    assert!(workspace.mai("status", &[]).1.contains("recovery kit"));

    for more in [vec![], vec!["--identity", others.identity()]] {
        let (code, out, err) = workspace.mai("recovery-kit", &[vec!["--confirm"], more].concat());
        assert!(code == 1 && err.contains(&keys.public) && err.contains("--identity FILE"), "{out}{err}");
    }
    let (code, out, err) = workspace.mai("recovery-kit", &["--confirm", "--identity", keys.identity()]);
    assert!(code == 0 && out.contains("confirmed"), "{out}{err}");
    assert!(!workspace.mai("status", &[]).1.contains("recovery kit"));
    compose.stop();

    let compose = workspace.compose(&arguments);
    compose.wait_for_line(&["alpha", "ready"]);
    assert!(!compose.output().contains("recovery kit"), "{}", compose.output());
    compose.stop();
    let both = format!("{},{}", keys.public, others.public);
    let changed = [copies.to(), vec!["--recovery-recipient", &both]].concat();
    let compose = workspace.compose(&changed);
    compose.wait_for_line(&["recovery kit", "not confirmed"]);
    compose.stop();
}
