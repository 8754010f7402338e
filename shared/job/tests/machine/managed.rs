use longshore_job::{Event, Spec};

use crate::bench::*;

#[test]
fn a_job_of_another_controller_is_left_alone_until_it_is_deleted() {
    let spec = Spec {
        managed_elsewhere: true,
        active_deadline: Some(1),
        ttl_after_finished: Some(0),
        retention: Some(0),
        ..indexed(0, 3)
    };
    let mut b = Bench::new(spec);
    b.pass(SECOND);
    let delta = b.change(|spec| (spec.completions, spec.suspend) = (Some(2), true));
    assert!(delta.changes_nothing() && b.actions.is_empty());
    assert!(!b.job.grants_claims());
    assert_eq!(*b.job.header(), Default::default());
    assert_eq!(b.job.next_wake(), None);
    b.apply(Event::DeleteRequested);
    assert!(b.purged());
}
