//! What the owner of a shard does, besides [`Store::commit`]: taking the shard, reading its stream, and
//! the steps that race with workers.

use std::time::Duration;

use longshore_job::{Container, Event, Index, Millis, Outcome};
use redis::streams::StreamId as Entry;
use serde::Deserialize;
use tracing::warn;

use crate::log::field;
use crate::record::{decode, encode};
use crate::worker::{Held, held_rows};
use crate::{AttemptKey, Epoch, Shard, Store, StoreError, StreamId, keys, scripts};

/// Who owns a shard and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardMeta {
    /// The coordinator's name; empty if the shard was given back or never taken.
    pub owner: String,
    pub epoch: u64,
    /// Moved by the owner: a candidate takes over when it stands still.
    pub beat: u64,
    /// The stream's position that is accounted for.
    pub pos: StreamId,
    /// The run of Redis for which claims are granted; `None` before the first.
    pub run: Option<String>,
    /// The incarnation of its tokens; 0 before the first.
    pub incarnation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// The shard is ours under this epoch.
    Yes {
        epoch: Epoch,
        pos: StreamId,
        /// Whether claims are granted on this run of Redis; if not, [`Store::accept_run`] allows them
        /// once no lease from before can be running.
        accepted: bool,
    },
    /// Its owner is alive, or another candidate was faster.
    No(ShardMeta),
}

/// An entry of the shard's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InEntry {
    pub id: StreamId,
    pub uid: String,
    /// `None` for an entry that can't be understood, to be acknowledged and forgotten.
    pub what: Option<Reported>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The Job was created, changed or deleted by a client: read it again.
    Job,
    /// A worker's report, as the state machine takes it.
    Attempt(Event),
}

/// What became of an attempt that is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was only offered, and has ended as [`Outcome::Stopped`].
    Withdrawn,
    /// This worker holds it and was told in its record; a nudge makes it quick.
    Marked {
        worker: String,
    },
    /// It isn't the index's current attempt, or has ended.
    None,
    Fenced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It has ended with the outcome given; nothing that its worker says of it counts any more.
    Revoked,
    /// The worker renewed or finished it first.
    Lost,
    Fenced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// This worker may restart the container; a nudge makes it quick.
    Granted {
        worker: String,
    },
    /// It isn't the index's current attempt, or not claimed.
    None,
    Fenced,
}

/// Ten digits, as all incarnations have until 2286.
const LAST_INCARNATION: u64 = 9_999_999_999;

