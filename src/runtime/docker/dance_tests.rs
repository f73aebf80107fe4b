//! The dance on a floor of plain data: every start, every interruption.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const ACTIVE: &str = "mai-abc";

/// A container and what it was made from: "new" is what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    part: Part,
    from: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Floor {
    active: Option<Made>,
    next: Option<Made>,
    former: Option<Made>,
    strays: Vec<Made>,
}

/// One that ends again and again.
fn failing(name: &str, from: &'static str) -> Option<Made> {
    let mut made = made(name, from, true)?;
    made.part.waits = true;
    Some(made)
}

fn made(name: &str, from: &'static str, runs: bool) -> Option<Made> {
    Some(Made { part: Part { id: format!("{from} {name}"), name: name.to_owned(), runs, waits: false }, from })
}

impl Floor {
    fn cast(&self) -> Cast {
        let part = |made: &Option<Made>| made.as_ref().map(|made| made.part.clone());
        Cast {
            active: part(&self.active),
            next: part(&self.next),
            former: part(&self.former),
            strays: self.strays.iter().map(|made| made.part.clone()).collect(),
            taken: None,
        }
    }

    fn fits(&self) -> Fits {
        let new = |made: &Option<Made>| made.as_ref().is_some_and(|made| made.from == "new");
        Fits { active: new(&self.active), next: new(&self.next) }
    }

    fn next_move(&self, goal: Goal) -> Move {
        next_move(goal, &self.cast(), ACTIVE, self.fits())
    }

    fn find(&mut self, part: &Part) -> &mut Option<Made> {
        for place in [&mut self.active, &mut self.next, &mut self.former] {
            if place.as_ref().is_some_and(|made| made.part == *part) {
                return place;
            }
        }
        panic!("{part:?} is nowhere");
    }

    fn place(&mut self, role: Role) -> (&mut Option<Made>, &'static str) {
        match role {
            Role::Active => (&mut self.active, ACTIVE),
            Role::Next => (&mut self.next, "mai-abc.next"),
            Role::Former => (&mut self.former, "mai-abc.former"),
        }
    }

    /// Does what an engine would, and refuses what it would refuse.
    fn apply(&mut self, step: &Move) {
        match step {
            Move::Create(role) => {
                let (place, name) = self.place(*role);
                assert!(place.is_none(), "the name is taken");
                *place = made(name, "new", false);
            }
            Move::Start(part) => {
                let others = [&self.active, &self.next, &self.former]
                    .into_iter()
                    .flatten()
                    .filter(|made| made.part.runs)
                    .count();
                assert_eq!(others, 0, "two servers on one data directory");
                self.find(part).as_mut().unwrap().part.runs = true;
            }
            Move::Stop(part) => {
                if let Some(stray) = self.strays.iter_mut().find(|made| made.part == *part) {
                    stray.part.runs = false;
                    return;
                }
                let part = &mut self.find(part).as_mut().unwrap().part;
                (part.runs, part.waits) = (false, false);
            }
            Move::Remove(part) => {
                assert!(!part.runs, "a running container is not removed");
                if self.strays.iter().any(|made| made.part == *part) {
                    self.strays.retain(|made| made.part != *part);
                    return;
                }
                *self.find(part) = None;
            }
            Move::Rename(part, role) => {
                assert!(!part.waits, "the engine refuses to rename what it is about to start");
                let mut moved = self.find(part).take().unwrap();
                let (place, name) = self.place(*role);
                assert!(place.is_none(), "the name is taken");
                moved.part.name = name.to_owned();
                *place = Some(moved);
            }
            Move::Done => {}
        }
    }

    fn run(&mut self, goal: Goal, at_most: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        while moves.len() < at_most {
            let step = self.next_move(goal);
            if step == Move::Done {
                return moves;
            }
            self.apply(&step);
            moves.push(step);
            assert!(moves.len() < 20, "{goal:?} never ends: {moves:?}");
        }
        moves
    }

    fn summary(&self) -> String {
        let shown = |made: &Option<Made>| {
            made.as_ref()
                .map_or("-".to_owned(), |made| format!("{}{}", made.from, if made.part.runs { "*" } else { "" }))
        };
        format!("{}/{}/{}", shown(&self.active), shown(&self.next), shown(&self.former))
    }
}

/// Every combination of containers that could ever be found, most of which no crash can leave.
fn every_floor() -> Vec<Floor> {
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
    let mut floors = Vec::new();
    for active in options(ACTIVE).into_iter().chain(options("renamed").into_iter().skip(1)) {
        for next in options("mai-abc.next") {
            for former in options("mai-abc.former") {
                for stray in [None, made("stray", "old", true)] {
                    let runs =
                        [&active, &next, &former, &stray].into_iter().flatten().filter(|made| made.part.runs).count();
                    if runs <= 1 {
                        floors.push(Floor {
                            active: active.clone(),
                            next: next.clone(),
                            former: former.clone(),
                            strays: stray.into_iter().collect(),
                        });
                    }
                }
            }
        }
    }
    floors
}

