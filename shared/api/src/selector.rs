//! Label selectors and field selectors, as they stand in the query of a list or a watch.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use crate::names;
use crate::resource::Resource;

pub use crate::selectable::Selectable;

/// A selector that can't be used, in Kubernetes' words; a reply with code 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

/// A label selector: requirements that must all be met. Without any it takes every object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    break;
                }
                return Err(unreadable(text, "found an empty requirement"));
            }
            requirements.push(requirement(text, part)?);
        }
        Ok(Self { requirements })
    }

    /// The selector of an object, such as a Job's `spec.selector`.
    pub fn of(selector: &meta::LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements: Vec<Requirement> = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                test: Test::In(vec![value.clone()]),
            })
            .collect();
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.clone().unwrap_or_default();
            let test = match expression.operator.as_str() {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                other => {
                    return Err(SelectorError(format!(
                        "{other:?} is not a valid label selector operator"
                    )));
                }
            };
            requirements.push(Requirement { key: expression.key.clone(), test });
        }
        Ok(Self { requirements })
    }

    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key));
            match &requirement.test {
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
            }
        })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The one value that a label must have, where the selector asks for exactly one.
    pub fn exact(&self, key: &str) -> Option<&str> {
        self.requirements.iter().find_map(|requirement| match &requirement.test {
            Test::In(values) if requirement.key == key && values.len() == 1 => {
                values.first().map(String::as_str)
            }
            _ => None,
        })
    }
}

/// A field selector. Without any requirement it takes every object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

#[derive(Clone, Debug, PartialEq)]
struct FieldRequirement {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Reads `metadata.name=a,status.phase!=Running`. A backslash takes away the meaning of `,`, `=`
    /// and itself in a value.
    ///
    /// # Errors
    /// A text that can't be read, and a field by which objects of this kind can't be selected.
    pub fn parse(resource: Resource, text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for part in split_unescaped(text) {
            if part.is_empty() {
                continue;
            }
            let Some((field, equal, value)) = field_term(&part) else {
                return Err(SelectorError(format!(
                    "invalid selector: {text:?}; can't understand {part:?}"
                )));
            };
            if !selectable_fields(resource).contains(&field) {
                return Err(SelectorError(format!("field label not supported: {field}")));
            }
            let value = unescape(value).ok_or_else(|| {
                SelectorError(format!("invalid selector: {text:?}; invalid escape in {part:?}"))
            })?;
            requirements.push(FieldRequirement { field: field.to_owned(), value, equal });
        }
        Ok(Self { requirements })
    }

    pub fn matches<T: Selectable>(&self, object: &T) -> bool {
        self.requirements.iter().all(|requirement| {
            (object.field(&requirement.field) == requirement.value) == requirement.equal
        })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value that a field must have, where the selector asks for one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field)
            .map(|requirement| requirement.value.as_str())
    }
}

/// The fields by which Kubernetes selects objects of a kind.
pub fn selectable_fields(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Jobs => &["metadata.name", "metadata.namespace", "status.successful"],
        Resource::Pods => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        Resource::Nodes => &["metadata.name", "spec.unschedulable"],
        Resource::Events => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Resource::Namespaces => &["metadata.name", "status.phase"],
        Resource::ConfigMaps => &["metadata.name", "metadata.namespace"],
        Resource::Secrets => &["metadata.name", "metadata.namespace", "type"],
    }
}

fn requirement(text: &str, part: &str) -> Result<Requirement, SelectorError> {
    let (key, test) = if let Some(key) = part.strip_prefix('!') {
        (key, Test::Absent)
    } else if let Some((key, value)) = part.split_once("!=") {
        (key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = part.split_once("==") {
        (key, Test::In(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = part.split_once('=') {
        (key, Test::In(vec![value.trim().to_owned()]))
    } else {
        match part.split_once(char::is_whitespace) {
            None => (part, Test::Exists),
            Some((key, rest)) => {
                let rest = rest.trim_start();
                let (values, negative) = match (rest.strip_prefix("notin"), rest.strip_prefix("in"))
                {
                    (Some(values), _) => (values, true),
                    (None, Some(values)) => (values, false),
                    _ => return Err(unreadable(text, "expected 'in' or 'notin' after a key")),
                };
                let values = values
                    .trim()
                    .strip_prefix('(')
                    .and_then(|values| values.strip_suffix(')'))
                    .ok_or_else(|| unreadable(text, "expected values in parentheses"))?;
                let values = values.split(',').map(|value| value.trim().to_owned()).collect();
                (key, if negative { Test::NotIn(values) } else { Test::In(values) })
            }
        }
    };
    let key = key.trim();
    if let Some(problem) = names::qualified_name(key) {
        return Err(unreadable(text, &format!("key {key:?}: {problem}")));
    }
    if let Test::In(values) | Test::NotIn(values) = &test {
        for value in values {
            if let Some(problem) = names::label_value(value) {
                return Err(unreadable(text, &format!("value {value:?}: {problem}")));
            }
        }
    }
    Ok(Requirement { key: key.to_owned(), test })
}

fn unreadable(text: &str, why: &str) -> SelectorError {
    SelectorError(format!("unable to parse requirement in {text:?}: {why}"))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .collect()
}

fn split_unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn field_term(part: &str) -> Option<(&str, bool, &str)> {
    let at = part.find('=')?;
    let (field, value) = (&part[..at], &part[at + 1..]);
    match field.strip_suffix('!') {
        Some(field) => Some((field, false, value)),
        None => Some((field, true, value.strip_prefix('=').unwrap_or(value))),
    }
}

fn unescape(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            '=' => return None,
            _ => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn label_selectors_match_as_in_kubernetes() {
        let labels = labels(&[("app", "a"), ("batch.kubernetes.io/job-name", "x")]);
        for (text, expected) in [
            ("", true),
            ("app=a", true),
            ("app==a", true),
            ("app = a", true),
            ("app=b", false),
            ("app!=b", true),
            ("other!=b", true),
            ("app in (a, b)", true),
            ("app in (b)", false),
            ("app notin (b,c)", true),
            ("other notin (b)", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("app=a,batch.kubernetes.io/job-name=x", true),
            ("app in (a,b),!other", true),
            ("app=a,other", false),
        ] {
            let selector = LabelSelector::parse(text).expect(text);
            assert_eq!(selector.matches(Some(&labels)), expected, "{text}");
        }
        let selector = LabelSelector::parse("app=a,b in (c)").expect("parses");
        assert_eq!(selector.exact("b"), Some("c"));
        assert_eq!(selector.exact("c"), None);
    }

    #[test]
    fn broken_selectors_are_refused() {
        for text in ["=a", "a=b=c", "a in", "a in b", "a b c", ",", "a=b,", "a in (b", "a=-"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
        let error = FieldSelector::parse(Resource::Pods, "spec.foo=1").expect_err("refused");
        assert_eq!(error.0, "field label not supported: spec.foo");
        assert!(FieldSelector::parse(Resource::Pods, "metadata.name").is_err());
    }

    #[test]
    fn field_selectors_match_fields() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("a,b".into());
        for (text, expected) in [
            ("", true),
            (r"metadata.name=a\,b", true),
            ("metadata.name==x", false),
            ("metadata.name!=x,status.phase!=Running", true),
            ("spec.nodeName=", true),
        ] {
            let selector = FieldSelector::parse(Resource::Pods, text).expect(text);
            assert_eq!(selector.matches(&pod), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = LabelSelector::parse(&text);
            let _ = FieldSelector::parse(Resource::Events, &text);
        }
    }
}