impl Store {
    /// The state of every shard's ownership, by shard number.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn shard_metas(&self) -> Result<Vec<ShardMeta>, StoreError> {
        let doing = "read the owners";
        let mut pipe = redis::pipe();
        for shard in self.all_shards() {
            pipe.cmd("HMGET").arg(keys::meta(shard));
            pipe.arg(&["owner", "epoch", "beat", "pos", "run", "inc"]);
        }
        let rows: Vec<Vec<Option<String>>> = self.pipe(doing, &pipe).await?;
        rows.into_iter().map(|row| self.shard_meta(doing, row)).collect()
    }

    /// Takes a shard whose owner stands still: `seen` is what the candidate saw before and after its
    /// patience. The epoch grows, which fences whatever the owner before still sends.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn own(
        &self,
        shard: Shard,
        name: &str,
        seen: &ShardMeta,
    ) -> Result<Owned, StoreError> {
        let doing = "take a shard";
        let mut call = scripts::OWN.prepare_invoke();
        call.key(keys::prefix(shard)).arg(name).arg(seen.epoch).arg(seen.beat);
        call.arg(uuid::Uuid::new_v4().to_string());
        let mut reply: Vec<Option<String>> = self.call(doing, &call).await?;
        if reply.is_empty() {
            return Err(self.odd(doing, &reply));
        }
        let what = reply.remove(0);
        match (what.as_deref(), reply.as_slice()) {
            (Some("owned"), [Some(epoch), Some(pos), Some(accepted)]) => {
                match (Epoch::parse(epoch), pos.parse()) {
                    (Some(epoch), Ok(pos)) => {
                        Ok(Owned::Yes { epoch, pos, accepted: accepted == "1" })
                    }
                    _ => Err(self.odd(doing, &reply)),
                }
            }
            (Some("moved"), _) => Ok(Owned::No(self.shard_meta(doing, reply)?)),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Shows that the owner is alive; `false` if it is the owner no more, or Redis was restarted since
    /// [`Store::own`]: then nothing held in memory counts.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn beat(&self, shard: Shard, epoch: Epoch) -> Result<bool, StoreError> {
        let mut call = scripts::BEAT.prepare_invoke();
        call.key(keys::prefix(shard)).arg(epoch);
        self.call("keep a shard", &call).await
    }

    /// Gives a shard back, so that another takes it at once.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn release(&self, shard: Shard, epoch: Epoch) -> Result<bool, StoreError> {
        let mut call = scripts::RELEASE.prepare_invoke();
        call.key(keys::prefix(shard)).arg(epoch);
        self.call("give a shard back", &call).await
    }

    /// Allows claims on this run of Redis, under a new incarnation of the tokens; `false` if fenced. The
    /// incarnation is at least `least`: Redis may have forgotten the one before.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn accept_run(
        &self,
        shard: Shard,
        epoch: Epoch,
        least: u64,
    ) -> Result<bool, StoreError> {
        let mut call = scripts::ACCEPT.prepare_invoke();
        call.key(keys::prefix(shard)).arg(epoch).arg(least.min(LAST_INCARNATION));
        self.call("allow claims", &call).await
    }

    /// Up to `count` entries of the shard's stream after `after`, waiting up to `block` for the first.
    ///
    /// # Errors
    /// [`StoreError`]; an unreachable Redis is told at once, as the caller reads on in a loop.
    pub async fn read_in(
        &self,
        shard: Shard,
        after: StreamId,
        block: Duration,
        count: usize,
    ) -> Result<Vec<InEntry>, StoreError> {
        let key = keys::input(shard);
        let doing = "read a shard's stream";
        let entries = self.read_stream(doing, &key, after, block, count).await?;
        let row = |(id, entry): (StreamId, Entry)| {
            let what = reported(&entry);
            if what.is_none() {
                warn!("entry {id} of {key} can't be understood and is passed over");
            }
            InEntry { id, uid: field(&entry, "u").unwrap_or_default(), what }
        };
        Ok(entries.into_iter().map(row).collect())
    }

    /// Tells the owner of an attempt that so many workers were lost with its ticket, one after the other,
    /// before any of them claimed it; `false` if the attempt is offered no more.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn tell_set_aside(
        &self,
        attempt: &AttemptKey,
        readers: u32,
    ) -> Result<bool, StoreError> {
        let doing = "tell of a ticket that was set aside";
        let mut call = scripts::ASIDE.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(&attempt.job.uid).arg(attempt.index);
        call.arg(attempt.attempt).arg(readers);
        let reply: String = self.call(doing, &call).await?;
        match reply.as_str() {
            "told" => Ok(true),
            "void" => Ok(false),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Stops an attempt: withdraws an offered one, marks a claimed one.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn stop(
        &self,
        epoch: Epoch,
        attempt: &AttemptKey,
        grace_seconds: u32,
    ) -> Result<Stopped, StoreError> {
        let doing = "stop an attempt";
        let mut call = scripts::STOP.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(epoch).arg(&attempt.job.uid);
        call.arg(attempt.index).arg(attempt.attempt).arg(grace_seconds);
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "withdrawn" => Ok(Stopped::Withdrawn),
            [what] if what == "none" => Ok(Stopped::None),
            [what] if what == "fenced" => Ok(Stopped::Fenced),
            [what, worker] if what == "marked" => Ok(Stopped::Marked { worker: worker.clone() }),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Lets an attempt's container be restarted in place for the `restarts`-th time.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn grant(
        &self,
        epoch: Epoch,
        attempt: &AttemptKey,
        restarts: u32,
    ) -> Result<Granted, StoreError> {
        let doing = "grant a restart";
        let mut call = scripts::GRANT.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(epoch).arg(&attempt.job.uid);
        call.arg(attempt.index).arg(attempt.attempt).arg(restarts);
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "none" => Ok(Granted::None),
            [what] if what == "fenced" => Ok(Granted::Fenced),
            [what, worker] if what == "granted" => Ok(Granted::Granted { worker: worker.clone() }),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// The sessions that hold attempts in a shard, with their counters. A counter that stands still
    /// longer than a lease, by the owner's own clock, has let that lease run out.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn sessions(&self, shard: Shard) -> Result<Vec<(String, u64)>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::sessions(shard));
        self.ask("read the sessions", &cmd).await
    }

    /// The attempts that a session holds in a shard.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn held(&self, shard: Shard, session: &str) -> Result<Vec<Held>, StoreError> {
        let doing = "read a session's attempts";
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::held(shard, session));
        let flat: Vec<String> = self.ask(doing, &cmd).await?;
        held_rows(shard, &flat).ok_or_else(|| self.odd(doing, &flat))
    }

    /// Takes an attempt from a session whose lease has run out: it ends with `outcome`, if the session's
    /// counter is still `counter` and it still holds the attempt.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn expire(
        &self,
        epoch: Epoch,
        session: &str,
        counter: u64,
        held: &Held,
        outcome: &Outcome,
    ) -> Result<Revoked, StoreError> {
        let doing = "revoke an attempt";
        let attempt = &held.attempt;
        let mut call = scripts::EXPIRE.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(epoch).arg(session).arg(counter);
        call.arg(&attempt.job.uid).arg(attempt.index).arg(attempt.attempt).arg(&held.token);
        call.arg(encode(outcome)?);
        let reply: String = self.call(doing, &call).await?;
        match reply.as_str() {
            "revoked" => Ok(Revoked::Revoked),
            "lost" => Ok(Revoked::Lost),
            "fenced" => Ok(Revoked::Fenced),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    fn shard_meta(
        &self,
        doing: &'static str,
        row: Vec<Option<String>>,
    ) -> Result<ShardMeta, StoreError> {
        let parse = || {
            let [owner, epoch, beat, pos, run, incarnation] = row.as_slice() else { return None };
            let number = |text: &Option<String>| text.as_deref().unwrap_or("0").parse().ok();
            Some(ShardMeta {
                owner: owner.clone().unwrap_or_default(),
                epoch: number(epoch)?,
                beat: number(beat)?,
                pos: pos.as_deref().unwrap_or("0-0").parse().ok()?,
                run: run.clone(),
                incarnation: number(incarnation)?,
            })
        };
        parse().ok_or_else(|| self.odd(doing, &row))
    }
}

/// The data of an entry, as the scripts write it.
#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    w: String,
    #[serde(default)]
    t: String,
    #[serde(default)]
    r: u32,
    x: Option<Outcome>,
    #[serde(default)]
    cs: Vec<Container>,
    #[serde(default)]
    at: Millis,
    #[serde(default)]
    g: u32,
    #[serde(default)]
    ev: bool,
}

fn reported(entry: &Entry) -> Option<Reported> {
    let kind: String = field(entry, "t")?;
    if kind == "job" {
        return Some(Reported::Job);
    }
    let index: Index = field(entry, "i")?;
    let attempt: u32 = field(entry, "n")?;
    let data = match field::<String>(entry, "d") {
        Some(json) => decode::<Data>(&json, String::new).ok()?,
        None => Data::default(),
    };
    Some(Reported::Attempt(match kind.as_str() {
        "aside" => Event::TicketSetAside { index, attempt, readers: data.r },
        "claim" => Event::Claimed { index, attempt, worker: data.w, token: data.t },
        "pod" => Event::PodDeleted {
            index,
            attempt,
            at: data.at,
            grace_seconds: data.g,
            evicted: data.ev,
        },
        "start" => Event::Started { index, attempt },
        "fail" => Event::ContainerFailed { index, attempt, restarts: data.r, outcome: data.x? },
        "end" => Event::Finished { index, attempt, outcome: data.x?, containers: data.cs },
        _ => return None,
    }))
}
