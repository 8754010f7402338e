//! A container that floods its output.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, secs};

const BYTES: u64 = 200_000_000;
const MOST_MEMORY: u64 = 100_000_000;

/// 200 MB of output: the Job completes, nobody's memory grows, the newest is kept, and a line says
/// how much was dropped.
pub(crate) async fn flood(cluster: &Cluster) -> Result<()> {
    let script =
        format!("yes 'a line of a flood, one of millions' | head -c {BYTES}; echo; echo the end");
    cluster.api().create(&Job::new("flood", &script)).await?;
    cluster.api().finished("flood", "Complete", secs(240)).await?;

    let pods = cluster.api().pods("flood").await?;
    let pod = pods[0]["metadata"]["name"].as_str().context("name")?;
    let log = cluster.api().log(pod).await?;
    let mut lines = log.lines();
    let first = lines.next().unwrap_or_default();
    ensure!(
        first.starts_with("[longshore: ")
            && first.ends_with(" bytes of earlier output were dropped]"),
        "{first:?}"
    );
    let dropped: u64 = first.split(' ').nth(1).unwrap_or_default().parse().context("a number")?;
    // Counted as it was kept: with the time of each line.
    ensure!(dropped > BYTES / 2, "{first}");
    ensure!(log.ends_with("\nthe end\n"), "{:?}", &log[log.len().saturating_sub(200)..]);
    let kept = log.len() as u64;
    // Four MiB are kept, with the time of each line.
    ensure!((1_000_000..=4 << 20).contains(&kept), "{kept} bytes are kept");
    ensure!(lines.all(|line| line.is_empty()
        || "a line of a flood, one of millions".contains(line)
        || line == "the end"));

    let tail = cluster.longshore(&["logs", pod, "--tail", "1"]).await?.ok()?;
    ensure!(tail == "the end\n", "{tail:?}");

    for member in ["worker-1", "coordinator-1"] {
        let peak = cluster.peak_memory(member)?;
        println!("{member}: {} kB at most", peak / 1000);
        ensure!(peak < MOST_MEMORY, "{member} took {peak} bytes");
    }
    Ok(())
}
