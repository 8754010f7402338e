//! Random histories of a Job, and what must hold in each.

use longshore_job::ConditionType::*;
use longshore_job::{
    Backoff, CompletionMode, FailureAction, FailureRule, Header, Index, IndexSet, Job, Live,
    Millis, Outcome, Phase, RestartPolicy, Spec, SuccessRule,
};
use proptest::prelude::*;

use crate::bench::{exit, indexed, lost, on_disruption, on_exit};
use crate::invariants::check_update;
use crate::world::World;

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Act,
    ChangeOwner,
    Claim(usize),
    SetAside(usize),
    Start(usize),
    FailInPlace(usize),
    Finish(usize, Outcome),
    Obey(usize, i32),
    DeletePod(usize, bool),
    Pass(Millis),
    Suspend(bool),
    Parallelism(u32),
    BackoffLimit(u32),
    MaxFailedIndexes(Option<u32>),
    /// With parallelism, as an elastic Job needs it.
    Completions(u32),
}

fn spec() -> impl Strategy<Value = Spec> {
    let mode = prop_oneof![
        3 => (0u32..7).prop_map(|n| (CompletionMode::Indexed, Some(n))),
        1 => (0u32..5).prop_map(|n| (CompletionMode::NonIndexed, Some(n))),
        2 => Just((CompletionMode::NonIndexed, None)),
    ];
    let restart_policy = prop_oneof![Just(RestartPolicy::Never), Just(RestartPolicy::OnFailure)];
    let active_deadline = prop_oneof![4 => Just(None), 1 => (1_000u64..90_000).prop_map(Some)];
    let backoff_limit = prop_oneof![0u32..4, Just(50)];
    let limits = (backoff_limit, active_deadline, 0u32..4);
    (mode, restart_policy, 0u32..5, limits, any::<bool>(), policies()).prop_map(
        |((mode, completions), restart_policy, parallelism, limits, suspend, policies)| {
            let (backoff_limit, active_deadline, max_disruptions) = limits;
            allowed(Spec {
                mode,
                completions,
                restart_policy,
                parallelism,
                backoff_limit,
                active_deadline,
                suspend,
                max_disruptions,
                backoff: Backoff { base: 1_000, cap: 8_000 },
                ttl_after_finished: Some(1_000),
                backoff_limit_per_index: policies.per_index,
                max_failed_indexes: policies.max_failed,
                failure_policy: policies.failure,
                success_policy: policies.success,
                ..indexed(0, 0)
            })
        },
    )
}

#[derive(Clone, Debug)]
struct Policies {
    per_index: Option<u32>,
    max_failed: Option<u32>,
    failure: Vec<FailureRule>,
    success: Vec<SuccessRule>,
}

fn policies() -> impl Strategy<Value = Policies> {
    use FailureAction::*;
    let action = prop_oneof![
        1 => Just(FailJob),
        2 => Just(FailIndex),
        3 => Just(Ignore),
        1 => Just(Count),
    ];
    let failure = (action, 0usize..4).prop_map(|(action, on)| match on {
        0 => on_disruption(action),
        on => on_exit(action, [&[1][..], &[2, 143], &[1, 2, 128]][on - 1]),
    });
    let indexes = prop::option::of(prop::collection::vec(0u32..7, 1..4));
    let success = (indexes, prop::option::of(1u32..4)).prop_map(|(indexes, count)| SuccessRule {
        indexes: indexes.map(|indexes| set(&indexes)),
        count,
    });
    let failure = prop_oneof![Just(vec![]), prop::collection::vec(failure, 1..4)];
    let success = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(success, 1..3)];
    let per_index = prop::option::of(0u32..3);
    (per_index, max_failed(), failure, success).prop_map(
        |(per_index, max_failed, failure, success)| Policies {
            per_index,
            max_failed,
            failure,
            success,
        },
    )
}

fn max_failed() -> impl Strategy<Value = Option<u32>> {
    prop::option::of(0u32..4)
}

fn set(indexes: &[Index]) -> IndexSet {
    let mut set = IndexSet::new();
    for index in indexes {
        set.insert(*index);
    }
    set
}

