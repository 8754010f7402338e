//! The broker: tickets that may be lost, doubled, delayed or reordered without harm.

use crate::action::Action;
use crate::state::State;
use crate::words::{NUMBERS, Ticket};
use crate::worker::Slot;

/// More copies of a ticket than this are as good as this many.
const COPIES: u8 = 2;

/// A fault of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A ticket is lost.
    Lose(Ticket),
    /// A ticket is there once more, be it of an attempt of long ago.
    Double(Ticket),
}

/// What the broker may do.
pub fn steps(state: &State, out: &mut Vec<Action>) {
    if state.budget.losses > 0 {
        out.extend(state.tickets().map(|ticket| Action::Broker(Step::Lose(ticket))));
    }
    if state.budget.doubles > 0 {
        for (index, record) in (0u8..).zip(&state.redis.records) {
            let tickets = (1..=record.attempt).map(|attempt| Ticket { index, attempt });
            let fewer = tickets.filter(|ticket| state.copies(*ticket) < COPIES);
            out.extend(fewer.map(|ticket| Action::Broker(Step::Double(ticket))));
        }
    }
}

/// Takes such a step.
pub fn take(state: &mut State, step: Step) {
    match step {
        Step::Lose(ticket) => {
            state.budget.losses -= 1;
            state.take_ticket(ticket);
        }
        Step::Double(ticket) => {
            state.budget.doubles -= 1;
            state.put_ticket(ticket);
        }
    }
}

impl State {
    /// The tickets in the queue, each once. Any of them may come next.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> + '_ {
        (0u8..).zip(&self.queue).flat_map(|(index, copies)| {
            let there = (0u8..).zip(copies).filter(|(_, copies)| **copies > 0);
            there.map(move |(attempt, _)| Ticket { index, attempt })
        })
    }

    /// Puts a ticket into the queue.
    pub fn put_ticket(&mut self, ticket: Ticket) {
        let copies =
            &mut self.queue[usize::from(ticket.index)][usize::from(ticket.attempt) % NUMBERS];
        *copies = (*copies + 1).min(COPIES);
    }

    /// Takes a ticket out of the queue.
    pub fn take_ticket(&mut self, ticket: Ticket) {
        self.queue[usize::from(ticket.index)][usize::from(ticket.attempt) % NUMBERS] -= 1;
    }

    /// Whether a worker claims a ticket's attempt.
    pub fn is_being_claimed(&self, of: Ticket) -> bool {
        let mut slots = self.workers.iter().flat_map(|worker| &worker.slots);
        slots.any(|slot| matches!(slot, Slot::Claiming { ticket, .. } if *ticket == of))
    }

    fn copies(&self, ticket: Ticket) -> u8 {
        self.queue[usize::from(ticket.index)][usize::from(ticket.attempt) % NUMBERS]
    }
}
