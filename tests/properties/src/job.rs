//! What holds for a Job that was read, and for one that was accepted.

use k8s_openapi::api::batch::v1::Job;
use longshore_api::decode::{FieldValidation, decode_job};
use longshore_api::defaults::{prepare_create, set_defaults};
use longshore_api::manifest::parse_yaml;
use longshore_api::pod::{AttemptState, AttemptView, hostname, render_pod};
use longshore_api::policy::{ClusterPolicy, validate_policy};
use longshore_api::spec::{ClusterDefaults, job_spec, lease};
use longshore_api::status::job_status;
use longshore_api::table::{IncludeObject, TableOptions, table};
use longshore_api::update::{prepare_update, validate_update};
use longshore_api::validate::{validate, warnings};
use longshore_api::{ApiError, FieldError, Resource, names};
use longshore_job::{Attempt, Backoff, Header, IndexSet, Millis, Outcome};
use serde_json::{Value, to_value};

pub(crate) const UID: &str = "5f2ec9cc-8e3c-4a3b-9d2b-000000000001";
pub(crate) const NOW: Millis = 1_700_000_000_000;

/// The way of a new Job, from what a client wrote to what is shown of it.
pub(crate) fn decoded(value: Value) {
    let strict = decode_job(value.clone(), FieldValidation::Strict);
    let warn = decode_job(value.clone(), FieldValidation::Warn);
    let ignore = decode_job(value, FieldValidation::Ignore);
    match (&warn, &ignore) {
        (Ok((warn, _)), Ok((ignore, none))) => assert!(warn == ignore && none.is_empty()),
        (Err(warn), Err(ignore)) => assert_eq!(warn, ignore),
        _ => panic!("unknown fields decide whether a Job can be read"),
    }
    let mut job = match strict {
        Ok((strict, none)) => {
            let (job, notes) = warn.expect("what is read strictly is read");
            assert!(strict == job && none.is_empty() && notes.is_empty());
            job
        }
        Err(errors) => {
            told(&ApiError::undecodable(Resource::Jobs, &errors), &errors);
            return;
        }
    };

    let (again, _) = decode_job(json(&job), FieldValidation::Strict).expect("its own JSON");
    assert_eq!(again, job, "a Job that is sent on by the command line");
    set_defaults(&mut job);
    let mut twice = job.clone();
    set_defaults(&mut twice);
    assert_eq!(twice, job, "defaults of a Job that has them");
    prepare_create(&mut job, "default", UID, NOW);
    let mut errors = validate(&job);
    errors.extend(validate_policy(&job, &generous()));
    if errors.is_empty() {
        valid(&job);
    } else {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        told(&ApiError::invalid(Resource::Jobs, name, &errors), &errors);
    }
}

/// A Job that was accepted: it can be stored, shown, handed out and given back unchanged.
pub(crate) fn valid(job: &Job) {
    let stored = serde_json::to_string(job).expect("a Job is JSON");
    let read: Job = serde_json::from_str(&stored).expect("a stored Job");
    assert_eq!(read, *job, "a Job that was stored");
    assert_eq!(validate(job), [], "a Job that is judged again");

    let yaml = serde_yaml_ng::to_string(&job).expect("a Job is YAML");
    let mut shown = parse_yaml(&yaml).expect("YAML of its own");
    let (mut new, _) =
        decode_job(shown.remove(0), FieldValidation::Strict).expect("an object of its own");
    set_defaults(&mut new);
    prepare_update(job, &mut new);
    assert_eq!(new, *job, "a Job that was printed and is given back");
    assert_eq!(validate_update(job, &new), [], "no change");

    for warning in warnings(job) {
        assert!(warning.header().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
    render(job);
}

/// An error that a client can be told: it says something, and of every field which it is.
pub(crate) fn told(error: &ApiError, errors: &[FieldError]) {
    assert!(!errors.is_empty() && errors.iter().all(|error| !error.to_string().is_empty()));
    let status = json(&error.status());
    assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()));
}

pub(crate) fn json<T: serde::Serialize>(object: &T) -> Value {
    to_value(object).expect("objects of the API are JSON")
}

pub(crate) fn rows<T: longshore_api::table::TableRow>(object: T) {
    let options = TableOptions {
        now: NOW + 90_000,
        include: IncludeObject::Object,
        version: "v1",
        columns: true,
        resource_version: "1".into(),
        continue_token: None,
        remaining: None,
    };
    let table = table(&[object], &options);
    let count = |list: &Value| list.as_array().map(Vec::len);
    assert_eq!(count(&table["rows"][0]["cells"]), count(&table["columnDefinitions"]));
}

fn render(job: &Job) {
    let defaults = ClusterDefaults {
        backoff: Backoff::default(),
        max_disruptions: 10,
        lease: 15_000,
        retention: None,
    };
    let spec = job_spec(job, &defaults);
    assert!(lease(job, defaults.lease) >= 2_000);
    assert!(spec.backoff.base <= spec.backoff.cap);
    let mut shown = job.clone();
    let header = Header { start_time: Some(NOW), active: 1, ..Header::default() };
    let completed = IndexSet::from_iter([0]);
    shown.status = Some(job_status(&header, &spec, &completed, &IndexSet::new()));
    rows(shown);

    let last = spec.completions.unwrap_or(1).saturating_sub(1);
    for (index, attempt) in [(0, attempt(1, None)), (last, attempt(u32::MAX, Some(0)))] {
        for state in [AttemptState::Offered, AttemptState::Claimed, AttemptState::Finished] {
            let view =
                AttemptView { attempt: &attempt, state, stop: None, granted: 0, runtime: "docker" };
            let pod = render_pod(job, index, &view);
            let name = pod.metadata.name.clone().unwrap_or_default();
            assert_eq!(names::dns1123_subdomain(&name), None, "the Pod's name {name:?}");
            let host = hostname(job, &name, index);
            assert_eq!(names::dns1123_label(&host), None, "the Pod's host name {host:?}");
            rows(pod);
        }
    }
}

fn attempt(number: u32, code: Option<i32>) -> Attempt {
    let outcome = code.map(|code| Outcome::Exited {
        code,
        reason: "Completed".into(),
        message: String::new(),
    });
    Attempt {
        number,
        created: NOW,
        claimed: Some(NOW + 1),
        started: Some(NOW + 2),
        finished: outcome.as_ref().map(|_| NOW + 3),
        worker: Some("w".into()),
        outcome,
        ..Attempt::default()
    }
}

/// A cluster that allows much, so that the rules are what Jobs are held against.
fn generous() -> ClusterPolicy {
    ClusterPolicy {
        host_network: true,
        privileged: true,
        capabilities: vec!["ALL".into()],
        claims: vec!["c".into()],
        secrets: true,
    }
}
