//! Replacement on simulated containers: every start, every interruption.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const ACTIVE: &str = "mai-abc";

/// A container and what it was made from: "new" is what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    container: ContainerRef,
    from: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Simulation {
    active: Option<Made>,
    next: Option<Made>,
    retained: Option<Made>,
    surplus: Vec<Made>,
}

/// One that ends again and again.
fn failing(name: &str, from: &'static str) -> Option<Made> {
    let mut made = made(name, from, true)?;
    made.container.awaits_restart = true;
    Some(made)
}

fn made(name: &str, from: &'static str, is_running: bool) -> Option<Made> {
    Some(Made {
        container: ContainerRef {
            id: format!("{from} {name}"),
            name: name.to_owned(),
            is_running,
            awaits_restart: false,
        },
        from,
    })
}

impl Simulation {
    fn containers(&self) -> InstanceContainers {
        let container = |made: &Option<Made>| made.as_ref().map(|made| made.container.clone());
        InstanceContainers {
            active: container(&self.active),
            next: container(&self.next),
            retained: container(&self.retained),
            surplus: self.surplus.iter().map(|made| made.container.clone()).collect(),
            foreign: None,
        }
    }

    fn up_to_date(&self) -> UpToDate {
        let new = |made: &Option<Made>| made.as_ref().is_some_and(|made| made.from == "new");
        UpToDate { active: new(&self.active), next: new(&self.next) }
    }

    fn next_step(&self, goal: Goal) -> Step {
        next_step(goal, &self.containers(), ACTIVE, self.up_to_date())
    }

    fn find(&mut self, container: &ContainerRef) -> &mut Option<Made> {
        for place in [&mut self.active, &mut self.next, &mut self.retained] {
            if place.as_ref().is_some_and(|made| made.container == *container) {
                return place;
            }
        }
        panic!("{container:?} is nowhere");
    }

    /// Does what an engine would, and refuses what it would refuse.
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Create(role) => {
                let (place, name) = match role {
                    CreateRole::Active => (&mut self.active, ACTIVE),
                    CreateRole::Next => (&mut self.next, "mai-abc.next"),
                };
                assert!(place.is_none(), "the name is taken");
                *place = made(name, "new", false);
            }
            Step::Start(container) => {
                let others = [&self.active, &self.next, &self.retained]
                    .into_iter()
                    .flatten()
                    .filter(|made| made.container.is_running)
                    .count();
                assert_eq!(others, 0, "two servers on one data directory");
                self.find(container).as_mut().unwrap().container.is_running = true;
            }
            Step::Stop(container) => {
                if let Some(surplus) = self.surplus.iter_mut().find(|made| made.container == *container) {
                    surplus.container.is_running = false;
                    return;
                }
                let container = &mut self.find(container).as_mut().unwrap().container;
                (container.is_running, container.awaits_restart) = (false, false);
            }
            Step::Remove(container) => {
                assert!(!container.is_running, "a running container is not removed");
                if self.surplus.iter().any(|made| made.container == *container) {
                    self.surplus.retain(|made| made.container != *container);
                    return;
                }
                *self.find(container) = None;
            }
            Step::Rename(container, role) => {
                assert!(!container.awaits_restart, "the engine refuses to rename what it is about to start");
                let mut moved = self.find(container).take().unwrap();
                let (place, name) = match role {
                    RenameRole::Active => (&mut self.active, ACTIVE),
                    RenameRole::Retained => (&mut self.retained, "mai-abc.former"),
                };
                assert!(place.is_none(), "the name is taken");
                moved.container.name = name.to_owned();
                *place = Some(moved);
            }
            Step::Done => {}
        }
    }

    fn run(&mut self, goal: Goal, at_most: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        while steps.len() < at_most {
            let step = self.next_step(goal);
            if step == Step::Done {
                return steps;
            }
            self.apply(&step);
            steps.push(step);
            assert!(steps.len() < 20, "{goal:?} never ends: {steps:?}");
        }
        steps
    }

    fn summary(&self) -> String {
        let shown = |made: &Option<Made>| {
            made.as_ref().map_or("-".to_owned(), |made| {
                format!("{}{}", made.from, if made.container.is_running { "*" } else { "" })
            })
        };
        format!("{}/{}/{}", shown(&self.active), shown(&self.next), shown(&self.retained))
    }
}

/// Every combination of containers that could ever be found, most of which no crash can leave.
fn every_simulation() -> Vec<Simulation> {
    let options = |name: &str| {
        let mut options = vec![None];
        for from in ["old", "new"] {
            for runs in [false, true] {
                options.push(made(name, from, runs));
            }
            options.push(failing(name, from));
        }
        options
    };
    let mut simulations = Vec::new();
    for active in options(ACTIVE).into_iter().chain(options("renamed").into_iter().skip(1)) {
        for next in options("mai-abc.next") {
            for retained in options("mai-abc.former") {
                for extra in [None, made("surplus", "old", true)] {
                    let runs = [&active, &next, &retained, &extra]
                        .into_iter()
                        .flatten()
                        .filter(|made| made.container.is_running)
                        .count();
                    if runs <= 1 {
                        simulations.push(Simulation {
                            active: active.clone(),
                            next: next.clone(),
                            retained: retained.clone(),
                            surplus: extra.into_iter().collect(),
                        });
                    }
                }
            }
        }
    }
    simulations
}

