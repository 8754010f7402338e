//! `suspend`, and Jobs that are left to another controller.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Witness, condition, secs, until};
use serde_json::{Value, json};

use super::status::{completed, counters};

/// Runs until it is stopped.
fn endless(name: &str) -> Job {
    Job::new(name, "exec sleep 1000000")
        .spec("parallelism", 2.into())
        .spec("completions", 4.into())
        .pod("terminationGracePeriodSeconds", 1.into())
}

fn is_suspended(status: &Value) -> bool {
    condition(status, "Suspended").is_some() && counters(status)[..3] == [0, 0, 0]
}

pub(crate) async fn created_suspended(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let job = Job::new("starts-later", "true").spec("parallelism", 2.into());
    let job = job.spec("completions", 4.into()).spec("suspend", true.into());
    api.create(&job).await?;
    api.job_until("starts-later", "suspended", secs(20), is_suspended).await?;
    ensure!(api.pods("starts-later").await?.is_empty());
    api.patch("starts-later", &json!({"spec": {"suspend": false}})).await?;
    let job = api.finished("starts-later", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")
}

pub(crate) async fn pods_are_deleted(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let witness = Witness::listen().await?;
    let job = api.create(&endless("suspended-later")).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    api.job_until("suspended-later", "two run", secs(60), |status| status["ready"] == 2).await?;
    api.patch("suspended-later", &json!({"spec": {"suspend": true}})).await?;
    let job = api.job_until("suspended-later", "suspended", secs(20), is_suspended).await?;
    let reason = condition(&job["status"], "Suspended").map(|condition| &condition["reason"]);
    ensure!(reason == Some(&json!("JobSuspended")), "{}", job["status"]);
    witness.ended(uid, secs(5)).await?;
    Ok(())
}

/// `ready` follows the Pods through a suspension and back.
pub(crate) async fn ready_field(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    api.create(&endless("ready-and-not").spec("suspend", true.into())).await?;
    for suspend in [true, false, true] {
        api.patch("ready-and-not", &json!({"spec": {"suspend": suspend}})).await?;
        let ready = if suspend { 0 } else { 2 };
        let as_wanted = |status: &Value| status["ready"] == ready && counters(status)[0] == ready;
        api.job_until("ready-and-not", &format!("{ready} ready"), secs(60), as_wanted).await?;
    }
    Ok(())
}

/// Nothing is run, and the status stays untouched, also when another Job that was created later has
/// long ended.
pub(crate) async fn managed_elsewhere(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let job = Job::new("someone-elses", "true").spec("managedBy", json!("example.com/controller"));
    api.create(&job).await?;
    api.create(&Job::new("ours", "true")).await?;
    api.finished("ours", "Complete", secs(60)).await?;
    let job = api.job("someone-elses").await?;
    ensure!(job["spec"]["managedBy"] == "example.com/controller", "{}", job["spec"]);
    ensure!(counters(&job["status"]) == [0; 5], "{}", job["status"]);
    ensure!(job["status"]["startTime"].is_null() && job["status"]["conditions"].is_null());
    ensure!(api.pods("someone-elses").await?.is_empty());
    api.delete("someone-elses").await?;
    until("it can be deleted", secs(20), async || {
        let names = api.job_names().await?;
        Ok(if names.iter().any(|name| name == "someone-elses") { Err(names) } else { Ok(()) })
    })
    .await
}
