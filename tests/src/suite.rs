//! The main of a test program: scenarios by name, the clusters they share, and the end of it all.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex as Turn, OnceCell};

use crate::{Cluster, Options, teardown};

static ANY_FAILED: AtomicBool = AtomicBool::new(false);
static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// What is left of a cluster that was taken down.
pub(crate) struct Kept {
    pub(crate) folder: PathBuf,
    /// The last warnings of its members.
    pub(crate) trouble: Vec<String>,
}

/// Keeps what is left of a cluster until it is known whether it is of use.
pub(crate) fn keep(kept: Kept) {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
}

/// Shows what was kept if a scenario has failed, and removes it otherwise.
fn show_kept() {
    for kept in std::mem::take(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner)) {
        if ANY_FAILED.load(Ordering::Relaxed) {
            kept.trouble.iter().for_each(|line| eprintln!("{line}"));
            eprintln!("a cluster's logs are in {}", kept.folder.display());
        } else if let Err(error) = std::fs::remove_dir_all(&kept.folder) {
            eprintln!("{}: {error}", kept.folder.display());
        }
    }
}

/// A set of scenarios that runs like any test program of Cargo's: names can be given, `--list` works.
pub struct Suite {
    args: Arguments,
    runtime: Runtime,
    trials: Vec<Trial>,
}

/// A cluster that is started by the first scenario that needs it.
#[derive(Clone)]
pub struct Shared {
    options: Options,
    cluster: Arc<OnceCell<Cluster>>,
    /// Held by the scenario that has the cluster to itself.
    turn: Option<Arc<Turn<()>>>,
}

impl Suite {
    /// At most `at_once` scenarios run at once, unless `--test-threads` says otherwise. Scenarios
    /// mostly wait, so that there can be more of them than processors.
    pub fn new(at_once: usize) -> Result<Self> {
        let mut args = Arguments::from_args();
        args.test_threads.get_or_insert(at_once);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.spawn(take_down_when_interrupted());
        Ok(Self { args, runtime, trials: Vec::new() })
    }

    /// Adds a scenario that makes its own cluster.
    pub fn test<F>(&mut self, name: &str, scenario: F)
    where
        F: AsyncFnOnce() -> Result<()> + Send + 'static,
    {
        let handle = self.runtime.handle().clone();
        let own = name.to_owned();
        self.trials.push(Trial::test(name, move || {
            let begin = Instant::now();
            let result = handle.block_on(scenario());
            let seconds = begin.elapsed().as_secs_f32();
            match result {
                Ok(()) => println!("{own}: {seconds:.1} s"),
                Err(error) => {
                    ANY_FAILED.store(true, Ordering::Relaxed);
                    // Now too, since a run may be cut off before its end.
                    println!("{own}: {seconds:.1} s: {error:#}");
                    return Err(format!("{error:#}").into());
                }
            }
            Ok(())
        }));
    }

    /// Adds a scenario on a shared cluster.
    pub fn test_on<F>(&mut self, shared: &Shared, name: &str, scenario: F)
    where
        F: AsyncFnOnce(&Cluster) -> Result<()> + Send + 'static,
    {
        let Shared { options, cluster, turn } = shared.clone();
        self.test(name, async move || {
            let _turn = match &turn {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            scenario(cluster.get_or_try_init(|| Cluster::start(options)).await?).await
        });
    }

    /// Runs the scenarios, then takes down whatever they share.
    pub fn run(self) -> ExitCode {
        let conclusion = libtest_mimic::run(&self.args, self.trials);
        self.runtime.shutdown_background();
        show_kept();
        conclusion.exit_code()
    }
}

impl Shared {
    /// For scenarios that can run side by side.
    pub fn new(options: Options) -> Self {
        Self { options, cluster: Arc::default(), turn: None }
    }

    /// For scenarios that each need the cluster to themselves for a while.
    pub fn in_turns(options: Options) -> Self {
        Self { turn: Some(Arc::default()), ..Self::new(options) }
    }
}

async fn take_down_when_interrupted() -> Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("interrupted: taking down the clusters");
    teardown::all();
    std::process::exit(130)
}
