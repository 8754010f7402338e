//! Whatever a client sends, the result is an error or a Job that ends.

use std::collections::{BTreeSet, VecDeque};

use k8s_openapi::api::batch::v1::Job as Manifest;
use longshore_api::decode::{FieldValidation, decode_job};
use longshore_api::defaults::{prepare_create, set_defaults};
use longshore_api::spec::{ClusterDefaults, job_spec};
use longshore_api::status::job_status;
use longshore_api::validate::{validate, warnings};
use longshore_job::{
    Action, Backoff, ConditionType, Container, Event, Index, Job, Live, Millis, Outcome, Phase,
    RestartPolicy, Spec,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// So many steps no Job needs that has at most [`MOST`] completions.
const STEPS: usize = 20_000;
const MOST: u32 = 20;

/// Of so many Jobs at least a tenth is to be valid, so that the test tests something.
const CASES: u32 = 600;

#[test]
fn the_result_is_always_an_error_or_a_job_that_ends() {
    let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
    let ended = std::cell::Cell::new(0);
    let input = (any_job(), prop::collection::vec(any::<u8>(), 0..40));
    let result = runner.run(&input, |(value, fates)| {
        let Some(spec) = accept(value) else { return Ok(()) };
        let small = spec.completions.unwrap_or(1) <= MOST && spec.parallelism <= MOST;
        if small && !spec.managed_elsewhere {
            Run::new(spec).finish(&fates).map_err(TestCaseError::fail)?;
            ended.set(ended.get() + 1);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(ended.get() * 10 > CASES, "only {} Jobs were run", ended.get());
}

/// The way of a new Job; `None` if it is refused.
fn accept(value: Value) -> Option<Spec> {
    for mode in [FieldValidation::Warn, FieldValidation::Ignore] {
        let _ = decode_job(value.clone(), mode);
    }
    let (mut job, _): (Manifest, _) = decode_job(value, FieldValidation::Strict).ok()?;
    set_defaults(&mut job);
    prepare_create(&mut job, "default", "u-1", 1_000);
    let _ = warnings(&job);
    let errors = validate(&job);
    let defaults = ClusterDefaults {
        backoff: Backoff::default(),
        max_disruptions: 10,
        lease: 15_000,
        retention: None,
    };
    let spec = job_spec(&job, &defaults);
    errors.is_empty().then_some(spec)
}

/// A valid Job in which some fields were set to anything.
fn any_job() -> impl Strategy<Value = Value> {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"},
        "spec": {"completions": 3, "parallelism": 2, "template": {"metadata": {}, "spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}}
    });
    let changes = prop::collection::vec((prop::sample::select(fields()), value()), 0..7);
    changes.prop_map(move |changes| {
        let mut job = job.clone();
        for ((pointer, good), other) in changes {
            let value = other.unwrap_or(good);
            if let Some((parent, key)) = pointer.rsplit_once('/')
                && let Some(Value::Object(fields)) = job.pointer_mut(parent)
            {
                fields.insert(key.to_owned(), value);
            }
        }
        job
    })
}

/// Fields and values that they may have, some of them only beside others.
fn fields() -> Vec<(&'static str, Value)> {
    let exit = |action: &str, code: i32| json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}});
    let lost =
        |action: &str| json!({"action": action, "onPodConditions": [{"type": "DisruptionTarget"}]});
    let container = |name: &str| json!({"name": name, "image": "i:1"});
    vec![
        ("/spec/completionMode", json!("Indexed")),
        ("/spec/completionMode", json!("Indexed")),
        ("/spec/completionMode", json!("Indexed")),
        ("/spec/completions", json!(0)),
        ("/spec/completions", json!(7)),
        ("/spec/completions", Value::Null),
        ("/spec/parallelism", json!(0)),
        ("/spec/parallelism", json!(20)),
        ("/spec/backoffLimit", json!(0)),
        ("/spec/backoffLimit", json!(2)),
        ("/spec/backoffLimitPerIndex", json!(0)),
        ("/spec/backoffLimitPerIndex", json!(2)),
        ("/spec/maxFailedIndexes", json!(1)),
        ("/spec/activeDeadlineSeconds", json!(30)),
        ("/spec/ttlSecondsAfterFinished", json!(0)),
        ("/spec/suspend", json!(true)),
        ("/spec/managedBy", json!("x.io/y")),
        ("/spec/podReplacementPolicy", json!("Failed")),
        ("/spec/podFailurePolicy", json!({"rules": [exit("FailJob", 42), exit("Ignore", 1)]})),
        ("/spec/podFailurePolicy", json!({"rules": [lost("Ignore"), exit("Count", 1)]})),
        ("/spec/podFailurePolicy", json!({"rules": [lost("Count"), exit("FailIndex", 42)]})),
        ("/spec/successPolicy", json!({"rules": [{"succeededIndexes": "0,2"}]})),
        ("/spec/successPolicy", json!({"rules": [{"succeededCount": 1}]})),
        ("/spec/successPolicy", json!({"rules": [{"succeededIndexes": ""}]})),
        ("/spec/template/metadata/labels", json!({"a": "b"})),
        ("/spec/template/spec/restartPolicy", json!("OnFailure")),
        ("/spec/template/spec/initContainers", json!([container("i")])),
        ("/spec/template/spec/containers", json!([container("c"), container("d")])),
        ("/spec/template/spec/terminationGracePeriodSeconds", json!(0)),
        ("/spec/template/spec/activeDeadlineSeconds", json!(5)),
        ("/spec/template/spec/hostNetwork", json!(true)),
        ("/spec/template/spec/volumes", json!([{"name": "v", "secret": {"secretName": "s"}}])),
        ("/metadata/annotations", json!({"longshore.dev/backoff-base": "0s"})),
        ("/metadata/annotations", json!({"longshore.dev/backoff-cap": "1s"})),
    ]
}

/// Mostly none, so that the good value is taken; else any.
fn value() -> impl Strategy<Value = Option<Value>> {
    let odd = prop::sample::select(vec![
        Value::Null,
        json!(-1),
        json!(i32::MAX),
        json!(i64::MAX),
        json!(1.5),
        json!(true),
        json!(""),
        json!("x"),
        json!([]),
        json!([null]),
        json!({}),
        json!({"rules": [{}]}),
        json!({"rules": [{"succeededIndexes": "9-1"}]}),
        json!([{"name": "c"}]),
    ]);
    prop_oneof![9 => Just(None), 1 => odd.prop_map(Some)]
}

/// One Job with workers that obey, whose containers meet the fates given, and then succeed.
struct Run {
    job: Job,
    now: Millis,
    events: VecDeque<Event>,
    told: BTreeSet<(Index, u32)>,
    purged: bool,
}

impl Run {
    fn new(spec: Spec) -> Self {
        Self {
            job: Job::new(spec),
            now: 1_700_000_000_000,
            events: VecDeque::from([Event::Loaded]),
            told: BTreeSet::new(),
            purged: false,
        }
    }

    fn finish(mut self, fates: &[u8]) -> Result<(), String> {
        let mut fates = fates.iter().copied();
        for _ in 0..STEPS {
            if let Some(event) = self.events.pop_front() {
                self.apply(event);
                self.check()?;
            } else if self.job.is_finished() || self.purged {
                return Ok(());
            } else if !self.work(&mut fates) {
                self.wait()?;
            }
        }
        Err(format!("has not ended: {:?}", self.job.header()))
    }

    fn apply(&mut self, event: Event) {
        for action in self.job.apply(event, self.now).actions {
            match action {
                Action::Stop { index, attempt, .. } => {
                    self.told.insert((index, attempt));
                }
                Action::Purge => self.purged = true,
                Action::Offer { .. } | Action::Restart { .. } | Action::Report { .. } => {}
            }
        }
    }

    /// What holds in every state that is shown.
    fn check(&self) -> Result<(), String> {
        let (header, spec) = (self.job.header(), self.job.spec());
        let status = job_status(header, spec, self.job.completed(), self.job.failed());
        let is = |kind| header.is(kind);
        let (complete, failed) = (is(ConditionType::Complete), is(ConditionType::Failed));
        let parts = header.active + header.terminating;
        let broken = [
            (complete && failed, "Complete and Failed"),
            (complete && !is(ConditionType::SuccessCriteriaMet), "Complete without its criteria"),
            (failed && !is(ConditionType::FailureTarget), "Failed without its target"),
            ((complete || failed) && parts > 0, "ended with Pods"),
            (complete != status.completion_time.is_some(), "completionTime"),
            ((complete || failed) && status.start_time.is_none(), "no startTime"),
            (parts > spec.parallelism, "more Pods than parallelism"),
            (
                status.failed_indexes.is_some() != spec.backoff_limit_per_index.is_some(),
                "failedIndexes",
            ),
        ];
        match broken.iter().find(|(broken, _)| *broken) {
            Some((_, what)) => Err(format!("{what}: {header:?}")),
            None => Ok(()),
        }
    }

    /// The next step of each attempt; `false` if none has one.
    fn work(&mut self, fates: &mut impl Iterator<Item = u8>) -> bool {
        let live: Vec<(Index, Live)> =
            self.job.in_flight().map(|(index, live)| (index, live.clone())).collect();
        for (index, live) in live {
            let attempt = live.attempt.number;
            let told = self.told.contains(&(index, attempt));
            let started = live.attempt.started.is_some();
            let event = match live.phase {
                Phase::Offered if told => self.end(index, attempt, Outcome::Stopped { code: None }),
                Phase::Offered => {
                    let (worker, token) = ("w".to_owned(), "1".to_owned());
                    Event::Claimed { index, attempt, worker, token }
                }
                Phase::Claimed if told => {
                    self.end(index, attempt, Outcome::Stopped { code: Some(143) })
                }
                Phase::Claimed if !started => Event::Started { index, attempt },
                // It waits to be restarted in place.
                Phase::Claimed if live.counted > live.granted => continue,
                Phase::Claimed => {
                    let outcome = outcome(fates.next().unwrap_or(0));
                    let in_place = self.job.spec().restart_policy == RestartPolicy::OnFailure;
                    match outcome {
                        Outcome::Exited { code, .. } if in_place && code != 0 => {
                            let restarts = live.counted + 1;
                            Event::ContainerFailed { index, attempt, restarts, outcome }
                        }
                        outcome => self.end(index, attempt, outcome),
                    }
                }
                Phase::Waiting | Phase::Finished => continue,
            };
            self.events.push_back(event);
        }
        !self.events.is_empty()
    }

    /// Lets time pass until something is due, or has the user undo what keeps the Job from running.
    fn wait(&mut self) -> Result<(), String> {
        let spec = self.job.spec();
        let event = if spec.suspend {
            Event::SpecChanged(Box::new(Spec { suspend: false, ..spec.clone() }))
        } else if let Some(wake) = self.job.next_wake() {
            self.now = wake.max(self.now + 1);
            Event::Tick
        } else if spec.parallelism == 0 {
            Event::SpecChanged(Box::new(Spec { parallelism: 1, ..spec.clone() }))
        } else {
            return Err(format!("waits for nothing: {:?}", self.job.header()));
        };
        self.events.push_back(event);
        Ok(())
    }

    fn end(&self, index: Index, attempt: u32, outcome: Outcome) -> Event {
        let names = &self.job.spec().containers;
        let containers = match names.as_slice() {
            [] | [_] => Vec::new(),
            names => names
                .iter()
                .map(|name| Container {
                    name: name.clone(),
                    outcome: Some(outcome.clone()),
                    ..Container::default()
                })
                .collect(),
        };
        Event::Finished { index, attempt, outcome, containers }
    }
}

fn outcome(fate: u8) -> Outcome {
    let exited = |code| Outcome::Exited { code, reason: String::new(), message: String::new() };
    match fate % 8 {
        0..=2 => exited(0),
        3 => exited(1),
        4 => exited(42),
        5 => Outcome::Disrupted {
            reason: "WorkerLost".into(),
            message: String::new(),
            host_lost: fate >= 128,
        },
        6 => Outcome::StartError { reason: "StartError".into(), message: "x".into(), code: 127 },
        _ => Outcome::PodFailed {
            reason: "DeadlineExceeded".into(),
            message: "x".into(),
            code: Some(143),
        },
    }
}
