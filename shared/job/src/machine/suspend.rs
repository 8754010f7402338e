//! startTime, suspend and resume.

use super::{Job, Step};
use crate::{ConditionType, Severity};

impl Job {
    /// The Job's clock starts when it is first seen unsuspended, and again at each resume.
    pub(super) fn start_or_resume(&mut self, step: &mut Step) {
        if self.spec.suspend || self.is_decided() {
            return;
        }
        if self.header.is(ConditionType::Suspended) {
            let kind = ConditionType::Suspended;
            self.set_condition(kind, false, "JobResumed", "Job resumed", step.now);
            self.header.start_time = Some(step.now);
            step.report(Severity::Normal, "Resumed", "Job resumed", None);
        }
        self.header.start_time.get_or_insert(step.now);
    }

    /// Marks the Job as suspended, unless it has come to its end. Its attempts are stopped, and their
    /// indexes run again from the start after the resume.
    pub(super) fn suspend(&mut self, step: &mut Step) {
        let suspended = self.header.is(ConditionType::Suspended);
        if self.spec.suspend && !suspended && !self.is_decided() {
            let kind = ConditionType::Suspended;
            self.set_condition(kind, true, "JobSuspended", "Job suspended", step.now);
            step.report(Severity::Normal, "Suspended", "Job suspended", None);
        }
    }
}
