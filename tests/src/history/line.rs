//! The lines that containers write about themselves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::Job;

/// One line of a container: `WHAT JOB INDEX POD NODE TOKEN RUN SECONDS [CODE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub job: String,
    pub index: u32,
    pub pod: String,
    /// The worker that runs it.
    pub node: String,
    /// What the container was given as `LONGSHORE_FENCING_TOKEN`.
    pub token: u64,
    /// One run of one container; random.
    pub run: String,
    /// Since the machine's start.
    pub at: Duration,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `S`: it began.
    Start,
    /// `B`: it is alive.
    Beat,
    /// `E`: it is about to end by itself, with this code.
    End(i32),
}

/// The shell code with which a container says that it is alive: `say S` at the beginning, `say B`, and
/// `say E CODE` before it ends. It needs `JOB`, `POD` and `NODE` in its environment and the file's folder
/// at `/world`. A line is one write to a file opened for appending: lines are whole, and their order is
/// that of time. No process is started for it.
pub const SAY: &str = r#"say() {
    read up idle < /proc/uptime
    echo "$1 $JOB $JOB_COMPLETION_INDEX $POD $NODE $LONGSHORE_FENCING_TOKEN $run $up${2:+ $2}" >> /world/lines
}
read run < /proc/sys/kernel/random/uuid
say S
"#;

/// Has a Job's container say that it is alive, in the file `lines` of a folder of the hosts.
pub fn saying(job: Job, name: &str, folder: &Path) -> Job {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let env = json!([
        { "name": "JOB", "value": name },
        { "name": "POD", "valueFrom": field("metadata.name") },
        { "name": "NODE", "valueFrom": field("spec.nodeName") },
    ]);
    job.container("env", env)
        .container("volumeMounts", json!([{ "name": "world", "mountPath": "/world" }]))
        .pod("volumes", json!([{ "name": "world", "hostPath": { "path": folder } }]))
}

/// The time since the machine's start, on the clock that the containers read.
pub fn now() -> Result<Duration> {
    let text = fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().context("/proc/uptime")?;
    Ok(Duration::try_from_secs_f64(seconds.parse()?)?)
}

/// Reads the file that the containers wrote; a last line that was not written to its end is left out.
pub fn read(text: &str) -> Result<Vec<Line>> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| parse(line).with_context(|| format!("line {line:?}"))).collect()
}

fn parse(line: &str) -> Result<Line> {
    let words: Vec<&str> = line.split(' ').collect();
    let [what, job, index, pod, node, token, run, seconds, rest @ ..] = words.as_slice() else {
        bail!("too few words");
    };
    let what = match (*what, rest) {
        ("S", []) => What::Start,
        ("B", []) => What::Beat,
        ("E", [code]) => What::End(code.parse()?),
        _ => bail!("no such kind of line"),
    };
    Ok(Line {
        job: (*job).to_owned(),
        index: index.parse()?,
        pod: (*pod).to_owned(),
        node: (*node).to_owned(),
        token: token.parse()?,
        run: (*run).to_owned(),
        at: Duration::try_from_secs_f64(seconds.parse()?)?,
        what,
    })
}
