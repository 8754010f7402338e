//! Kubernetes Events, merged as Kubernetes' client merges them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use longshore_job::{Action, Severity};
use longshore_store::EventRecord;

/// How many events of one reason are told one by one (client-go's `defaultAggregateMaxEvents`).
const ONE_BY_ONE: u32 = 10;

/// After this long without combining, they are told one by one again
/// (`defaultAggregateIntervalInSeconds`).
const WINDOW: Duration = Duration::from_secs(600);

/// What a Job's owner has told lately, by reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    told: HashMap<&'static str, (u32, Instant)>,
}

impl Notes {
    /// The event of a report, with the name of the Pod where the message asks for it; `None` for other
    /// actions. After ten of one reason, those on the Job are combined into one that is counted.
    pub(crate) fn event(
        &mut self,
        action: &Action,
        now: Instant,
        pod: impl FnOnce(u32, u32) -> String,
    ) -> Option<EventRecord> {
        let Action::Report { severity, reason, message, about } = action else { return None };
        let warning = *severity == Severity::Warning;
        let of_job = about.is_none() || message.contains("{pod}");
        if of_job && self.is_combined(reason, now) {
            let message = match message.split_once(": {pod}") {
                Some((what, _)) => format!("(combined from similar events): {what}"),
                None => format!("(combined from similar events): {message}"),
            };
            return Some(EventRecord { warning, reason: (*reason).into(), message, about: None });
        }
        let (message, about) = match about {
            Some((index, attempt)) if of_job => {
                (message.replace("{pod}", &pod(*index, *attempt)), None)
            }
            about => (message.clone(), *about),
        };
        Some(EventRecord { warning, reason: (*reason).to_owned(), message, about })
    }

    fn is_combined(&mut self, reason: &'static str, now: Instant) -> bool {
        let (count, since) = self.told.entry(reason).or_insert((0, now));
        if now.duration_since(*since) > WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        *count > ONE_BY_ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(index: u32) -> Action {
        Action::Report {
            severity: Severity::Normal,
            reason: "SuccessfulCreate",
            message: "Created pod: {pod}".into(),
            about: Some((index, 1)),
        }
    }

    fn tell(notes: &mut Notes, action: &Action, now: Instant) -> EventRecord {
        let pod = |index, attempt| format!("pod-{index}-{attempt}");
        notes.event(action, now, pod).expect("it is a report")
    }

    #[test]
    fn the_first_ten_are_told_one_by_one() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        let events: Vec<_> = (0..12).map(|i| tell(&mut notes, &created(i), now)).collect();
        assert_eq!(events[9].message, "Created pod: pod-9-1");
        assert_eq!(events[9].about, None);
        assert_eq!(events[10].message, "(combined from similar events): Created pod");
        assert_eq!(events[10].id(), events[11].id());
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(tell(&mut notes, &created(5), later).message, "Created pod: pod-5-1");
    }

    #[test]
    fn what_is_about_a_pod_stays_on_it() {
        let report = Action::Report {
            severity: Severity::Warning,
            reason: "BackOff",
            message: "Back-off restarting failed container".into(),
            about: Some((3, 2)),
        };
        let event = tell(&mut Notes::default(), &report, Instant::now());
        assert_eq!((event.about, event.warning), (Some((3, 2)), true));
        let other = Action::Purge;
        assert!(Notes::default().event(&other, Instant::now(), |_, _| String::new()).is_none());
    }
}
