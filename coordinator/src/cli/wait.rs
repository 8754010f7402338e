//! `wait`: until objects have a condition, or are gone.

use std::time::Duration;

use clap::Args;
use longshore_api::{Resource, human};
use longshore_support::exit;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::changes::{Change, Selection, follow, list};
use super::error::CliError;
use super::names::{self, shown};
use super::session::{Session, object};

/// kubectl's meaning of a negative time limit.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// TYPE/NAME, or TYPE NAME
    #[arg(required = true, value_name = "TYPE/NAME")]
    what: Vec<String>,
    /// condition=NAME, condition=NAME=VALUE, or delete
    #[arg(long = "for", value_name = "CONDITION", value_parser = parse_goal)]
    goal: Goal,
    /// How long to wait, such as 30s; 0 looks once, a negative one waits a week
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_limit, allow_hyphen_values = true)]
    timeout: Duration,
    /// Every object of the type
    #[arg(long)]
    all: bool,
    /// Every object of the type with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Condition { kind: String, status: String },
    Delete,
}

pub(super) async fn wait(session: &Session, args: &WaitArgs) -> Result<u8, CliError> {
    let deadline = Instant::now() + args.timeout;
    for (resource, name) in objects(session, args).await? {
        until(session, resource, &name, &args.goal, deadline).await?;
        match &args.goal {
            Goal::Condition { .. } => println!("{} condition met", shown(resource, &name)),
            Goal::Delete => println!("{} deleted", shown(resource, &name)),
        }
    }
    Ok(exit::DONE)
}

/// Waits until an object is gone.
pub(super) async fn until_gone(
    session: &Session,
    resource: Resource,
    name: &str,
    deadline: Instant,
) -> Result<(), CliError> {
    until(session, resource, name, &Goal::Delete, deadline).await
}

/// Whether an object has a condition, its words compared as kubectl does.
pub(super) fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter().any(|condition| {
            let is = |field: &str, wanted: &str| {
                condition[field].as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted))
            };
            is("type", kind) && is("status", status)
        })
    })
}

/// When a limit is over that counts from now, 0 meaning without end.
pub(super) fn end_of(limit: Duration) -> Instant {
    let forever = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + if limit.is_zero() { forever } else { limit }
}

/// A time limit as kubectl takes it: `30s`, `1h30m`, `0`, `-1s`.
pub(super) fn parse_limit(text: &str) -> Result<Duration, String> {
    if text.trim_start_matches('-').trim_matches(['0', 's', 'm', 'h']).is_empty() {
        return Ok(if text.starts_with('-') { WEEK } else { Duration::ZERO });
    }
    if text.starts_with('-') {
        return Ok(WEEK);
    }
    let millis = human::parse_duration(text)
        .ok_or_else(|| format!("{text:?} isn't a time such as 30s or 5m"))?;
    Ok(Duration::from_millis(millis))
}

fn parse_goal(text: &str) -> Result<Goal, String> {
    let mut parts = text.splitn(3, '=');
    match (
        parts.next().unwrap_or_default().to_ascii_lowercase().as_str(),
        parts.next(),
        parts.next(),
    ) {
        ("delete", None, _) => Ok(Goal::Delete),
        ("condition", Some(kind), status) if !kind.is_empty() => Ok(Goal::Condition {
            kind: kind.to_owned(),
            status: status.unwrap_or("True").to_owned(),
        }),
        _ => Err(format!("unrecognized condition: {text:?}; give condition=NAME or delete")),
    }
}

async fn objects(session: &Session, args: &WaitArgs) -> Result<Vec<(Resource, String)>, CliError> {
    let mut objects = Vec::new();
    for target in names::parse(&args.what)? {
        if !target.names.is_empty() {
            objects.extend(target.names.into_iter().map(|name| (target.resource, name)));
            continue;
        }
        if !args.all && args.selector.is_none() {
            return Err(CliError::Usage(
                "resource(s) were provided, but no name was specified".to_owned(),
            ));
        }
        let labels = args.selector.clone().unwrap_or_default();
        let selection = Selection::labelled(target.resource, &session.namespace, labels);
        let (items, _) = list(session, &selection).await?;
        let names = items.iter().filter_map(|item| item["metadata"]["name"].as_str());
        objects.extend(names.map(|name| (target.resource, name.to_owned())));
    }
    if objects.is_empty() && args.goal != Goal::Delete {
        return Err(CliError::Failed("no matching resources found".to_owned()));
    }
    Ok(objects)
}