/// Without what validation refuses.
fn allowed(mut spec: Spec) -> Spec {
    let indexed = spec.mode == CompletionMode::Indexed;
    if spec.restart_policy != RestartPolicy::Never {
        spec.failure_policy.clear();
    }
    if spec.restart_policy != RestartPolicy::Never || !indexed {
        spec.backoff_limit_per_index = None;
    }
    if spec.backoff_limit_per_index.is_none() {
        spec.max_failed_indexes = None;
        spec.failure_policy.retain(|rule| rule.action != FailureAction::FailIndex);
    }
    if !indexed {
        spec.success_policy.clear();
    }
    spec
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0usize..8;
    let outcome = prop_oneof![
        5 => Just(exit(0)),
        2 => Just(exit(1)),
        2 => Just(exit(2)),
        2 => any::<bool>().prop_map(lost),
        1 => Just(Outcome::StartError { reason: "ErrImagePull".into(), message: String::new(), code: 128 }),
    ];
    prop_oneof![
        8 => (1usize..4).prop_map(Step::Deliver),
        6 => Just(Step::Act),
        1 => Just(Step::ChangeOwner),
        8 => n.clone().prop_map(Step::Claim),
        1 => n.clone().prop_map(Step::SetAside),
        5 => n.clone().prop_map(Step::Start),
        3 => n.clone().prop_map(Step::FailInPlace),
        6 => (n.clone(), outcome).prop_map(|(n, outcome)| Step::Finish(n, outcome)),
        3 => (n.clone(), prop_oneof![2 => Just(143), 1 => Just(0)])
            .prop_map(|(n, code)| Step::Obey(n, code)),
        2 => (n, any::<bool>()).prop_map(|(n, evicted)| Step::DeletePod(n, evicted)),
        4 => (1u64..12_000).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Suspend),
        2 => (0u32..5).prop_map(Step::Parallelism),
        1 => (0u32..5).prop_map(Step::BackoffLimit),
        1 => max_failed().prop_map(Step::MaxFailedIndexes),
        2 => (0u32..7).prop_map(Step::Completions),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Deliver(events) => (0..events).for_each(|_| {
            world.deliver();
        }),
        Step::Act => world.act(),
        Step::ChangeOwner => world.change_owner(),
        Step::Claim(n) => world.claim(n),
        Step::SetAside(n) => world.set_aside(n),
        Step::Start(n) => world.start(n),
        Step::FailInPlace(n) => {
            if world.spec.restart_policy == RestartPolicy::OnFailure {
                world.fail_in_place(n, exit(1));
            }
        }
        Step::Finish(n, outcome) => world.finish(n, outcome),
        Step::Obey(n, code) => world.obey(n, code),
        Step::DeletePod(n, evicted) => world.delete_pod(n, evicted),
        Step::Pass(time) => {
            world.now += time;
            if world.job.next_wake().is_some_and(|wake| wake <= world.now) {
                world.tick();
            }
        }
        Step::Suspend(suspend) => world.change(|spec| spec.suspend = suspend),
        Step::Parallelism(parallelism) => world.change(|spec| spec.parallelism = parallelism),
        Step::BackoffLimit(limit) => world.change(|spec| spec.backoff_limit = limit),
        Step::MaxFailedIndexes(max) => {
            if world.spec.backoff_limit_per_index.is_some() {
                world.change(|spec| spec.max_failed_indexes = max);
            }
        }
        Step::Completions(n) => {
            if world.spec.mode == CompletionMode::Indexed {
                world.change(|spec| (spec.completions, spec.parallelism) = (Some(n), n));
            }
        }
    }
}

/// What must hold after each event, whatever came before.
pub(crate) fn check_step(world: &World, old: &Header, old_spec: &Spec) {
    let (job, header, spec) = (&world.job, world.job.header(), world.job.spec());

    // Limits are exact, disruptions free, and nothing is counted twice.
    let reference = &world.reference;
    if !old.is_finished() {
        assert!(job.completed().iter().eq(reference.completed()));
        assert!(job.failed().iter().eq(reference.failed_indexes(spec)));
        assert_eq!(header.succeeded, job.completed().len());
        assert_eq!(header.failed_indexes, job.failed().len());
    }
    assert_eq!(header.failed, reference.failed_pods());
    assert_eq!(header.counted_failures, reference.counted());
    assert_eq!(header.disruptions, reference.disruptions());
    if spec.backoff_limit_per_index.is_some() {
        for (index, live) in job.in_flight() {
            assert_eq!(live.attempt.index_failures, reference.failures_of(index));
        }
    }
    check_decision(world, old);

    // Parallelism is kept.
    let in_flight = header.active + header.terminating;
    assert!(header.active <= spec.parallelism);
    assert!(in_flight <= spec.parallelism.max(old.active + old.terminating));
    assert!(header.ready <= header.active);

    check_update(old, old_spec, job);
}

