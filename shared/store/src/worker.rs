//! What a worker does: claim, report, finish, renew.

use longshore_job::{Container, Millis, Outcome, Phase, Waiting};
use redis::ScriptInvocation;

use crate::record::encode;
use crate::{AttemptKey, JobRef, Shard, Store, StoreError, keys, scripts};

/// The right to run an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The fencing token, decimal; larger for every grant.
    pub token: String,
    /// How long the lease lasts, from before the claim was sent.
    pub lease_ms: u64,
    pub namespace: String,
    pub name: String,
    /// JSON of the Kubernetes Job.
    pub object: String,
    /// In-place restarts so far, of an attempt before that was disrupted.
    pub restarts: u32,
    /// Failures of its index before it that counted, and those that a policy ignored.
    pub index_failures: u32,
    pub index_ignored: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    Granted(Grant),
    /// The ticket is void, for a reason in words: drop it.
    Refused(String),
    /// Nothing is granted until the owner has accepted this run of Redis: ask again later.
    Paused,
    /// Another session has the worker's name.
    Fenced,
}

/// What a worker says of an attempt between claim and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its container started, at that time of the worker's host.
    Started(Millis),
    /// It can't start yet.
    Waiting(Waiting),
    /// How each container of a Pod with several stands, and when the last of them started.
    Containers { started: Option<Millis>, containers: Vec<Container> },
}

/// Whether a report was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    Ok,
    /// The token isn't that of a running attempt any more: whatever the container does is void.
    Refused,
}

/// An attempt that Redis says a session holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    pub attempt: AttemptKey,
    pub token: String,
    pub lease_ms: u64,
}

/// An attempt that a worker really has, as it names it in a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub attempt: AttemptKey,
    pub token: String,
}

/// What to do with an attempt named in a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; `granted` is how many in-place restarts the owner has granted.
    Go { granted: u32 },
    /// Stop it within the grace period, and report how it ended.
    Stop { grace_seconds: u32 },
    /// It isn't this session's: end it at once, nothing it does counts.
    Gone,
}

/// The reply to a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// For each attempt named, in the same order.
    pub verdicts: Vec<Verdict>,
    /// Attempts that Redis says the session holds and that weren't named. One that the worker doesn't
    /// have for longer than a lease is a disruption, which it reports with the token given here.
    pub unnamed: Vec<Held>,
    /// Redis' time.
    pub now: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    Renewed(Renewal),
    /// Another session has the worker's name; `None` if Redis knows of none, as after a loss of its
    /// data: then the worker enrolls again.
    Fenced {
        by: Option<String>,
    },
}

