//! The whole protocol, looked through within each of the bounds.

use std::time::Instant;

use longshore_model::Protocol;
use longshore_model::bounds::Bounds;
use longshore_model::guards::Guards;
use longshore_model::looks;
use stateright::{Checker, Model};

/// Looks at every state that can be reached, and judges each.
fn holds(name: &str, bounds: Bounds) {
    let begun = Instant::now();
    let checker = Protocol { bounds, guards: Guards::ALL }.checker().spawn_bfs().join();
    println!(
        "model {name}: {} unique states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

#[test]
fn time_alone() {
    holds("time", looks::TIME);
}

#[test]
fn clocks_that_drift() {
    holds("clocks", looks::CLOCKS);
}

#[test]
fn late_requests() {
    holds("calls", looks::CALLS);
}

#[test]
fn killed_workers_and_lost_replies() {
    holds("crashes", looks::CRASHES);
}

#[test]
fn lost_and_doubled_tickets() {
    holds("broker", looks::BROKER);
}

#[test]
fn two_indexes() {
    holds("indexes", looks::INDEXES);
}

#[test]
fn another_owner() {
    holds("owners", looks::OWNERS);
}

#[test]
fn a_restart_of_redis() {
    holds("restart", looks::RESTART);
}

#[test]
fn forgotten_claims() {
    holds("forgotten", looks::FORGOTTEN);
}

#[test]
fn a_forgotten_claim_of_a_killed_worker() {
    holds("orphaned", looks::ORPHANED);
}

#[test]
fn a_forgotten_expiry() {
    holds("revived", looks::REVIVED);
}

#[test]
fn a_remembered_claim() {
    holds("remembered", looks::REMEMBERED);
}

#[test]
fn a_shard_as_if_never_served() {
    holds("fresh", looks::FRESH);
}

#[test]
fn tokens_over_restarts() {
    holds("tokens", looks::TOKENS);
}

#[test]
fn a_forgotten_owner() {
    holds("terms", looks::TERMS);
}

#[test]
fn an_unheard_grant() {
    holds("unheard", looks::UNHEARD);
}