/// The Job's end is decided when the reference says so, and for the same reason.
fn check_decision(world: &World, old: &Header) {
    if decision(old).is_some() {
        return;
    }
    let (header, spec) = (world.job.header(), world.job.spec());
    let expected = world.reference.reason(spec, header.active);
    match decision(header) {
        // By time or by lost hosts and workers, of which the reference knows nothing.
        Some("DeadlineExceeded" | "DisruptedTooOften") => {
            assert_ne!(expected, Some("PodFailurePolicy"));
        }
        // What a suspended Job still has active is looked at before it is told to stop.
        None if spec.suspend => assert!(matches!(expected, None | Some("CompletionsReached"))),
        decided => assert_eq!(decided, expected),
    }
    if decision(header) == Some("CompletionsReached") {
        assert!(spec.completions.is_none_or(|n| world.job.completed().iter().eq(0..n)));
    }
}

/// The reason of the condition that says how the Job is going to end.
fn decision(header: &Header) -> Option<&str> {
    let condition = header.condition(FailureTarget).or(header.condition(SuccessCriteriaMet))?;
    Some(&condition.reason)
}

/// What a new owner must find as the old one left it.
fn essence(job: &Job) -> (Header, Vec<(Index, Live)>) {
    let live = job.in_flight().map(|(index, live)| {
        let mut essence = Live::waiting(live.attempt.number, live.due);
        essence.phase = live.phase;
        (essence.failures, essence.disruptions) = (live.failures, live.disruptions);
        (essence.losses, essence.stop) = (live.losses, live.stop);
        (essence.counted, essence.granted) = (live.counted, live.granted);
        essence.attempt.restarts = live.attempt.restarts;
        (index, essence)
    });
    (job.header().clone(), live.collect())
}

fn check_restored(world: &World) {
    let mut restored = world.restored();
    let mut job = world.job.clone();
    let delta = restored.apply(longshore_job::Event::Loaded, world.now);
    job.apply(longshore_job::Event::Tick, world.now);
    // Time that passed may have let something become due, for both alike.
    assert_eq!(essence(&restored), essence(&job), "after {delta:?}");
    assert_eq!(restored.next_wake(), job.next_wake());
}

/// Lets everything go well from now on: the Job must come to its end.
fn run_to_the_end(world: &mut World) {
    world.change(|spec| {
        spec.suspend = false;
        spec.parallelism = spec.parallelism.max(1);
    });
    for round in 0.. {
        assert!(round < 200, "the Job doesn't end: {:?}", world.job);
        while world.deliver() {}
        world.act();
        if world.is_quiet() {
            check_restored(world);
            if world.purged {
                break;
            }
            let all = world.stored.live.len();
            (0..all).for_each(|_| world.obey(0, 143));
            (0..all).for_each(|_| world.claim(0));
            let restart = |live: &Live| live.attempt.restarts == live.granted;
            if world.stored.live.values().all(restart) {
                (0..all).for_each(|_| world.finish(0, exit(0)));
            }
            if world.is_quiet()
                && let Some(wake) = world.job.next_wake()
            {
                world.now = world.now.max(wake);
                world.tick();
            }
        }
    }
    assert!(world.job.is_finished());
    assert!(world.stored.live.is_empty() && world.stored.header == *world.job.header());
    assert!(world.stored.live.values().all(|live| live.phase != Phase::Claimed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_rules(
        spec in spec(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new(spec);
        world.deliver();
        for step in steps {
            take(&mut world, step);
            if world.is_quiet() {
                check_restored(&world);
            }
        }
        run_to_the_end(&mut world);
    }
}