impl Store {
    /// Takes over the worker's name in a shard for a new session: scripts of the session before are
    /// refused from then on, and the attempts that it held are this session's.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn enroll(
        &self,
        shard: Shard,
        worker: &str,
        session: &str,
    ) -> Result<Vec<Held>, StoreError> {
        let doing = "enroll";
        let mut call = scripts::ENROLL.prepare_invoke();
        call.key(keys::prefix(shard)).arg(worker).arg(session);
        let flat: Vec<String> = self.call(doing, &call).await?;
        held_rows(shard, &flat).ok_or_else(|| self.odd(doing, &flat))
    }

    /// Claims the attempt of a ticket. The same `claim` id, chosen before the first send, gets the same
    /// grant for as long as it holds the attempt.
    ///
    /// # Errors
    /// [`StoreError`], as every call; after [`StoreError::Unreachable`] it may have been granted, and a
    /// renewal tells it as unnamed.
    pub async fn claim(
        &self,
        attempt: &AttemptKey,
        claim: &str,
        worker: &str,
        session: &str,
    ) -> Result<Claimed, StoreError> {
        let doing = "claim an attempt";
        let mut call = scripts::CLAIM.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(&attempt.job.uid).arg(attempt.index);
        call.arg(attempt.attempt).arg(claim).arg(worker).arg(session);
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "fenced" => Ok(Claimed::Fenced),
            [what] if what == "paused" => Ok(Claimed::Paused),
            [what, why] if what == "refused" => Ok(Claimed::Refused(why.clone())),
            [what, token, lease, namespace, name, restarts, failed, ignored, object]
                if what == "granted" =>
            {
                let number = |text: &str| text.parse().map_err(|_| self.odd(doing, &reply));
                Ok(Claimed::Granted(Grant {
                    token: token.clone(),
                    lease_ms: lease.parse().map_err(|_| self.odd(doing, &reply))?,
                    namespace: namespace.clone(),
                    name: name.clone(),
                    object: object.clone(),
                    restarts: number(restarts)?,
                    index_failures: number(failed)?,
                    index_ignored: number(ignored)?,
                }))
            }
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Reports that an attempt's container started, or why it can't yet.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn start(
        &self,
        attempt: &AttemptKey,
        token: &str,
        progress: &Progress,
    ) -> Result<Written, StoreError> {
        let mut call = scripts::START.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(&attempt.job.uid).arg(attempt.index);
        call.arg(attempt.attempt).arg(token);
        match progress {
            Progress::Started(at) => call.arg(at).arg("").arg(""),
            Progress::Waiting(waiting) => call.arg("").arg(encode(waiting)?).arg(""),
            Progress::Containers { started, containers } => {
                call.arg(time(*started)).arg("").arg(encode(containers)?)
            }
        };
        self.written("report progress", &call).await
    }

    /// Reports that a container of an attempt failed and waits to be restarted in place (restartPolicy
    /// OnFailure); `restarts` is the number of failures so far, this one included.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn fail(
        &self,
        attempt: &AttemptKey,
        token: &str,
        restarts: u32,
        outcome: &Outcome,
        containers: &[Container],
    ) -> Result<Written, StoreError> {
        let mut call = scripts::FAIL.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(&attempt.job.uid).arg(attempt.index);
        call.arg(attempt.attempt).arg(token).arg(restarts).arg(encode(outcome)?);
        call.arg(records(containers)?);
        self.written("report a failure", &call).await
    }

    /// Reports the end of an attempt. Times are the worker's host's; without `finished` it is Redis'
    /// now. Repeated it is taken once; after the attempt was revoked it is refused.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn finish(
        &self,
        attempt: &AttemptKey,
        token: &str,
        outcome: &Outcome,
        started: Option<Millis>,
        finished: Option<Millis>,
        containers: &[Container],
    ) -> Result<Written, StoreError> {
        let mut call = scripts::FINISH.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(&attempt.job.uid).arg(attempt.index);
        call.arg(attempt.attempt).arg(token).arg(encode(outcome)?);
        call.arg(time(started)).arg(time(finished)).arg(records(containers)?);
        self.written("report an end", &call).await
    }

    /// Renews the session's lease on all its attempts in a shard, names those that the worker really
    /// has (all of this shard), and hears what to do with them. The new deadline counts from before this
    /// call was made.
    ///
    /// # Errors
    /// [`StoreError`], as every call; give it a [`Store::with_patience`] shorter than the lease.
    pub async fn renew(
        &self,
        shard: Shard,
        worker: &str,
        session: &str,
        kept: &[Kept],
    ) -> Result<Renewed, StoreError> {
        let doing = "renew a lease";
        let mut call = scripts::RENEW.prepare_invoke();
        call.key(keys::prefix(shard)).arg(worker).arg(session);
        for Kept { attempt, token } in kept {
            call.arg(&attempt.job.uid).arg(attempt.index).arg(attempt.attempt).arg(token);
        }
        let reply: Vec<Vec<String>> = self.call(doing, &call).await?;
        let parse = || match reply.as_slice() {
            [head] if head.first()? == "fenced" => {
                Some(Renewed::Fenced { by: head.get(1).cloned() })
            }
            [head, verdicts, unnamed] if head.first()? == "ok" => {
                let verdicts = verdicts.iter().map(|text| verdict(text));
                let verdicts = verdicts.collect::<Option<Vec<_>>>()?;
                let unnamed = held_rows(shard, unnamed)?;
                let now = head.get(1)?.parse().ok()?;
                (verdicts.len() == kept.len()).then_some(Renewed::Renewed(Renewal {
                    verdicts,
                    unnamed,
                    now,
                }))
            }
            _ => None,
        };
        parse().ok_or_else(|| self.odd(doing, &reply))
    }

    /// Whether a token is that of the index's running attempt.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn attempt_is_current(
        &self,
        attempt: &AttemptKey,
        token: &str,
    ) -> Result<bool, StoreError> {
        let live = self.live_one(&attempt.job, attempt.index).await?;
        Ok(live.is_some_and(|live| {
            live.phase == Phase::Claimed
                && live.attempt.number == attempt.attempt
                && live.attempt.token.as_deref() == Some(token)
        }))
    }

    async fn written(
        &self,
        doing: &'static str,
        call: &ScriptInvocation<'_>,
    ) -> Result<Written, StoreError> {
        let reply: String = self.call(doing, call).await?;
        match reply.as_str() {
            "ok" => Ok(Written::Ok),
            "refused" => Ok(Written::Refused),
            _ => Err(self.odd(doing, &reply)),
        }
    }
}

/// A time as the scripts take it: empty for none.
fn time(at: Option<Millis>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// The containers of a Pod with several as the scripts take them: empty for a Pod with one.
fn records(containers: &[Container]) -> Result<String, StoreError> {
    if containers.is_empty() { Ok(String::new()) } else { encode(&containers) }
}

/// `go <granted>`, `stop <grace>` or `gone`.
fn verdict(text: &str) -> Option<Verdict> {
    match text.split_once(' ') {
        Some(("go", granted)) => Some(Verdict::Go { granted: granted.parse().ok()? }),
        Some(("stop", grace)) => Some(Verdict::Stop { grace_seconds: grace.parse().ok()? }),
        None if text == "gone" => Some(Verdict::Gone),
        _ => None,
    }
}

/// The pairs of a session's hash: `<uid>/<index>` and `<attempt>/<token>/<lease ms>`.
pub(crate) fn held_rows(shard: Shard, flat: &[String]) -> Option<Vec<Held>> {
    let row = |pair: &[String]| {
        let [what, how] = pair else { return None };
        let (uid, index) = what.rsplit_once('/')?;
        let mut how = how.split('/');
        let attempt = how.next()?.parse().ok()?;
        let token = how.next()?.to_owned();
        let lease_ms = how.next()?.parse().ok()?;
        let attempt = JobRef::new(shard, uid).attempt(index.parse().ok()?, attempt);
        Some(Held { attempt, token, lease_ms })
    };
    let mut held = flat.chunks(2).map(row).collect::<Option<Vec<Held>>>()?;
    held.sort_unstable_by(|a, b| a.attempt.cmp(&b.attempt));
    Some(held)
}
