//! One container from its creation to its end.

use std::time::Duration;

use longshore_job::{Millis, Outcome};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::engine::Engine;
use super::exit::{Record, lost};
use super::follow::Follow;
use super::start::start;
use super::watch::{LAUNCHER_PATIENCE, Running, drained, end_by_launcher, inspect, recorded};
use super::{DockerRuntime, remove, termination};
use crate::control::Order;
use crate::health::START_FAILED;
use crate::own_folder::OwnFolder;
use crate::runtime::{Ended, Run, Stage};

/// How long the daemon may take to remove a container that its launcher ends anyway.
const REMOVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a start that a process before this one may have sent may still take inside the daemon.
const START_PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs a container to its end from wherever it is, by its note: it may not have been begun yet, run, or
/// have ended. The end is noted before it is told.
pub(super) async fn run(runtime: &DockerRuntime, run: Run<'_>) -> Ended {
    let name = run.assignment.container_name(run.container);
    let folder = run.folder.container(&run.container.name);
    let note = match folder.note() {
        Ok(note) => note,
        Err(error) => return Ended::Outcome(lost(START_FAILED, error.to_string(), false)),
    };
    if let Some(end) = note.end {
        if let Some(begun) = note.begun {
            // The last of its output may have gone with the process that noted its end.
            Follow::resume(&runtime.engine, &name, run.output.clone(), begun).drain().await;
        }
        return Ended::Outcome(end.outcome);
    }
    let ended = match note.begun {
        Some(begun) => go_on(runtime, run, &folder, &name, begun).await,
        None => begin(runtime, run, &folder, &name).await,
    };
    if let Ended::Outcome(outcome) = &ended
        && let Err(error) = folder.note_end(outcome)
    {
        warn!(container = name, %error, "its end can't be noted");
    }
    ended
}

/// Creates and starts a container, and waits for its end.
async fn begin(runtime: &DockerRuntime, run: Run<'_>, folder: &OwnFolder, name: &str) -> Ended {
    let engine = &runtime.engine;
    let mut control = run.control.clone();
    let start = start(runtime, &run, folder, name);
    let given_up = async {
        tokio::select! {
            started = start => started,
            () = engine.hangs() => Err(lost(START_FAILED, "the Docker daemon hangs", false)),
        }
    };
    tokio::select! {
        biased;
        order = control.above(Order::Run) => abandon(engine, folder, name, order).await,
        started = given_up => match started {
            Ok(follow) => to_the_end(runtime, run, folder, name, follow).await,
            Err(outcome) => fail_to_start(engine, folder, name, outcome).await,
        },
    }
}

/// Goes on with a container that a process before this one was about to start, or has started.
async fn go_on(
    runtime: &DockerRuntime,
    run: Run<'_>,
    folder: &OwnFolder,
    name: &str,
    begun: Millis,
) -> Ended {
    let engine = &runtime.engine;
    match inspect(engine, name).await {
        Ok(Some(found)) if !found.has_run && !starts_yet(engine, name).await => {
            if take_back_start(engine, folder, name).await {
                info!(container = name, "it had not been started; started anew");
                return begin(runtime, run, folder, name).await;
            }
            end_for_sure(engine, folder, name).await;
            let message = "the worker restarted while the container was being started";
            return Ended::Outcome(lost("WorkerRestarted", message, false));
        }
        Ok(None) if folder.exit_record().is_none() => {
            // It may be under another daemon, which this worker had before.
            end_by_launcher(folder, name);
            sleep(LAUNCHER_PATIENCE).await;
        }
        _ => {}
    }
    let follow = Follow::resume(engine, name, run.output.clone(), begun);
    to_the_end(runtime, run, folder, name, follow).await
}

/// Whether the daemon still carries out a container's start.
async fn starts_yet(engine: &Engine, name: &str) -> bool {
    let has_run = async {
        while !matches!(inspect(engine, name).await, Ok(Some(found)) if found.has_run) {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(START_PATIENCE, has_run).await.is_ok()
}

/// Makes sure that the command of a container whose start may be under way inside the daemon has not run,
/// and removes it; `false` if that isn't certain.
async fn take_back_start(engine: &Engine, folder: &OwnFolder, name: &str) -> bool {
    // A launcher that begins after this finds its deadline passed, and says so; what began before is seen
    // to have run.
    end_by_launcher(folder, name);
    let Ok(found) = inspect(engine, name).await else { return false };
    let has_begun = found.is_some_and(|found| found.has_run);
    if has_begun && timeout(LAUNCHER_PATIENCE, recorded(folder, LOOK_AGAIN)).await.is_err() {
        return false;
    }
    let has_not_run = || match folder.exit_record() {
        None => true,
        Some(line) => matches!(Record::parse(&line), Some(Record::Refused(_))),
    };
    has_not_run()
        && remove(engine, name).await.is_ok()
        && has_not_run()
        && folder.take_back_start().is_ok()
}

/// Waits for the end of a container that has been started.
async fn to_the_end(
    runtime: &DockerRuntime,
    mut run: Run<'_>,
    folder: &OwnFolder,
    name: &str,
    follow: Follow,
) -> Ended {
    run.progress.send_replace(Stage::Running);
    let engine = &runtime.engine;
    let ended = Running { engine, name, folder }.watch(&mut run.control).await;
    follow.drain().await;
    termination::with_message(ended, engine, run.container, folder, name).await
}

/// Gives up a start that is under way. What the daemon may still do with it comes to nothing: the
/// launcher finds its deadline passed.
async fn abandon(engine: &Engine, folder: &OwnFolder, name: &str, order: Order) -> Ended {
    end_for_sure(engine, folder, name).await;
    match order {
        Order::Gone => Ended::Gone,
        Order::Drain { .. } => Ended::Outcome(drained()),
        Order::Run | Order::Stop { .. } => Ended::Outcome(Outcome::Stopped { code: None }),
    }
}

/// An outcome that hands the index on must not leave a container behind that may still start.
async fn fail_to_start(engine: &Engine, folder: &OwnFolder, name: &str, outcome: Outcome) -> Ended {
    if matches!(outcome, Outcome::Disrupted { .. }) {
        end_for_sure(engine, folder, name).await;
    }
    Ended::Outcome(outcome)
}

/// Ends a container whatever state it is in, by its launcher and by Docker.
async fn end_for_sure(engine: &Engine, folder: &OwnFolder, name: &str) {
    end_by_launcher(folder, name);
    let removed = timeout(REMOVE_PATIENCE, remove(engine, name)).await;
    if let Err(error) = removed.unwrap_or_else(|_| Err(engine.silent(REMOVE_PATIENCE))) {
        warn!(container = name, %error, "the container can't be removed now");
        sleep(LAUNCHER_PATIENCE).await;
    }
}