#[test]
fn replacement_is_created_before_the_stop_and_old_one_retained() {
    let mut simulation = Simulation { active: made(ACTIVE, "old", true), ..Simulation::default() };
    let mut seen = vec![simulation.summary()];
    loop {
        let step = simulation.next_step(Goal::Replace);
        if step == Step::Done {
            break;
        }
        simulation.apply(&step);
        seen.push(simulation.summary());
    }
    assert_eq!(seen, ["old*/-/-", "old*/new/-", "-/new/old*", "new/-/old*", "new/-/old", "new*/-/old"]);
    simulation.run(Goal::Commit, 99);
    assert_eq!(simulation.summary(), "new*/-/-");
}

#[test]
fn first_container_is_created_under_its_name_and_started() {
    let mut simulation = Simulation::default();
    let steps = simulation.run(Goal::Replace, 99);
    assert!(matches!(&steps[..], [Step::Create(CreateRole::Active), Step::Start(_)]), "{steps:?}");
}

#[test]
fn start_is_always_the_last_step() {
    for start in every_simulation() {
        for goal in [Goal::Replace, Goal::RollBack, Goal::Resume] {
            let steps = start.clone().run(goal, 99);
            let starts = steps.iter().position(|step| matches!(step, Step::Start(_)));
            assert!(starts.is_none_or(|at| at + 1 == steps.len()), "{goal:?} from {}: {steps:?}", start.summary());
        }
    }
}

#[test]
fn failing_server_is_stopped_before_its_rename() {
    let mut simulation = Simulation { active: failing(ACTIVE, "old"), ..Simulation::default() };
    let steps = simulation.run(Goal::Replace, 99);
    assert!(matches!(&steps[..2], [Step::Create(CreateRole::Next), Step::Stop(_)]), "{steps:?}");
    assert_eq!(simulation.summary(), "new*/-/old");
}

#[test]
fn rollback_restores_the_retained_container() {
    let mut simulation = Simulation {
        active: made(ACTIVE, "new", true),
        retained: made("mai-abc.former", "old", false),
        ..Simulation::default()
    };
    simulation.run(Goal::RollBack, 99);
    assert_eq!(simulation.summary(), "old*/-/-");
}

#[test]
fn second_replacement_retains_the_last_ready_container() {
    let mut simulation = Simulation {
        active: made(ACTIVE, "old", true),
        retained: made("mai-abc.former", "old", false),
        ..Simulation::default()
    };
    let kept = simulation.retained.clone();
    simulation.run(Goal::Replace, 99);
    assert_eq!(simulation.summary(), "new*/-/old");
    assert_eq!(simulation.retained, kept);
}

#[test]
fn every_goal_is_reached_despite_interruptions() {
    for start in every_simulation() {
        for goal in [Goal::Replace, Goal::Commit, Goal::RollBack, Goal::Resume, Goal::Stop, Goal::Remove, Goal::CleanUp]
        {
            let mut straight = start.clone();
            let steps = straight.run(goal, 99).len();
            for interrupted in 1..steps {
                let mut simulation = start.clone();
                simulation.run(goal, interrupted);
                simulation.run(goal, 99);
                assert_eq!(simulation, straight, "{goal:?} from {} interrupted after {interrupted}", start.summary());
            }
            let running = |made: &Option<Made>| made.as_ref().is_some_and(|made| made.container.is_running);
            match goal {
                Goal::Replace => {
                    assert!(running(&straight.active) && straight.up_to_date().active && straight.next.is_none())
                }
                Goal::Commit => assert!(straight.retained.is_none() && straight.next.is_none()),
                Goal::RollBack => {
                    assert!(straight.retained.is_none() && (straight.active.is_none() || running(&straight.active)))
                }
                Goal::Resume => assert!(straight.active.is_none() || running(&straight.active)),
                Goal::Stop => assert!(![&straight.active, &straight.next, &straight.retained].into_iter().any(running)),
                Goal::Remove => assert_eq!(straight, Simulation::default()),
                Goal::CleanUp => {
                    // One that had to be stopped for its name did not serve; it is started like any
                    // that is found stopped.
                    let failed = |made: &Made| made.container.awaits_restart && made.container.name != ACTIVE;
                    let stopped = start.active.as_ref().is_some_and(failed);
                    assert!(straight.surplus.is_empty());
                    assert_eq!(running(&straight.active), running(&start.active) && !stopped);
                }
            }
        }
    }
}

#[test]
fn interrupted_replacement_can_be_rolled_back() {
    let start = Simulation { active: made(ACTIVE, "old", true), ..Simulation::default() };
    for steps in 0..=5 {
        let mut simulation = start.clone();
        simulation.run(Goal::Replace, steps);
        simulation.run(Goal::RollBack, 99);
        assert_eq!(simulation.summary(), "old*/-/-", "after {steps} steps");
    }
}
