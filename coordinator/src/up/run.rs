//! Starting and stopping a cluster and its members.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use longshore_support::shutdown;
use tokio_util::sync::CancellationToken;

use super::record::{Folder, Member, Record, Role};
use super::{UpError, UpOptions, plan, process, ready};

/// How long a worker may take to end: its drain's bound, and some more.
const WORKER_GRACE: Duration = Duration::from_secs(40);
const GRACE: Duration = Duration::from_secs(15);
const WATCH: Duration = Duration::from_millis(500);

/// Starts a cluster in `dir`; in the foreground until a signal, unless it is to
/// be detached.
pub(super) async fn up(dir: &Path, options: &UpOptions) -> Result<(), UpError> {
    let begin = Instant::now();
    let shutdown = shutdown::on_signals()?;
    let folder = Folder::create(dir)?;
    let lock = folder.lock()?;
    if let Some(record) = folder.load()? {
        refuse_running(&folder, &record)?;
    }
    folder.forget()?;
    folder.clear_logs()?;
    let mut record = plan::plan(&folder, options)?;

    let started = tokio::select! {
        result = start_all(&folder, &mut record) => result,
        () = shutdown.cancelled() => Err(UpError::Interrupted),
    };
    if let Err(error) = started {
        stop_all(&record.members, true).await;
        folder.forget()?;
        return Err(error);
    }
    folder.publish(&record)?;
    drop(lock);

    println!(
        "cluster ready after {:.1} s: {}, {} of {} slots",
        begin.elapsed().as_secs_f64(),
        record.server,
        counted(options.workers, "worker"),
        options.slots,
    );
    println!("export KUBECONFIG={}", folder.kubeconfig().display());
    if options.detach {
        return Ok(());
    }
    println!("Ctrl-C or `longshore down --data {}` ends it", folder.path().display());
    foreground(&folder, &shutdown).await
}

/// Starts one member again. Waits until a service answers; a coordinator or a
/// worker may have to wait for others and is only seen to run.
pub(super) async fn start_member(dir: &Path, name: &str) -> Result<(), UpError> {
    let (folder, _lock, mut record) = open(dir)?;
    let server = record.server.clone();
    // The port mapper may have gone down with the session or the machine.
    if matches!(record.member(name)?.role, Role::Rabbitmq { .. }) {
        start_if_ended(record.member("epmd")?, &server).await?;
    }
    let member = record.member(name)?;
    if member.is_alive() {
        println!("{name} is running already");
        return Ok(());
    }
    let result = start_if_ended(member, &server).await;
    folder.save(&record)?;
    folder.publish(&record)?;
    result?;
    println!("{name} started");
    Ok(())
}

/// Stops one member: SIGTERM and, if that takes too long, SIGKILL.
pub(super) async fn stop_member(dir: &Path, name: &str, kill: bool) -> Result<(), UpError> {
    let (folder, _lock, mut record) = open(dir)?;
    let member = record.member(name)?;
    match member.process.filter(|process| process.is_alive()) {
        None => println!("{name} is not running"),
        Some(process) => {
            if kill {
                process.kill().await;
            } else {
                stop(member).await;
            }
            println!("{name} stopped");
        }
    }
    member.process = None;
    folder.save(&record)?;
    folder.publish(&record)?;
    Ok(())
}

/// Takes the cluster down; fine if there is none, or some members have ended.
pub(super) async fn down(dir: &Path) -> Result<(), UpError> {
    let (folder, _lock, record) = match open(dir) {
        Err(UpError::NoCluster(dir)) => {
            println!("no cluster is running in {}", dir.display());
            return Ok(());
        }
        other => other?,
    };
    stop_all(&record.members, false).await;
    folder.forget()?;
    println!("cluster in {} stopped", folder.path().display());
    Ok(())
}

fn open(dir: &Path) -> Result<(Folder, std::fs::File, Record), UpError> {
    let none = || UpError::NoCluster(dir.to_owned());
    let folder = Folder::open(dir).map_err(|_| none())?;
    let lock = folder.lock()?;
    let record = folder.load()?.ok_or_else(none)?;
    Ok((folder, lock, record))
}

