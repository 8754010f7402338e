//! Random histories of a Job, and what must hold in each.

use longshore_job::ConditionType::*;
use longshore_job::{
    Backoff, CompletionMode, Header, Index, Job, Live, Millis, Outcome, Phase, RestartPolicy, Spec,
};
use proptest::prelude::*;

use crate::bench::{exit, indexed, lost};
use crate::invariants::check_update;
use crate::world::World;

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Act,
    ChangeOwner,
    Claim(usize),
    Start(usize),
    FailInPlace(usize),
    Finish(usize, Outcome),
    Obey(usize),
    Pass(Millis),
    Suspend(bool),
    Parallelism(u32),
    BackoffLimit(u32),
}

fn spec() -> impl Strategy<Value = Spec> {
    let mode = prop_oneof![
        3 => (0u32..7).prop_map(|n| (CompletionMode::Indexed, Some(n))),
        1 => (0u32..5).prop_map(|n| (CompletionMode::NonIndexed, Some(n))),
        2 => Just((CompletionMode::NonIndexed, None)),
    ];
    let policy = prop_oneof![Just(RestartPolicy::Never), Just(RestartPolicy::OnFailure)];
    let deadline = prop_oneof![4 => Just(None), 1 => (1_000u64..90_000).prop_map(Some)];
    let limit = prop_oneof![0u32..4, Just(50)];
    (mode, policy, 0u32..5, limit, deadline, any::<bool>(), 0u32..4).prop_map(
        |(
            (mode, completions),
            restart_policy,
            parallelism,
            backoff_limit,
            deadline,
            suspend,
            max,
        )| {
            Spec {
                mode,
                completions,
                restart_policy,
                parallelism,
                backoff_limit,
                active_deadline: deadline,
                suspend,
                max_disruptions: max,
                backoff: Backoff { base: 1_000, cap: 8_000 },
                ttl_after_finished: Some(1_000),
                ..indexed(0, 0)
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0usize..8;
    let outcome = prop_oneof![
        5 => Just(exit(0)),
        3 => Just(exit(1)),
        2 => any::<bool>().prop_map(lost),
        1 => Just(Outcome::StartError { reason: "ErrImagePull".into(), message: String::new(), code: 128 }),
    ];
    prop_oneof![
        8 => (1usize..4).prop_map(Step::Deliver),
        6 => Just(Step::Act),
        1 => Just(Step::ChangeOwner),
        8 => n.clone().prop_map(Step::Claim),
        5 => n.clone().prop_map(Step::Start),
        3 => n.clone().prop_map(Step::FailInPlace),
        6 => (n.clone(), outcome).prop_map(|(n, outcome)| Step::Finish(n, outcome)),
        3 => n.prop_map(Step::Obey),
        4 => (1u64..12_000).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Suspend),
        2 => (0u32..5).prop_map(Step::Parallelism),
        1 => (0u32..5).prop_map(Step::BackoffLimit),
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
        Step::Start(n) => world.start(n),
        Step::FailInPlace(n) => {
            if world.spec.restart_policy == RestartPolicy::OnFailure {
                world.fail_in_place(n, exit(1));
            }
        }
        Step::Finish(n, outcome) => world.finish(n, outcome),
        Step::Obey(n) => world.obey(n),
        Step::Pass(time) => {
            world.now += time;
            if world.job.next_wake().is_some_and(|wake| wake <= world.now) {
                world.tick();
            }
        }
        Step::Suspend(suspend) => world.change(|spec| spec.suspend = suspend),
        Step::Parallelism(parallelism) => world.change(|spec| spec.parallelism = parallelism),
        Step::BackoffLimit(limit) => world.change(|spec| spec.backoff_limit = limit),
    }
}

/// What must hold after each event, whatever came before.
pub(crate) fn check_step(world: &World, old: &Header, old_spec: &Spec) {
    let (job, header, spec) = (&world.job, world.job.header(), world.job.spec());

    // Limits are exact, disruptions free, and nothing is counted twice.
    assert_eq!(header.failed, world.failures + world.killed);
    assert_eq!(header.counted_failures, world.counted);
    assert_eq!(header.disruptions, world.disrupted);
    assert!(job.completed().iter().eq(world.succeeded.iter().copied()));
    assert_eq!(header.succeeded, job.completed().len());
    let over = match spec.restart_policy {
        RestartPolicy::Never => world.counted > spec.backoff_limit,
        RestartPolicy::OnFailure => world.counted >= spec.backoff_limit.max(1),
    };
    let decided = header.is(FailureTarget) || header.is(SuccessCriteriaMet);
    assert!(decided || !over);
    if header.is(FailureTarget) && !old.is(FailureTarget) {
        let reason = header.condition(FailureTarget).map(|condition| condition.reason.as_str());
        assert!(over || reason != Some("BackoffLimitExceeded"));
    }

    // Parallelism is kept.
    let in_flight = header.active + header.terminating;
    assert!(header.active <= spec.parallelism);
    assert!(in_flight <= spec.parallelism.max(old.active + old.terminating));
    assert!(header.ready <= header.active);

    check_update(old, old_spec, job);
    if header.is(Complete) && !old.is(Complete) {
        assert!(spec.completions.is_none_or(|n| job.completed().iter().eq(0..n)));
    }
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
            (0..all).for_each(|_| world.obey(0));
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
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

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
