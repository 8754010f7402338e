//! A runtime that runs nothing: for measuring all the rest, and for tests of size.
//!
//! It has to be allowed in the settings, its worker's Node says `null`, and so does every outcome.

use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use longshore_job::Outcome;

use super::{Ended, Facts, Found, Run, Runtime, RuntimeError, Stage};
use crate::control::Order;

/// Each attempt ends after a set time and fails at a set rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Null {
    pub(crate) duration: Duration,
    /// The share of attempts that fail, from 0 to 1.
    pub(crate) fail_rate: f64,
    /// Of so many indexes one fails at its first attempt; 0 is none.
    pub(crate) fail_once_in: u32,
}

impl Null {
    async fn pretend(&self, mut run: Run<'_>) -> Ended {
        run.progress.send_replace(Stage::Running);
        if self.duration > Duration::ZERO {
            tokio::select! {
                order = run.control.above(Order::Run) => return stopped(order),
                () = tokio::time::sleep(self.duration) => {}
            }
        }
        let key = &run.assignment.key;
        let once = key.attempt == 1 && (key.index + 1).checked_rem(self.fail_once_in) == Some(0);
        let failed = once || rand::random::<f64>() < self.fail_rate;
        Ended::Outcome(Outcome::Exited {
            code: i32::from(failed),
            reason: if failed { "Error" } else { "Completed" }.into(),
            message: MESSAGE.into(),
        })
    }
}

impl Runtime for Null {
    fn facts(&self) -> BoxFuture<'_, Result<Facts, RuntimeError>> {
        let facts = Facts {
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            ..Facts::default()
        };
        futures::future::ready(Ok(facts)).boxed()
    }

    fn probe<'a>(&'a self, _launcher: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Ended> {
        self.pretend(run).boxed()
    }

    fn has_networks(&self) -> bool {
        false
    }

    fn remove<'a>(&'a self, _container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn containers(&self) -> BoxFuture<'_, Result<Vec<Found>, RuntimeError>> {
        futures::future::ready(Ok(Vec::new())).boxed()
    }
}

const MESSAGE: &str = "null runtime: no container ran";

fn stopped(order: Order) -> Ended {
    match order {
        Order::Gone => Ended::Gone,
        Order::Drain { .. } => Ended::Outcome(Outcome::Disrupted {
            reason: "Drained".into(),
            message: MESSAGE.into(),
            host_lost: false,
        }),
        Order::Run | Order::Stop { .. } => Ended::Outcome(Outcome::Stopped { code: None }),
    }
}