fn refuse_running(folder: &Folder, record: &Record) -> Result<(), UpError> {
    let alive = record.members.iter().filter(|member| member.is_alive());
    let running: Vec<&str> = alive.map(|member| member.name.as_str()).collect();
    if running.is_empty() {
        return Ok(());
    }
    Err(UpError::Running { dir: folder.path().to_owned(), running: running.join(", ") })
}

/// Starts the services, then the coordinators, then the workers; each kind as
/// soon as the one before is ready, all of a kind at once.
async fn start_all(folder: &Folder, record: &mut Record) -> Result<(), UpError> {
    let server = record.server.clone();
    for stage in 0..STAGES {
        for at in 0..record.members.len() {
            if stage_of(&record.members[at].role) == stage {
                spawn(&mut record.members[at])?;
                // Saved after each, so that `down` finds what an `up` that was
                // killed had started.
                folder.save(record)?;
            }
        }
        let members = record.members.iter().filter(|member| stage_of(&member.role) == stage);
        try_join_all(members.map(|member| ready::wait(member, &server))).await?;
    }
    Ok(())
}

const STAGES: u8 = 4;

fn stage_of(role: &Role) -> u8 {
    match role {
        Role::Epmd { .. } => 0,
        Role::Redis { .. } | Role::Rabbitmq { .. } => 1,
        Role::Coordinator { .. } => 2,
        Role::Worker { .. } => 3,
    }
}

fn spawn(member: &mut Member) -> Result<(), UpError> {
    let process = process::spawn(&member.launch)
        .map_err(|source| UpError::Spawn { name: member.name.clone(), source })?;
    member.process = Some(process);
    Ok(())
}

async fn start_if_ended(member: &mut Member, server: &str) -> Result<(), UpError> {
    if member.is_alive() {
        return Ok(());
    }
    spawn(member)?;
    match member.role {
        Role::Coordinator { .. } | Role::Worker { .. } => ready::survives(member).await,
        _ => ready::wait(member, server).await,
    }
}

/// Stops all members, the last started kind first. With `now`, workers don't
/// get the time to finish what they run.
async fn stop_all(members: &[Member], now: bool) {
    for stage in (0..STAGES).rev() {
        let of_stage = members.iter().filter(|member| stage_of(&member.role) == stage);
        join_all(of_stage.map(async |member| match member.process {
            Some(process) if now => {
                process.stop(Duration::from_secs(2)).await;
            }
            _ => stop(member).await,
        }))
        .await;
    }
}

async fn stop(member: &Member) {
    let Some(process) = member.process else { return };
    let grace = match member.role {
        Role::Worker { .. } => WORKER_GRACE,
        _ => GRACE,
    };
    if !process.stop(grace).await {
        eprintln!("{} did not end within {} s and was killed", member.name, grace.as_secs());
    }
}

/// Stays until a signal, then takes the cluster down; or until `longshore down`
/// has done so. Says when a member has ended.
async fn foreground(folder: &Folder, shutdown: &CancellationToken) -> Result<(), UpError> {
    let mut told = Vec::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return take_down(folder).await,
            () = tokio::time::sleep(WATCH) => {}
        }
        let Some(record) = folder.load()? else {
            println!("the cluster was taken down");
            return Ok(());
        };
        for member in record.members {
            let Some(process) = member.process else { continue };
            if !process.is_alive() && !told.contains(&process) {
                eprintln!("{} has ended; its log is {}", member.name, member.launch.log.display());
                told.push(process);
            }
        }
    }
}

/// Takes the cluster down after a first signal; a second kills what is left.
async fn take_down(folder: &Folder) -> Result<(), UpError> {
    println!("taking the cluster down; once more to kill it");
    let _lock = folder.lock()?;
    let again = shutdown::on_signals()?;
    let Some(record) = folder.load()? else { return Ok(()) };
    tokio::select! {
        () = stop_all(&record.members, false) => {}
        () = again.cancelled() => {
            join_all(record.members.iter().filter_map(|m| m.process).map(|p| p.kill())).await;
        }
    }
    folder.forget()?;
    Ok(())
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
