//! What a run comes to, as it is printed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use longshore_tests::history::{History, Line, Phase, Violation, What};

use crate::chaos::lanes::{Struck, by_kind};

/// Prints the summary of a run.
pub(crate) fn print(
    history: &History,
    struck: &[Struck],
    reached: &BTreeMap<&'static str, usize>,
    violations: &[Violation],
) {
    println!("\nfaults                  struck   hit a running container");
    for (kind, (all, hits)) in by_kind(struck) {
        println!("  {kind:<22} {all:>5}   {hits:>5}");
    }
    let hits = struck.iter().filter(|fault| fault.hit > 0).count();
    println!("  {:<22} {:>5}   {hits:>5}", "all", struck.len());

    println!("\nstates seen");
    for (state, times) in reached {
        println!("  {times:>5}  {state}");
    }

    let attempts =
        || history.jobs.iter().flat_map(|job| job.ending.iter().flat_map(|e| &e.attempts));
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for attempt in attempts().filter(|attempt| attempt.disrupted) {
        *reasons.entry(&attempt.reason).or_default() += 1;
    }
    let finished = attempts().filter(|attempt| attempt.phase != Phase::Unfinished).count();
    let disrupted: usize = reasons.values().sum();
    let forgotten = history.jobs.iter().filter(|job| history.is_forgotten(job)).count();
    let out_of_memory = history.lines.iter().filter(|line| line.what == What::End(137)).count();
    println!("\nJobs {}, of which Redis has forgotten something {forgotten}", history.jobs.len());
    println!("attempts finished {finished}, disrupted {disrupted}: {reasons:?}");
    println!("containers out of memory {out_of_memory}");
    let (longest, of) = longest_recovery(history);
    println!(
        "longest time from a lost container's last line to its replacement's first: {:.1} s ({of})",
        longest.as_secs_f32()
    );
    let count = |invariant: &str| violations.iter().filter(|v| v.invariant == invariant).count();
    let [overlaps, lost, doubled] =
        ["never-twice-at-once", "nothing-lost", "one-success"].map(count);
    let others = violations.len() - overlaps - lost - doubled;
    println!(
        "overlaps {overlaps}, lost {lost}, doubled successes {doubled}, other violations {others}"
    );
}

/// And the Pod that took its place.
fn longest_recovery(history: &History) -> (Duration, &str) {
    let mut last: HashMap<(&str, u32), &Line> = HashMap::new();
    let mut longest = (Duration::ZERO, "");
    for line in &history.lines {
        let before = last.insert((&line.job, line.index), line);
        if let Some(before) = before
            && before.run != line.run
            && !matches!(before.what, What::End(_))
        {
            longest = longest.max((line.at.saturating_sub(before.at), &line.pod));
        }
    }
    longest
}