#[test]
fn a_replacement_is_made_before_anything_stops_and_what_it_replaces_is_kept() {
    let mut floor = Floor { active: made(ACTIVE, "old", true), ..Floor::default() };
    let mut seen = vec![floor.summary()];
    loop {
        let step = floor.next_move(Goal::Replace);
        if step == Move::Done {
            break;
        }
        floor.apply(&step);
        seen.push(floor.summary());
    }
    assert_eq!(seen, ["old*/-/-", "old*/new/-", "-/new/old*", "new/-/old*", "new/-/old", "new*/-/old"]);
    floor.run(Goal::Commit, 99);
    assert_eq!(floor.summary(), "new*/-/-");
}

#[test]
fn where_nothing_is_one_is_made_under_its_name_and_started() {
    let mut floor = Floor::default();
    let moves = floor.run(Goal::Replace, 99);
    assert!(matches!(&moves[..], [Move::Create(Role::Active), Move::Start(_)]), "{moves:?}");
}

#[test]
fn a_start_is_the_last_move_of_every_way() {
    for start in every_floor() {
        for goal in [Goal::Replace, Goal::RollBack, Goal::Resume] {
            let moves = start.clone().run(goal, 99);
            let starts = moves.iter().position(|step| matches!(step, Move::Start(_)));
            assert!(starts.is_none_or(|at| at + 1 == moves.len()), "{goal:?} from {}: {moves:?}", start.summary());
        }
    }
}

#[test]
fn a_server_that_fails_again_and_again_is_stopped_before_it_gives_up_its_name() {
    let mut floor = Floor { active: failing(ACTIVE, "old"), ..Floor::default() };
    let moves = floor.run(Goal::Replace, 99);
    assert!(matches!(&moves[..2], [Move::Create(Role::Next), Move::Stop(_)]), "{moves:?}");
    assert_eq!(floor.summary(), "new*/-/old");
}

#[test]
fn a_rollback_puts_back_what_was_replaced() {
    let mut floor =
        Floor { active: made(ACTIVE, "new", true), former: made("mai-abc.former", "old", false), ..Floor::default() };
    floor.run(Goal::RollBack, 99);
    assert_eq!(floor.summary(), "old*/-/-");
}

#[test]
fn a_second_replacement_keeps_what_answered_last() {
    let mut floor =
        Floor { active: made(ACTIVE, "old", true), former: made("mai-abc.former", "old", false), ..Floor::default() };
    let kept = floor.former.clone();
    floor.run(Goal::Replace, 99);
    assert_eq!(floor.summary(), "new*/-/old");
    assert_eq!(floor.former, kept);
}

#[test]
fn every_goal_is_reached_from_everywhere_and_interruptions_change_nothing() {
    for start in every_floor() {
        for goal in [Goal::Replace, Goal::Commit, Goal::RollBack, Goal::Resume, Goal::Stop, Goal::Remove, Goal::Tidy] {
            let mut straight = start.clone();
            let moves = straight.run(goal, 99).len();
            for interrupted in 1..moves {
                let mut floor = start.clone();
                floor.run(goal, interrupted);
                floor.run(goal, 99);
                assert_eq!(floor, straight, "{goal:?} from {} interrupted after {interrupted}", start.summary());
            }
            let running = |made: &Option<Made>| made.as_ref().is_some_and(|made| made.part.runs);
            match goal {
                Goal::Replace => {
                    assert!(running(&straight.active) && straight.fits().active && straight.next.is_none())
                }
                Goal::Commit => assert!(straight.former.is_none() && straight.next.is_none()),
                Goal::RollBack => {
                    assert!(straight.former.is_none() && (straight.active.is_none() || running(&straight.active)))
                }
                Goal::Resume => assert!(straight.active.is_none() || running(&straight.active)),
                Goal::Stop => assert!(![&straight.active, &straight.next, &straight.former].into_iter().any(running)),
                Goal::Remove => assert_eq!(straight, Floor::default()),
                Goal::Tidy => {
                    // One that had to be stopped for its name did not serve; it is started like any that is found stopped.
                    let failed = |made: &Made| made.part.waits && made.part.name != ACTIVE;
                    let stopped = start.active.as_ref().is_some_and(failed);
                    assert!(straight.strays.is_empty());
                    assert_eq!(running(&straight.active), running(&start.active) && !stopped);
                }
            }
        }
    }
}

#[test]
fn whatever_interrupts_a_replacement_the_old_one_can_be_put_back() {
    let start = Floor { active: made(ACTIVE, "old", true), ..Floor::default() };
    for moves in 0..=5 {
        let mut floor = start.clone();
        floor.run(Goal::Replace, moves);
        floor.run(Goal::RollBack, 99);
        assert_eq!(floor.summary(), "old*/-/-", "after {moves} moves");
    }
}
