//! How an attempt ended, by how its containers did. Pure.

use longshore_job::Outcome;

use crate::runtime::Ended;

pub(super) fn is_success(ended: &Ended) -> bool {
    matches!(ended, Ended::Outcome(outcome) if outcome.is_success())
}

/// Whether a container's end is that of all others beside it: what it is to come up with is lost, or can't
/// come to be.
pub(super) fn is_everyones(ended: &Ended) -> bool {
    match ended {
        Ended::Outcome(Outcome::Disrupted { .. }) => true,
        // Under Kubernetes its Pod would wait for it for ever.
        Ended::Outcome(Outcome::StartError { reason, .. }) => matches!(
            reason.as_str(),
            "CreateContainerConfigError"
                | "ErrImageNeverPull"
                | "ErrImagePull"
                | "InvalidImageName"
        ),
        _ => false,
    }
}

/// The end of all that ran side by side: the one that was `decided` to be everyone's, else an order's
/// before a container's own, and a failure's before a success. Of several alike the first counts.
pub(super) fn of_all(ends: Vec<Ended>, decided: Option<Ended>) -> Ended {
    if ends.contains(&Ended::Gone) {
        return Ended::Gone;
    }
    let first = |rank: u8| ends.iter().find(|ended| self::rank(ended) == rank);
    decided.or_else(|| (0..=3).rev().find_map(first).cloned()).unwrap_or(Ended::Gone)
}

fn rank(ended: &Ended) -> u8 {
    match ended {
        Ended::Gone | Ended::Outcome(Outcome::Disrupted { .. }) => 3,
        Ended::Outcome(Outcome::Stopped { .. } | Outcome::PodFailed { .. }) => 2,
        Ended::Outcome(outcome) if outcome.is_success() => 0,
        Ended::Outcome(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> Ended {
        let (reason, message) = (String::new(), String::new());
        Ended::Outcome(Outcome::Exited { code, reason, message })
    }

    #[test]
    fn the_worst_end_is_the_attempts() {
        let stopped = Ended::Outcome(Outcome::Stopped { code: Some(0) });
        let lost = Ended::Outcome(Outcome::Disrupted {
            reason: "Drained".into(),
            message: String::new(),
            host_lost: false,
        });
        let of = |ends: &[&Ended]| of_all(ends.iter().map(|end| (*end).clone()).collect(), None);
        assert_eq!(of(&[&exit(0), &exit(0)]), exit(0));
        assert_eq!(of(&[&exit(0), &exit(3), &exit(4)]), exit(3));
        assert_eq!(of(&[&exit(3), &stopped]), stopped);
        assert_eq!(of(&[&stopped, &lost, &exit(0)]), lost);
        assert_eq!(of(&[&lost, &Ended::Gone]), Ended::Gone);
    }

    #[test]
    fn one_that_cannot_come_to_be_ends_the_others() {
        let start_error = |reason: &str| {
            let (reason, message) = (reason.into(), String::new());
            Ended::Outcome(Outcome::StartError { reason, message, code: 128 })
        };
        let missing = start_error("ErrImagePull");
        assert!(is_everyones(&missing) && !is_everyones(&start_error("StartError")));
        assert!(!is_everyones(&exit(3)));
        let stopped = Ended::Outcome(Outcome::Stopped { code: Some(143) });
        let ends = vec![missing.clone(), stopped];
        assert_eq!(of_all(ends.clone(), Some(missing.clone())), missing);
        let gone = [ends, vec![Ended::Gone]].concat();
        assert_eq!(of_all(gone, Some(missing)), Ended::Gone);
    }
}
