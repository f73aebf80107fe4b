//! A backup is ended and answered whatever is killed meanwhile: its job, the reconciler, the engine.

use bollard::query_parameters::KillContainerOptions;
use mai_contract::job::Outcome;
use mai_operator::core::{InstanceId, JobRequest, JobWork};
use mai_operator::runtime::JobRequestFile;

use super::engine;
use super::environment::{Environment, inspect};
use super::proxy::{Cut, Proxy};

use crate::fixtures::compose::{Compose, wait_until};

const NAME: &str = "20261130-020000-1f2e3d";
/// Due once a year, so that only what a test asks for is made.
const SELDOM: &str = "  backup: {schedule: \"0 2 1 1 *\"}\n";

/// A client whose job does what it is told, with a request for one.
struct Asked {
    env: Environment,
    file: JobRequestFile,
    id: InstanceId,
}

impl Asked {
    fn new(name: &str) -> (Self, Compose) {
        let env = Environment::new(name);
        let compose = env.up(SELDOM);
        let labels = env.inspect().unwrap().config.unwrap().labels.unwrap();
        let id = InstanceId { namespace: "default".into(), name: name.into(), uid: labels["mai.dev/uid"].clone() };
        let file = JobRequestFile::new(&env.workspace.state.join("instances").join(name));
        (Self { env, file, id }, compose)
    }

    /// Asks for a job that goes on until it is released.
    fn ask(&self, name: &str) {
        let request = JobRequest { name: name.to_owned(), reason: "hold".to_owned(), work: JobWork::Backup };
        self.file.ask(&self.id, &request).unwrap();
    }

    fn container(&self) -> String {
        format!("{}.job", self.env.container())
    }

    fn runs(&self) -> bool {
        let state = inspect(&self.container()).and_then(|container| container.state);
        state.is_some_and(|state| state.running == Some(true))
    }

    fn wait_running(&self, compose: &Compose) {
        wait_until(|| format!("a running job; {}", compose.output()), || self.runs().then_some(()));
    }

    fn release(&self) {
        std::fs::write(self.env.volume("backups").join("release"), "").unwrap();
    }

    fn take_answer(&self, name: &str) -> Option<String> {
        match self.file.take_answer(name).unwrap()? {
            Outcome::Failed { message } => Some(message),
            made => panic!("{made:?}"),
        }
    }

    fn wait_answer(&self, name: &str, compose: &Compose) -> String {
        wait_until(|| format!("an answer to {name}; {}", compose.output()), || self.take_answer(name))
    }

    fn wait_removed(&self, compose: &Compose) {
        let directory = self.env.workspace.state.join("instances").join(&self.env.name).join("job");
        let left = || (inspect(&self.container()).and_then(|container| container.state), directory.exists());
        wait_until(
            || format!("the removal of the job; {:?} is left; {}", left(), compose.output()),
            || (left() == (None, false)).then_some(()),
        );
    }
}

#[test]
fn killed_job_is_reported_and_its_server_untouched() {
    let _shared = engine::shared();
    let (asked, compose) = Asked::new("struck");
    let run = asked.env.run().unwrap();
    asked.ask(NAME);
    asked.wait_running(&compose);
    engine::with_docker(async |docker| {
        docker.kill_container(&asked.container(), None::<KillContainerOptions>).await.unwrap();
    });
    let message = asked.wait_answer(NAME, &compose);
    assert!(message.contains("signal 9"), "{message}");
    let shown = asked.env.workspace.wait_for_reason("struck", "BackupHealthy", "BackupFailed");
    assert!(shown.contains("signal 9"), "{shown}");
    asked.wait_removed(&compose);
    asked.env.assert_unchanged(&run);
    compose.stop();
}

#[test]
fn backup_is_ended_by_the_successor_of_a_killed_reconciler() {
    let _shared = engine::shared();
    let (asked, mut compose) = Asked::new("orphaned");
    let run = asked.env.run().unwrap();
    asked.ask(NAME);
    asked.wait_running(&compose);
    let job = inspect(&asked.container()).unwrap().id;
    compose.kill();
    let mut compose = asked.env.compose();
    asked.env.wait_for("Ready");
    assert_eq!(inspect(&asked.container()).unwrap().id, job);
    compose.kill();
    // It ends while nobody watches.
    asked.release();
    wait_until(|| "its end".into(), || (!asked.runs()).then_some(()));
    let compose = asked.env.compose();
    assert_eq!(asked.wait_answer(NAME, &compose), "1 starts, 0 secrets");
    asked.wait_removed(&compose);
    asked.env.assert_unchanged(&run);
    compose.stop();
}

#[test]
fn backup_killed_at_any_call_is_answered_and_leaves_nothing() {
    let _shared = engine::shared();
    let (asked, compose) = Asked::new("cut-off");
    compose.stop();
    asked.release();
    let mut number = 0;
    let mut make_through = |cut: Cut, calls: usize| {
        number += 1;
        let name = format!("20261130-0300{number:02}-1f2e3d");
        let proxy = Proxy::start(cut);
        asked.ask(&name);
        let mut compose = asked.env.compose_on(&proxy.host());
        if cut == Cut::Never {
            asked.wait_answer(&name, &compose);
            asked.wait_removed(&compose);
            compose.stop();
            return proxy.changes();
        }
        // An answer means that this time it took fewer calls.
        let mut answer = None;
        wait_until(
            || format!("call {calls}; {}", compose.output()),
            || {
                answer = asked.take_answer(&name);
                (proxy.changes().len() >= calls || answer.is_some()).then_some(())
            },
        );
        compose.kill();
        let compose = asked.env.compose();
        if answer.is_none() {
            asked.wait_answer(&name, &compose);
        }
        asked.wait_removed(&compose);
        compose.stop();
        proxy.changes()
    };
    let calls = make_through(Cut::Never, 0);
    assert!(calls.len() >= 3, "{calls:?}");
    for at in 1..=calls.len() {
        make_through(Cut::Before(at), at);
        make_through(Cut::After(at), at);
    }
    assert_eq!(asked.env.starts(), 1, "the server was started again");
}

#[test]
fn engine_restart_during_a_backup_is_reported() {
    let _alone = engine::alone();
    let (asked, compose) = Asked::new("unplugged");
    let run = asked.env.run().unwrap();
    asked.ask(NAME);
    asked.wait_running(&compose);
    engine::send("restart");
    let message = asked.wait_answer(NAME, &compose);
    assert!(message.contains("ended the job") || message.contains("exit code"), "{message}");
    asked.env.wait_for_another(&run);
    asked.wait_removed(&compose);
    asked.release();
    asked.ask("20261130-030000-1f2e3d");
    let message = asked.wait_answer("20261130-030000-1f2e3d", &compose);
    assert!(message.contains("starts"), "{message}");
    compose.stop();
}

#[test]
fn removed_document_takes_its_job_along() {
    let _shared = engine::shared();
    let (asked, compose) = Asked::new("withdrawn");
    asked.ask(NAME);
    asked.wait_running(&compose);
    asked.env.workspace.remove("instance.yaml");
    wait_until(|| format!("no container; {}", compose.output()), || asked.env.containers().is_empty().then_some(()));
    asked.wait_removed(&compose);
    compose.stop();
}