async fn until(
    session: &Session,
    resource: Resource,
    name: &str,
    goal: &Goal,
    deadline: Instant,
) -> Result<(), CliError> {
    let first = match session.get(&object(resource, &session.namespace, name), &[]).await {
        Ok(first) => Some(first),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    match (goal, &first) {
        (Goal::Delete, None) => return Ok(()),
        (Goal::Condition { .. }, None) => return Err(not_found(resource, name)),
        (_, Some(object)) if met(goal, object, resource, name)? => return Ok(()),
        _ => {}
    }
    let uid = first.map(|object| object["metadata"]["uid"].clone()).unwrap_or_default();
    let mut changes = follow(session, Selection::one(resource, &session.namespace, name));
    let mut seen = false;
    loop {
        let Ok(change) = timeout_at(deadline, changes.recv()).await else {
            return Err(CliError::TimedOut(format!(
                "timed out waiting for the condition on {}/{name}",
                collection_name(resource)
            )));
        };
        match change {
            Some(Change::Is(object)) => {
                // Another object of that name: the one waited for is gone.
                if object["metadata"]["uid"] != uid {
                    return gone(goal, resource, name);
                }
                seen = true;
                if met(goal, &object, resource, name)? {
                    return Ok(());
                }
            }
            Some(Change::Gone) => return gone(goal, resource, name),
            Some(Change::Known) if !seen => return gone(goal, resource, name),
            Some(Change::Known) => {}
            Some(Change::Failed(error)) => return Err(error),
            None => return Err(CliError::Failed("the watch ended".to_owned())),
        }
    }
}

/// Whether the goal is reached. A Job that has failed is never complete, and
/// the other way round: then there is nothing to wait for.
fn met(goal: &Goal, object: &Value, resource: Resource, name: &str) -> Result<bool, CliError> {
    let Goal::Condition { kind, status } = goal else { return Ok(false) };
    if has_condition(object, kind, status) {
        return Ok(true);
    }
    if resource == Resource::Jobs && status.eq_ignore_ascii_case("true") {
        let other = match kind.to_ascii_lowercase().as_str() {
            "complete" => "Failed",
            "failed" => "Complete",
            _ => return Ok(false),
        };
        if has_condition(object, other, "True") {
            return Err(CliError::Failed(format!(
                "{} will not be {kind}: it is {other}",
                shown(resource, name)
            )));
        }
    }
    Ok(false)
}

fn gone(goal: &Goal, resource: Resource, name: &str) -> Result<(), CliError> {
    match goal {
        Goal::Delete => Ok(()),
        Goal::Condition { .. } => Err(not_found(resource, name)),
    }
}

fn not_found(resource: Resource, name: &str) -> CliError {
    let message = format!("{} \"{name}\" not found", collection_name(resource));
    CliError::Refused(kube::core::Status::failure(&message, "NotFound").with_code(404).boxed())
}

fn collection_name(resource: Resource) -> String {
    match resource.group() {
        "" => resource.plural().to_owned(),
        group => format!("{}.{group}", resource.plural()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn goals_are_read_as_kubectl_reads_them() {
        let condition = |kind: &str, status: &str| {
            Ok(Goal::Condition { kind: kind.to_owned(), status: status.to_owned() })
        };
        assert_eq!(parse_goal("condition=Complete"), condition("Complete", "True"));
        assert_eq!(parse_goal("condition=ready=false"), condition("ready", "false"));
        assert_eq!(parse_goal("delete"), Ok(Goal::Delete));
        assert!(parse_goal("complete").is_err());
    }

    #[test]
    fn limits_are_read_as_kubectl_reads_them() {
        assert_eq!(parse_limit("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_limit("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_limit("0"), Ok(Duration::ZERO));
        assert_eq!(parse_limit("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_limit("-1s"), Ok(WEEK));
        assert!(parse_limit("soon").is_err());
    }

    #[test]
    fn a_condition_is_compared_without_regard_to_case() {
        let job = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        assert!(has_condition(&job, "complete", "true"));
        assert!(!has_condition(&job, "failed", "true"));
    }

    #[test]
    fn waiting_for_what_can_not_come_is_an_error() {
        let job = json!({"status": {"conditions": [{"type": "Failed", "status": "True"}]}});
        let goal = parse_goal("condition=complete").expect("a goal");
        let error = met(&goal, &job, Resource::Jobs, "x").expect_err("never").to_string();
        assert_eq!(error, "error: job.batch/x will not be complete: it is Failed");
    }
}
