//! Hosts: containers and their launchers, which outlive the worker, and clocks.

use crate::Protocol;
use crate::action::Action;
use crate::guards::Guards;
use crate::owner;
use crate::state::State;
use crate::words::{CONTAINERS, Grant, Outcome, WORKERS};
use crate::worker::{Life, Slot};

/// A host: it outlives its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// Its containers.
    pub containers: [Option<Container>; CONTAINERS],
    /// How many ticks its clock is behind the owner's.
    pub behind: u8,
}

/// A container on a host, with its launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Container {
    /// Its attempt, by label.
    pub grant: Grant,
    /// What it does.
    pub doing: Doing,
    /// Ticks until the deadline in its file; 0 has passed.
    pub left: u8,
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// Created, never started.
    Nothing,
    /// The daemon is about to start it.
    Starting,
    /// Its command runs.
    Running,
    /// It has ended so, by its launcher's record.
    Ended(Outcome),
}

/// What happens on a host by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The daemon carries out a start; the launcher looks at the deadline.
    Launch(usize),
    /// A command ends.
    Exit(usize, Outcome),
}

/// What may happen on a host.
pub fn steps(state: &State, host: u8, out: &mut Vec<Action>) {
    for (at, container) in state.hosts[usize::from(host)].containers.iter().enumerate() {
        match container.map(|container| container.doing) {
            Some(Doing::Starting) => out.push(Action::Host(host, Step::Launch(at))),
            Some(Doing::Running) => {
                out.push(Action::Host(host, Step::Exit(at, Outcome::Success)));
                if state.budget.failures > 0 {
                    out.push(Action::Host(host, Step::Exit(at, Outcome::Failure)));
                }
            }
            _ => {}
        }
    }
}

/// Takes such a step.
pub fn take(state: &mut State, guards: &Guards, host: u8, step: Step) {
    let at = match step {
        Step::Launch(at) | Step::Exit(at, _) => at,
    };
    let Some(container) = &mut state.hosts[usize::from(host)].containers[at] else { return };
    container.doing = match step {
        Step::Launch(_) if container.left > 0 || !guards.start => Doing::Running,
        Step::Launch(_) => Doing::Ended(Outcome::Disruption),
        Step::Exit(_, outcome) => {
            state.budget.failures -= u8::from(outcome == Outcome::Failure);
            Doing::Ended(outcome)
        }
    };
}

impl Host {
    /// The container of an attempt.
    pub fn container(&mut self, of: Grant) -> Option<&mut Container> {
        self.containers.iter_mut().flatten().find(|container| container.grant == of)
    }

    /// Puts a new container on the host, unless there is no room for it.
    pub fn create(&mut self, grant: Grant, left: u8) {
        if let Some(room) = self.containers.iter_mut().find(|room| room.is_none()) {
            *room = Some(Container { grant, doing: Doing::Nothing, left });
        }
    }

    /// Whether there is room for a container.
    pub fn has_room(&self) -> bool {
        self.containers.iter().any(Option::is_none)
    }

    /// Removes an attempt's container, whatever it does.
    pub fn remove(&mut self, of: Grant) {
        for room in &mut self.containers {
            if room.is_some_and(|container| container.grant == of) {
                *room = None;
            }
        }
        self.containers.sort_unstable_by_key(|room| {
            room.map_or((true, Default::default()), |container| (false, container.grant.token))
        });
    }

    /// Moves the deadline of an attempt's container; one that has ended stays so.
    pub fn write_deadline(&mut self, of: Grant, left: u8) {
        if let Some(container) = self.container(of)
            && !matches!(container.doing, Doing::Ended(_))
        {
            container.left = left;
        }
    }
}

/// One tick of the owner's clock, in which each host's goes on by as much as is allowed.
pub fn ticks(state: &State, protocol: &Protocol, out: &mut Vec<Action>) {
    let allowed = |host: &Host| {
        let behind = host.behind;
        [(1, true), (0, behind < protocol.bounds.drift), (2, behind > 0)]
    };
    let [one, other] = [allowed(&state.hosts[0]), allowed(&state.hosts[1])];
    for (first, _) in one.into_iter().filter(|(_, allowed)| *allowed) {
        for (second, _) in other.into_iter().filter(|(_, allowed)| *allowed) {
            out.push(Action::Tick([first, second]));
        }
    }
}

/// Time passes.
pub fn tick(state: &mut State, guards: &Guards, by: [u8; WORKERS]) {
    for (host, by) in (0u8..).zip(by) {
        let at = usize::from(host);
        state.hosts[at].behind = state.hosts[at].behind + 1 - by;
        pass(state, guards, host, by);
    }
    owner::tick(state);
}

/// Time passes on one host.
fn pass(state: &mut State, guards: &Guards, host: u8, by: u8) {
    let worker = &mut state.workers[usize::from(host)];
    let alive = worker.life == Life::Up;
    worker.age(guards, by);
    for container in state.hosts[usize::from(host)].containers.iter_mut().flatten() {
        container.left = container.left.saturating_sub(by);
        let has =
            |slot: &Slot| matches!(slot, Slot::Has(attempt) if attempt.grant == container.grant);
        let watched = guards.launcher || (alive && worker.slots.iter().any(has));
        if container.doing == Doing::Running && container.left == 0 && watched {
            container.doing = Doing::Ended(Outcome::Disruption);
        }
    }
}

/// A count of ticks goes on, up to what matters.
pub fn count(age: &mut u8, by: u8, most: u8) {
    *age = (*age + by).min(most);
}
