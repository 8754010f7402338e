//! How an attempt ended, by how its containers did. Pure.

use longshore_job::Outcome;

use crate::runtime::Ended;

pub(super) fn is_success(ended: &Ended) -> bool {
    matches!(ended, Ended::Outcome(outcome) if outcome.is_success())
}

/// The end of all that ran side by side: an order's before a container's own, a disruption's before both,
/// and a failure's before a success. Of several alike the first counts.
pub(super) fn of_all(ends: Vec<Ended>) -> Ended {
    let first = |rank: u8| ends.iter().find(|ended| self::rank(ended) == rank);
    let worst = (0..=4).rev().find_map(first);
    worst.cloned().unwrap_or(Ended::Gone)
}

fn rank(ended: &Ended) -> u8 {
    match ended {
        Ended::Gone => 4,
        Ended::Outcome(Outcome::Disrupted { .. }) => 3,
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
        assert_eq!(of_all(vec![exit(0), exit(0)]), exit(0));
        assert_eq!(of_all(vec![exit(0), exit(3), exit(4)]), exit(3));
        assert_eq!(of_all(vec![exit(3), stopped.clone()]), stopped);
        assert_eq!(of_all(vec![stopped.clone(), lost.clone(), exit(0)]), lost);
        assert_eq!(of_all(vec![lost, Ended::Gone]), Ended::Gone);
    }
}
