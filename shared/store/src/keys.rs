//! The names of all keys. Every key of a shard carries its hash tag, so that a script over a Job runs
//! on a single Redis and on Redis Cluster alike.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `ls:{07}:meta` | hash | `owner`, `epoch`, `beat`, `base` (the run of Redis that the owner loaded from), `pos` (stream position accounted for), `run` (the run for which claims are granted), `inc` and `ctr` (the token), `moves` (source of the sessions' counters), `own`, `commit` (ids of the last requests) |
//! | `ls:{07}:names` | hash | `namespace/name` -> uid |
//! | `ls:{07}:in` | stream | what the owner reads: `t` (job, pod, aside, claim, start, fail, end), `u` uid, `i` index, `n` attempt, `d` data |
//! | `ls:{07}:out` | stream | changes on their way to the log: `k` kind, `v` verb, `u`, `ns`, `name`, `i`, `n`, `id`, `q` (the Job's seq), `o` (last state) |
//! | `ls:{07}:workers` | hash | worker -> its session |
//! | `ls:{07}:sessions` | hash | session -> a counter that each renewal and claim moves to a value never seen before |
//! | `ls:{07}:held:<session>` | hash | `<uid>/<index>` -> `<attempt>/<token>/<lease ms>` |
//! | `ls:{07}:job:<uid>` | hash | `ns`, `name`, `object`, `rev`, `header`, `active`, `rv`, `seq`, `fseq` (seq forwarded last), `lease`, `deleted`, `reqs` (last requests) |
//! | `ls:{07}:configs` | hash | `<kind>/<namespace>/<name>` of ConfigMaps and Secrets -> uid |
//! | `ls:{07}:config:<uid>` | hash | `kind`, `ns`, `name`, `object` (of a Secret sealed), `rev`, `rv`, `seq`, `fseq`, `req` (the last request) |
//! | `ls:{07}:done:<uid>` | bitmap | completed indexes |
//! | `ls:{07}:failed:<uid>` | bitmap | indexes that have failed for good |
//! | `ls:{07}:live:<uid>` | hash | index -> JSON of a `Live` |
//! | `ls:{07}:hist:<uid>:<bucket>` | hash | `<index>.<attempt>` -> JSON of a finished `Attempt`; 256 indexes to a bucket |
//! | `ls:{07}:buckets:<uid>` | bitmap | which buckets exist |
//! | `ls:{07}:events:<uid>` | hash | id -> JSON of an event |
//! | `ls:cluster` | hash | `shards`, `id`, `format` (what all members write) |
//! | `ls:log` | stream | the change log: as `out`, with `s` shard |
//! | `ls:nodes` | hash | worker -> JSON of a `NodeRecord` |
//! | `ls:coordinators` | hash | name -> JSON of a `CoordinatorRecord` |
//! | `ls:output:{<uid>/<index>.<attempt>}` | stream | an attempt's output: `d` a chunk, or `end`; with `:meta`, a hash of `bytes`, `dropped`, `end`, `req` |

use longshore_job::Index;

use crate::{AttemptKey, JobRef, Shard};

pub(crate) const CLUSTER: &str = "ls:cluster";
pub(crate) const LOG: &str = "ls:log";
pub(crate) const NODES: &str = "ls:nodes";
pub(crate) const COORDINATORS: &str = "ls:coordinators";

/// Whether an argument of a command is a key. All keys begin alike, and nothing that stands before a
/// command's first key does.
pub(crate) fn is_key(argument: &[u8]) -> bool {
    argument.starts_with(b"ls:")
}

/// How many indexes share one bucket of history.
pub(crate) const BUCKET: Index = 256;

/// `KEYS[1]` of every script of a shard; the scripts derive all other keys from it.
pub(crate) fn prefix(shard: Shard) -> String {
    format!("ls:{{{shard}}}:")
}

pub(crate) fn meta(shard: Shard) -> String {
    format!("ls:{{{shard}}}:meta")
}

pub(crate) fn names(shard: Shard) -> String {
    format!("ls:{{{shard}}}:names")
}

pub(crate) fn input(shard: Shard) -> String {
    format!("ls:{{{shard}}}:in")
}

pub(crate) fn out(shard: Shard) -> String {
    format!("ls:{{{shard}}}:out")
}

pub(crate) fn sessions(shard: Shard) -> String {
    format!("ls:{{{shard}}}:sessions")
}

pub(crate) fn held(shard: Shard, session: &str) -> String {
    format!("ls:{{{shard}}}:held:{session}")
}

pub(crate) fn job(job: &JobRef) -> String {
    format!("ls:{{{}}}:job:{}", job.shard, job.uid)
}

pub(crate) fn configs(shard: Shard) -> String {
    format!("ls:{{{shard}}}:configs")
}

pub(crate) fn config(shard: Shard, uid: &str) -> String {
    format!("ls:{{{shard}}}:config:{uid}")
}

pub(crate) fn done(job: &JobRef) -> String {
    format!("ls:{{{}}}:done:{}", job.shard, job.uid)
}

pub(crate) fn failed(job: &JobRef) -> String {
    format!("ls:{{{}}}:failed:{}", job.shard, job.uid)
}

pub(crate) fn live(job: &JobRef) -> String {
    format!("ls:{{{}}}:live:{}", job.shard, job.uid)
}

pub(crate) fn hist(job: &JobRef, bucket: u32) -> String {
    format!("ls:{{{}}}:hist:{}:{bucket}", job.shard, job.uid)
}

pub(crate) fn buckets(job: &JobRef) -> String {
    format!("ls:{{{}}}:buckets:{}", job.shard, job.uid)
}

pub(crate) fn events(job: &JobRef) -> String {
    format!("ls:{{{}}}:events:{}", job.shard, job.uid)
}

pub(crate) fn output(key: &AttemptKey) -> String {
    format!("ls:output:{{{}/{}.{}}}", key.job.uid, key.index, key.attempt)
}

pub(crate) fn output_meta(key: &AttemptKey) -> String {
    format!("{}:meta", output(key))
}
