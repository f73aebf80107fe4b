//! How one container takes the place of another: the next move, told from what is there. Nothing is remembered between two moves, so
//! whoever is killed after any of them is followed by one who goes on from there.
//!
//! ```text
//! first      create active → start active
//! replace    create next → active becomes former → next becomes active → stop former → start active
//! commit     remove former
//! roll back  stop active → remove it → former becomes active → start
//! ```
//!
//! Names are changed while the former one still serves, so that nobody waits for it. One that fails again and again serves nobody and is
//! stopped first.

use super::cast::{Cast, Part};

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// What is asked for serves; what served before is kept.
    Replace,
    /// What was replaced is gone.
    Commit,
    /// What was replaced serves again.
    RollBack,
    /// What is there serves, as it is.
    Resume,
    /// Nothing runs.
    Stop,
    /// Nothing is there.
    Remove,
    /// Names and leftovers are in order; what serves goes on.
    Tidy,
}

/// The name a container is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Active,
    Next,
    Former,
}

/// One thing to ask of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Make the container that is asked for.
    Create(Role),
    Start(Part),
    Stop(Part),
    Remove(Part),
    Rename(Part, Role),
    Done,
}

/// Which of the containers are what is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fits {
    pub(super) active: bool,
    pub(super) next: bool,
}

/// The next move towards `goal`.
pub(super) fn next_move(goal: Goal, cast: &Cast, active_name: &str, fits: Fits) -> Move {
    match towards(goal, cast, active_name, fits) {
        Move::Rename(part, _) if part.waits => Move::Stop(part),
        step => step,
    }
}

fn towards(goal: Goal, cast: &Cast, active_name: &str, fits: Fits) -> Move {
    match goal {
        Goal::Stop => return cast.parts().find(|part| part.runs).map_or(Move::Done, |part| Move::Stop(part.clone())),
        Goal::Remove => {
            let first = cast.parts().find(|part| part.runs).map(|part| Move::Stop(part.clone()));
            return first.or_else(|| cast.parts().next().map(|part| Move::Remove(part.clone()))).unwrap_or(Move::Done);
        }
        Goal::Replace | Goal::Commit | Goal::RollBack | Goal::Resume | Goal::Tidy => {}
    }
    // Two servers on one data directory are never good, whoever started them.
    let serves_until_named = goal == Goal::Replace && cast.active.is_none();
    let former = cast.former.iter().filter(|_| !serves_until_named);
    if let Some(second) = cast.strays.iter().chain(&cast.next).chain(former).find(|part| part.runs) {
        return Move::Stop(second.clone());
    }
    if let Some(stray) = cast.strays.first() {
        return Move::Remove(stray.clone());
    }
    if let Some(active) = cast.active.as_ref().filter(|active| active.name != active_name) {
        return Move::Rename(active.clone(), Role::Active);
    }
    match goal {
        Goal::Replace => replace(cast, fits),
        Goal::Commit => match cast.former.as_ref().or(cast.next.as_ref()) {
            Some(part) => Move::Remove(part.clone()),
            None => Move::Done,
        },
        Goal::RollBack => roll_back(cast),
        Goal::Resume => match &cast.active {
            Some(active) if !active.runs => Move::Start(active.clone()),
            _ => Move::Done,
        },
        Goal::Tidy => match &cast.next {
            Some(next) => Move::Remove(next.clone()),
            None => Move::Done,
        },
        Goal::Stop | Goal::Remove => Move::Done,
    }
}

fn gone(part: &Part) -> Move {
    if part.runs { Move::Stop(part.clone()) } else { Move::Remove(part.clone()) }
}

fn replace(cast: &Cast, fits: Fits) -> Move {
    if let Some(active) = cast.active.as_ref().filter(|_| fits.active) {
        return match &cast.next {
            Some(next) => Move::Remove(next.clone()),
            None if active.runs => Move::Done,
            None => Move::Start(active.clone()),
        };
    }
    match &cast.next {
        // Nothing has to give up a name for it.
        None if cast.active.is_none() && cast.former.is_none() => Move::Create(Role::Active),
        None => Move::Create(Role::Next),
        Some(next) if !fits.next => Move::Remove(next.clone()),
        Some(next) => match (&cast.active, &cast.former) {
            // What is active has never answered, or it would not have a former one: that one is worth more.
            (Some(active), Some(_)) => gone(active),
            (Some(active), None) => Move::Rename(active.clone(), Role::Former),
            (None, _) => Move::Rename(next.clone(), Role::Active),
        },
    }
}

fn roll_back(cast: &Cast) -> Move {
    if let Some(next) = &cast.next {
        return Move::Remove(next.clone());
    }
    match (&cast.active, &cast.former) {
        (Some(active), Some(_)) => gone(active),
        (None, Some(former)) => Move::Rename(former.clone(), Role::Active),
        (Some(active), None) if !active.runs => Move::Start(active.clone()),
        (Some(_) | None, None) => Move::Done,
    }
}

#[cfg(test)]
#[path = "dance_tests.rs"]
mod tests;
