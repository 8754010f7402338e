//! A fleet under load and a seeded schedule of faults; then all is healed, every Job ends, and the
//! history is held against the invariants.
//!
//! `CHAOS_SECONDS` says for how long (default 150), `CHAOS_SEED` which schedule (default: a new one).
//! `make chaos` runs it alone.

mod chaos {
    pub(crate) mod fault;
    pub(crate) mod fleet;
    pub(crate) mod lanes;
    pub(crate) mod leftovers;
    pub(crate) mod load;
    pub(crate) mod reached;
    pub(crate) mod summary;
    pub(crate) mod world;
}

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use longshore_tests::history::{History, check};
use longshore_tests::{Suite, repository};
use tokio::sync::watch;

use chaos::fleet::Fleet;
use chaos::{lanes, leftovers, load, reached, summary};

/// A run of so many seconds has to see each state; in a shorter one that is a matter of chance.
const SEES_ALL: u64 = 300;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(1)?;
    suite.test("a_fleet_under_faults_keeps_every_promise", run);
    Ok(suite.run())
}

async fn run() -> Result<()> {
    let seconds = number("CHAOS_SECONDS")?.unwrap_or(150);
    let seed = number("CHAOS_SEED")?.unwrap_or_else(|| fastrand::u64(..));
    println!("CHAOS_SECONDS={seconds} CHAOS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let fleet = Arc::new(Fleet::start().await.context("the fleet")?);

    let (over, until) = watch::channel(false);
    let client = {
        let (fleet, rng) = (fleet.clone(), rng.fork());
        tokio::spawn(async move { load::run(&fleet, rng, until).await })
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let (hosts, servers) = tokio::try_join!(
        lanes::hosts(&fleet, rng.fork(), end),
        lanes::servers(&fleet, rng.fork(), end),
    )?;
    fleet.heal().await.context("healing")?;
    over.send_replace(true);
    let healed = Instant::now();
    let mut jobs = client.await?.context("the client")?;
    println!("all Jobs have ended {:.1} s after the last fault", healed.elapsed().as_secs_f32());

    let left = leftovers::leftovers(&fleet).await?;
    for job in &mut jobs {
        job.ending = load::ending(&fleet.apis[0], &job.name).await?;
    }
    let mut struck = [hosts, servers].concat();
    struck.sort_by_key(|fault| fault.at);
    let history = History {
        lines: fleet.world.lines()?,
        jobs,
        rewinds: struck.iter().filter_map(|fault| fault.rewind).collect(),
        leftovers: left,
    };
    let kept = keep(&fleet)?;
    let violations = check(&history);
    let reached = reached::reached(&history, &struck, &fleet.logs())?;
    summary::print(&history, &struck, &reached, &violations);
    println!("logs and lines are in {}", kept.display());
    violations.iter().for_each(|violation| println!("VIOLATION {violation}"));
    ensure!(violations.is_empty(), "{} violations with CHAOS_SEED={seed}", violations.len());
    let missing: Vec<_> = reached.iter().filter(|(_, times)| **times == 0).collect();
    let may_miss = seconds < SEES_ALL;
    ensure!(may_miss || missing.is_empty(), "never seen with CHAOS_SEED={seed}: {missing:?}");
    Ok(())
}

/// Keeps what the programs and the containers wrote in the last run, for whoever looks into it.
fn keep(fleet: &Fleet) -> Result<PathBuf> {
    let kept = repository().join("target/chaos");
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept)?;
    fs::write(kept.join("lines"), fs::read(fleet.world.folder().join("lines"))?)?;
    for log in fs::read_dir(fleet.logs())? {
        let log = log?;
        fs::copy(log.path(), kept.join(log.file_name()))?;
    }
    Ok(kept)
}

fn number(name: &str) -> Result<Option<u64>> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => Ok(Some(text.parse().with_context(|| name.to_owned())?)),
        _ => Ok(None),
    }
}
