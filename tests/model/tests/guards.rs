//! Each guard is needed: without it the model finds a way to break a promise.

use std::time::Instant;

use longshore_model::Protocol;
use longshore_model::bounds::Bounds;
use longshore_model::guards::Guards;
use longshore_model::looks;
use longshore_model::rules::{
    DISRUPTIONS_FREE, NEVER_TWICE, NOTHING_LOST, ONE_SUCCESS, TOKENS_GROW,
};
use stateright::{Checker, HasDiscoveries, Model};

/// Finds how a promise is broken with a guard taken out. With `SHOW` set the way is shown.
fn breaks(without: &str, promise: &'static str, bounds: Bounds, guards: Guards) {
    let begun = Instant::now();
    let protocol = Protocol { bounds, guards };
    let found = HasDiscoveries::AnyOf([promise].into_iter().collect());
    let checker = protocol.checker().finish_when(found).spawn_bfs().join();
    let way = checker.assert_any_discovery(promise).into_vec();
    println!(
        "model without {without}: {promise} is broken in {} steps, {} unique states, {:.1} s",
        way.len() - 1,
        checker.unique_state_count(),
        begun.elapsed().as_secs_f64()
    );
    if std::env::var_os("SHOW").is_some() {
        for (state, action) in way {
            println!("  {:?}\n{action:?}", state.redis.records);
        }
    }
}

#[test]
fn the_token_of_a_finish() {
    let guards = Guards { token: false, ..Guards::ALL };
    breaks("tokens", ONE_SUCCESS, looks::FORGOTTEN, guards);
}

#[test]
fn compare_and_set_between_finish_and_expiry() {
    let guards = Guards { record: false, ..Guards::ALL };
    breaks("compare-and-set", ONE_SUCCESS, looks::TIME, guards);
}

#[test]
fn the_counter_of_a_session() {
    let guards = Guards { counter: false, ..Guards::ALL };
    breaks("the counter", NEVER_TWICE, looks::INDEXES, guards);
}

#[test]
fn the_margin_of_a_deadline() {
    let guards = Guards { margin: false, ..Guards::ALL };
    breaks("the margin", NEVER_TWICE, looks::CLOCKS, guards);
}

#[test]
fn the_slack_of_an_owner() {
    let guards = Guards { slack: false, ..Guards::ALL };
    breaks("the slack", NEVER_TWICE, looks::CLOCKS, guards);
}

#[test]
fn a_lease_from_before_the_send() {
    let guards = Guards { sent: false, ..Guards::ALL };
    breaks("the time of the send", NEVER_TWICE, looks::TIME, guards);
}

#[test]
fn the_launcher() {
    let guards = Guards { launcher: false, ..Guards::ALL };
    breaks("the launcher", NEVER_TWICE, looks::CRASHES, guards);
}

#[test]
fn the_launchers_look_before_the_start() {
    let guards = Guards { start: false, ..Guards::ALL };
    breaks("a look before the start", NEVER_TWICE, looks::TIME, guards);
}

#[test]
fn the_run_of_redis_in_a_claim() {
    let guards = Guards { run: false, ..Guards::ALL };
    breaks("the run in a claim", TOKENS_GROW, looks::FORGOTTEN, guards);
    breaks("the run in a claim", NEVER_TWICE, looks::FORGOTTEN, guards);
}

#[test]
fn the_pause_after_a_restart() {
    let guards = Guards { pause: false, ..Guards::ALL };
    breaks("the pause", NEVER_TWICE, looks::FORGOTTEN, guards);
}

#[test]
fn the_pause_of_a_shard_as_if_never_served() {
    let guards = Guards { fresh: false, ..Guards::ALL };
    breaks("the first pause", NEVER_TWICE, looks::FRESH, guards);
}

#[test]
fn a_clock_that_is_not_set_back_far() {
    let guards = Guards { clock: false, ..Guards::ALL };
    breaks("a clock to rely on", TOKENS_GROW, looks::TOKENS, guards);
}

#[test]
fn the_epoch_of_an_owner() {
    let guards = Guards { epoch: false, ..Guards::ALL };
    breaks("the epoch", ONE_SUCCESS, looks::OWNERS, guards);
    breaks("the epoch", DISRUPTIONS_FREE, looks::ACCOUNTS, guards);
}

#[test]
fn the_run_of_redis_in_a_term() {
    let guards = Guards { term: false, ..Guards::ALL };
    breaks("the run in a term", NEVER_TWICE, looks::TERMS, guards);
}

#[test]
fn a_lease_that_is_not_revived() {
    let guards = Guards { lapse: false, ..Guards::ALL };
    breaks("the end of a lease", NEVER_TWICE, looks::UNHEARD, guards);
    breaks("the end of a lease", NEVER_TWICE, looks::REVIVED, guards);
}

#[test]
fn tickets_published_again() {
    let guards = Guards { republish: false, ..Guards::ALL };
    breaks("publishing again", NOTHING_LOST, looks::BROKER, guards);
}
