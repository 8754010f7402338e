//! The schedule: one fault after the other on hosts, and beside them one after the other on servers.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use longshore_tests::history::{Line, now};
use longshore_tests::secs;
use tokio::time::sleep;

use crate::chaos::fault::{OF_HOST, OF_SERVERS, OfHost, Rewind};
use crate::chaos::fleet::{Fleet, HOSTS};
use crate::chaos::load::{is_long, is_obedient, is_short};

/// How long a fault waits for something to hit.
const PREY: Duration = Duration::from_secs(15);

/// A fault as it happened.
#[derive(Clone, Debug)]
pub(crate) struct Struck {
    pub(crate) kind: String,
    /// The host's name, or nothing.
    pub(crate) on: String,
    pub(crate) at: Duration,
    pub(crate) until: Duration,
    /// Containers that ran where it struck.
    pub(crate) hit: usize,
    pub(crate) rewind: Option<Rewind>,
}

/// Strikes hosts until the end.
pub(crate) async fn hosts(
    fleet: &Fleet,
    mut rng: fastrand::Rng,
    end: Instant,
) -> Result<Vec<Struck>> {
    let mut struck = Vec::new();
    // What is rarely seen of a daemon that restarts has a second chance.
    let mut deck = Deck::new(&OF_HOST, |kind| if kind == OfHost::DaemonRestarted { 2 } else { 1 });
    // A short run has each of them once, too.
    while Instant::now() < end || !deck.is_dealt() {
        let kind = deck.next(&mut rng);
        let mut n = rng.usize(..HOSTS);
        let on = |n: usize| move |run: &Line| run.node == fleet.hosts[n].name;
        let prey = match aim(kind) {
            Some(is_aim) => {
                let prey = prey(fleet, |run| is_aim(&run.job)).await?;
                n = (0..HOSTS).find(|n| prey.first().is_some_and(on(*n))).unwrap_or(n);
                prey
            }
            None => prey(fleet, on(n)).await?,
        };
        let (name, hit) = (&fleet.hosts[n].name, prey.iter().filter(|run| on(n)(run)).count());
        let at = now()?;
        kind.strike(fleet, n).await.with_context(|| format!("{kind:?} on {name}"))?;
        struck.push(told(kind, name, at, hit, None)?);
        sleep(Duration::from_millis(rng.u64(..2000))).await;
    }
    Ok(struck)
}

/// Which Jobs' containers a fault is for, by the Job's name, if not for all.
fn aim(kind: OfHost) -> Option<fn(&str) -> bool> {
    match kind {
        // Only those exits are of interest that look like success.
        OfHost::DaemonRestarted => Some(is_obedient),
        // One that ends meanwhile is told of when it is another's by then.
        OfHost::RedisCut => Some(is_short),
        // One that lives on until its lease has run out.
        OfHost::BothCut => Some(is_long),
        _ => None,
    }
}

/// Strikes servers until the end.
pub(crate) async fn servers(
    fleet: &Fleet,
    mut rng: fastrand::Rng,
    end: Instant,
) -> Result<Vec<Struck>> {
    let mut struck = Vec::new();
    // After a rewind little can be said of what ran meanwhile, so they are rare.
    let mut deck = Deck::new(&OF_SERVERS, |kind| if kind.is_rewind() { 1 } else { 3 });
    while Instant::now() < end {
        let kind = deck.next(&mut rng);
        let hit = prey(fleet, |_| true).await?.len();
        let at = now()?;
        let rewind = kind.strike(fleet, &mut rng).await.with_context(|| format!("{kind:?}"))?;
        struck.push(told(kind, "", at, hit, rewind)?);
        sleep(secs(1) + Duration::from_millis(rng.u64(..3000))).await;
    }
    Ok(struck)
}

/// Deals each kind so many times in a random order, and then all again.
struct Deck<T> {
    all: Vec<T>,
    left: Vec<T>,
    rounds: u32,
}

impl<T: Copy> Deck<T> {
    fn new(kinds: &[T], times: impl Fn(T) -> usize) -> Self {
        let all = kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, times(*kind)));
        Self { all: all.collect(), left: Vec::new(), rounds: 0 }
    }

    /// Whether each kind has been dealt.
    fn is_dealt(&self) -> bool {
        self.rounds > 0 && (self.rounds > 1 || self.left.is_empty())
    }

    fn next(&mut self, rng: &mut fastrand::Rng) -> T {
        if self.left.is_empty() {
            self.left = self.all.clone();
            rng.shuffle(&mut self.left);
            self.rounds += 1;
        }
        self.left.pop().expect("there are kinds of faults")
    }
}

/// Waits until such containers run, and gives them. If none does for too long the fault strikes all the
/// same.
async fn prey(fleet: &Fleet, is_prey: impl Fn(&Line) -> bool) -> Result<Vec<Line>> {
    let begun = Instant::now();
    loop {
        let mut running = fleet.world.running()?;
        running.retain(&is_prey);
        if !running.is_empty() || begun.elapsed() > PREY {
            return Ok(running);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn told(
    kind: impl Debug,
    on: &str,
    at: Duration,
    hit: usize,
    rewind: Option<Rewind>,
) -> Result<Struck> {
    let until = now()?;
    let kind = format!("{kind:?}");
    println!(
        "{:>8.1} s  {kind:<22} {on:<7} {:>5.1} s  {hit} running",
        at.as_secs_f32(),
        (until - at).as_secs_f32()
    );
    Ok(Struck { kind, on: on.to_owned(), at, until, hit, rewind })
}

/// How many of each kind there were, and how many of those hit something.
pub(crate) fn by_kind(struck: &[Struck]) -> BTreeMap<&str, (usize, usize)> {
    let mut kinds = BTreeMap::new();
    for one in struck {
        let (all, hits) = kinds.entry(one.kind.as_str()).or_insert((0, 0));
        *all += 1;
        *hits += usize::from(one.hit > 0);
    }
    kinds
}
