//! What a command is about: `jobs`, `job x y`, `job/x pod/y`, `jobs,pods`.

use longshore_api::Resource;

use super::error::CliError;

/// A kind of object, and the names asked for; none means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) names: Vec<String>,
}

/// Reads the arguments as kubectl does.
pub(super) fn parse(args: &[String]) -> Result<Vec<Target>, CliError> {
    let Some(first) = args.first() else {
        return Err(CliError::Usage(
            "you must specify the type of resource: jobs, pods, nodes or events".to_owned(),
        ));
    };
    if first.contains('/') {
        return parse_pairs(args);
    }
    if let Some(pair) = args.iter().find(|arg| arg.contains('/')) {
        return Err(CliError::Usage(format!(
            "there is no need to specify a resource type as a separate argument when passing \
             arguments in resource/name form ({pair})"
        )));
    }
    let names = args[1..].to_vec();
    let words: Vec<&str> = first.split(',').collect();
    words
        .iter()
        .map(|word| Ok(Target { resource: resource(word)?, names: names.clone() }))
        .collect()
}

/// One object: `TYPE NAME` or `TYPE/NAME`, the type a Job unless given.
pub(super) fn parse_one(
    args: &[String],
    default: Resource,
) -> Result<(Resource, String), CliError> {
    match args {
        [name] if !name.contains('/') => Ok((default, name.clone())),
        _ => match parse(args)?.as_slice() {
            [target] if target.names.len() == 1 => Ok((target.resource, target.names[0].clone())),
            _ => Err(CliError::Usage("give one object, such as job/NAME".to_owned())),
        },
    }
}

/// The kind of object that a word means.
pub(super) fn resource(word: &str) -> Result<Resource, CliError> {
    let lower = word.to_ascii_lowercase();
    Resource::ALL
        .into_iter()
        .find(|resource| {
            let plain = [resource.singular(), resource.plural()];
            plain.contains(&lower.as_str())
                || resource.short_names().contains(&lower.as_str())
                || plain.iter().any(|name| lower == format!("{name}.{}", resource.group()))
                || lower == format!("{}.v1.{}", resource.plural(), resource.group())
        })
        .ok_or_else(|| {
            CliError::Failed(format!("the server doesn't have a resource type \"{word}\""))
        })
}

/// How kubectl names an object: `job.batch/x`, `pod/x`.
pub(super) fn shown(resource: Resource, name: &str) -> String {
    match resource.group() {
        "" => format!("{}/{name}", resource.singular()),
        group => format!("{}.{group}/{name}", resource.singular()),
    }
}

fn parse_pairs(args: &[String]) -> Result<Vec<Target>, CliError> {
    let mut targets: Vec<Target> = Vec::new();
    for arg in args {
        let Some((word, name)) = arg.split_once('/').filter(|(_, name)| !name.is_empty()) else {
            return Err(CliError::Usage(format!(
                "arguments in resource/name form must have a single resource and name: {arg}"
            )));
        };
        let resource = resource(word)?;
        match targets.iter_mut().find(|target| target.resource == resource) {
            Some(target) => target.names.push(name.to_owned()),
            None => targets.push(Target { resource, names: vec![name.to_owned()] }),
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(args: &[&str]) -> Result<Vec<(Resource, Vec<String>)>, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        parse(&args)
            .map(|targets| targets.into_iter().map(|t| (t.resource, t.names)).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn kubectls_forms_are_read() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(targets(&["jobs"]), Ok(vec![(Resource::Jobs, vec![])]));
        assert_eq!(targets(&["job", "a", "b"]), Ok(vec![(Resource::Jobs, names(&["a", "b"]))]));
        assert_eq!(
            targets(&["job/a", "po/b", "job.batch/c"]),
            Ok(vec![(Resource::Jobs, names(&["a", "c"])), (Resource::Pods, names(&["b"]))])
        );
        assert_eq!(
            targets(&["jobs,no"]),
            Ok(vec![(Resource::Jobs, vec![]), (Resource::Nodes, vec![])])
        );
        assert!(targets(&["job", "job/x"]).is_err_and(|e| e.contains("no need to specify")));
        assert_eq!(
            targets(&["boats"]),
            Err("error: the server doesn't have a resource type \"boats\"".to_owned())
        );
    }
}
