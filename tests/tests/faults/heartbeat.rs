//! What a container whose worker was killed says of itself, held against its replacement.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use longshore_tests::history::{Line, SAY, What, now, read, saying};
use longshore_tests::{Cluster, Job, Options, Witness, secs, until};
use rustix::process::Signal;

use super::steady::index;

/// The default lease.
const LEASE: Duration = Duration::from_secs(15);

/// kill -9 of a worker with its containers alive, one of which says every 50 ms that it lives: its last
/// word and its end in Docker's eyes come before the first word of its replacement.
pub(crate) async fn last_words() -> Result<()> {
    let world = tempfile::tempdir_in("/tmp")?;
    let lines = || read(&fs::read_to_string(world.path().join("lines")).unwrap_or_default());
    let options = Options::workers(3, 2);
    let options = options.set("WORKER__HOST_PATHS", world.path().display().to_string());
    let cluster = Cluster::start(options).await?;
    let witness = Witness::listen().await?;
    let script =
        format!("{SAY} while :; do usleep 50000; say B; [ -e /world/end ] && break; done; say E 0");
    let job = Job::new("last-words", &script).indexed(2, 2);
    let job = cluster.api().create(&saying(job, "last-words", world.path())).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?.to_owned();
    let first = until("both run", secs(60), async || {
        let lines = lines()?;
        let beating =
            |index| lines.iter().find(|l| l.index == index && l.what == What::Beat).cloned();
        Ok(beating(0).zip(beating(1)).map(|(first, _)| first).ok_or(lines.len()))
    })
    .await?;

    cluster.signal(&first.node, Signal::KILL)?;
    let killed = Instant::now();
    let pods = cluster
        .api()
        .pods_until("last-words", "claimed elsewhere", LEASE + secs(3), |pods| {
            pods.iter().any(|pod| {
                let node = pod["spec"]["nodeName"].as_str();
                index(pod) == first.index.to_string() && node.is_some_and(|node| node != first.node)
            })
        })
        .await?;
    println!("claimed elsewhere after {:?}", killed.elapsed());
    ensure!(pods.len() >= 3, "{} pods", pods.len());
    let replaced = |lines: &[Line]| {
        let of_index = lines.iter().filter(|line| line.index == first.index);
        of_index.clone().find(|line| line.run != first.run).cloned()
    };
    let replacement = until("the replacement says something", secs(30), async || {
        let lines = lines()?;
        Ok(replaced(&lines).ok_or(lines.len()))
    })
    .await?;
    fs::write(world.path().join("end"), "")?;
    cluster.api().finished("last-words", "Complete", secs(60)).await?;

    let lines = lines()?;
    let last = lines.iter().rfind(|line| line.run == first.run).context("it spoke")?;
    let at = |line: &Line| lines.iter().position(|other| other == line);
    ensure!(at(last) < at(&replacement), "{last:?} after {replacement:?}");
    let runs = witness.ended(&uid, secs(20)).await?;
    let lost = runs.iter().find(|run| run.index == first.index.to_string()).context("its run")?;
    let died = Duration::from_nanos(u64::try_from(lost.end.context("it ended")?)?);
    // The lines count from the machine's start, Docker's events are of the wall clock.
    let booted = SystemTime::now().duration_since(UNIX_EPOCH)? - now()?;
    ensure!(died < booted + replacement.at, "it died after {:?}", replacement.at);
    println!(
        "last word {:?} and end {:?} before the first word of the replacement",
        replacement.at - last.at,
        booted + replacement.at - died
    );
    ensure!(last.at + secs(5) > died - booted, "its last word came long before its end");
    witness.never_twice(&uid)
}
