//! A container's environment, and `$(VAR)` references, as Kubernetes has them. Pure.

use k8s_openapi::api::core::v1::Container;

/// The variables of a container in order, as `(name, value)`.
///
/// A value can refer to variables before it. `completion_index` becomes `JOB_COMPLETION_INDEX`
/// unless the manifest sets that itself; the token can't be overridden.
pub(super) fn variables(
    container: &Container,
    completion_index: Option<u32>,
    token: &str,
) -> Vec<(String, String)> {
    let mut variables = vec![(TOKEN.to_owned(), token.to_owned())];
    for variable in container.env.iter().flatten().filter(|variable| variable.name != TOKEN) {
        let value = expand(variable.value.as_deref().unwrap_or_default(), &variables);
        variables.retain(|(name, _)| *name != variable.name);
        variables.push((variable.name.clone(), value));
    }
    if let Some(index) = completion_index
        && !variables.iter().any(|(name, _)| name == COMPLETION_INDEX)
    {
        variables.push((COMPLETION_INDEX.to_owned(), index.to_string()));
    }
    variables
}

/// Replaces `$(NAME)` by the variable's value. `$$` is a dollar sign; a reference to a variable that
/// is not there stays as it is.
pub(super) fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.push('$');
            rest = escaped;
        } else if let Some((name, following)) =
            after.strip_prefix('(').and_then(|reference| reference.split_once(')'))
        {
            match variables.iter().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => {
                    expanded.push_str("$(");
                    expanded.push_str(name);
                    expanded.push(')');
                }
            }
            rest = following;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

const TOKEN: &str = "LONGSHORE_FENCING_TOKEN";
const COMPLETION_INDEX: &str = "JOB_COMPLETION_INDEX";

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::EnvVar;

    fn known() -> Vec<(String, String)> {
        vec![("A".into(), "1".into()), ("EMPTY".into(), String::new())]
    }

    #[test]
    fn references_expand_as_in_kubernetes() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(EMPTY)", ""),
            ("$(MISSING)", "$(MISSING)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$", "$$"),
            ("$A ${A} $", "$A ${A} $"),
            ("$(A", "$(A"),
            ("$($(A))", "$($(A))"),
            ("é$(A)é", "é1é"),
        ] {
            assert_eq!(expand(text, &known()), expected, "{text}");
        }
    }

    #[test]
    fn a_value_sees_the_variables_before_it() {
        let variable = |name: &str, value: &str| EnvVar {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        };
        let container = Container {
            env: Some(vec![
                variable("LATE", "$(HOST)"),
                variable("HOST", "h"),
                variable("URL", "$(HOST):$(LONGSHORE_FENCING_TOKEN)"),
                variable("LONGSHORE_FENCING_TOKEN", "stolen"),
            ]),
            ..Default::default()
        };
        let variables = variables(&container, Some(4), "77");
        let get = |name: &str| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(get("LATE"), Some("$(HOST)"));
        assert_eq!(get("URL"), Some("h:77"));
        assert_eq!(get("LONGSHORE_FENCING_TOKEN"), Some("77"));
        assert_eq!(get("JOB_COMPLETION_INDEX"), Some("4"));
        assert_eq!(variables.len(), 5);
    }

    #[test]
    fn the_manifest_may_set_the_completion_index_itself() {
        let container = Container {
            env: Some(vec![EnvVar {
                name: COMPLETION_INDEX.into(),
                value: Some("mine".into()),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let variables = variables(&container, Some(4), "77");
        assert_eq!(variables[1].1, "mine");
        assert_eq!(variables.len(), 2);
    }
}
