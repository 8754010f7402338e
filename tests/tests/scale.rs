//! Large Jobs, with the null runtime. Alone on the machine, as they measure.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Options, Suite, secs};

const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/ten-thousand";

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(1)?;
    suite.test("ten_thousand_indexes_of_which_every_tenth_fails_once", every_tenth_fails_once);
    Ok(suite.run())
}

/// The counters are exact, and the Job can be read in under 50 ms meanwhile.
async fn every_tenth_fails_once() -> Result<()> {
    // An attempt that takes no time would leave no processor for anybody who reads.
    let options = Options::workers(2, 25)
        .set("WORKER__RUNTIME", "null")
        .set("WORKER__ALLOW_NULL", "true")
        .set("WORKER__NULL__DURATION", "250ms")
        .set("WORKER__NULL__FAIL_ONCE_IN", "10");
    let cluster = Cluster::start(options).await?;
    let api = cluster.api();
    api.create(&Job::new("ten-thousand", "true").indexed(10_000, 50).retries(1_000)).await?;

    let begin = Instant::now();
    let mut reads = Vec::new();
    let status = loop {
        ensure!(begin.elapsed() < secs(300), "not done: {}", api.job("ten-thousand").await?);
        let asked = Instant::now();
        let job = api.get(JOB).await?.ok()?;
        if job["status"]["completionTime"].is_string() {
            break job["status"].clone();
        }
        ensure!(job["status"]["conditions"].is_null(), "{}", job["status"]);
        reads.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    reads.sort_unstable();
    let median = *reads.get(reads.len() / 2).context("a read during the run")?;
    println!(
        "done after {:?}; read in {median:?} at the median of {}",
        begin.elapsed(),
        reads.len()
    );
    ensure!(status["succeeded"] == 10_000 && status["failed"] == 1_000, "{status}");
    ensure!(status["completedIndexes"] == "0-9999", "{status}");
    ensure!(status["active"].is_null() && status["ready"] == 0, "{status}");
    ensure!(median < Duration::from_millis(50), "a read took {median:?}");
    Ok(())
}
