//! Milliseconds of Redis' clock as Kubernetes' timestamps, and back.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use longshore_job::Millis;

/// The Kubernetes time of a moment; one past what a timestamp can hold becomes the latest one.
pub(crate) fn time(at: Millis) -> Time {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    Time(Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX))
}

/// The milliseconds since 1970 of a Kubernetes time; one before 1970 becomes 0.
pub(crate) fn millis(time: &Time) -> Millis {
    u64::try_from(time.0.as_millisecond()).unwrap_or(0)
}
