//! A container's environment, and `$(VAR)` references, as Kubernetes has them. Pure.

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar};

use super::config::ConfigError;
use super::fields::Fields;
use crate::sources::{Data, Sources};

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    /// Whether a Secret is in it, so that it must not be shown or written to a disk.
    pub(super) secret: bool,
}

/// The variables of a container: those of `envFrom`, then those of `env`, of which a value can refer to
/// variables before it. The token can't be overridden.
pub(super) fn variables(
    container: &Container,
    token: &str,
    fields: &Fields<'_>,
    sources: &Sources,
) -> Result<Vec<Variable>, ConfigError> {
    let mut variables = Variables(vec![Variable {
        name: TOKEN.to_owned(),
        value: token.to_owned(),
        secret: false,
    }]);
    for source in container.env_from.iter().flatten() {
        variables.all_of(source, sources)?;
    }
    for variable in container.env.iter().flatten() {
        variables.one(variable, container, fields, sources)?;
    }
    Ok(variables.0)
}

/// What becomes of a text with references.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    pub(super) secret: bool,
    /// The first variable that it refers to and that is not there.
    pub(super) missing: Option<String>,
}

/// Replaces `$(NAME)` by the variable's value. `$$` is a dollar sign; a reference to a variable that
/// is not there stays as it is.
pub(super) fn expand(text: &str, variables: &[Variable]) -> Expanded {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.text.push('$');
            rest = escaped;
        } else if let Some((name, following)) =
            after.strip_prefix('(').and_then(|reference| reference.split_once(')'))
        {
            match variables.iter().find(|known| known.name == name) {
                Some(variable) => {
                    expanded.text.push_str(&variable.value);
                    expanded.secret |= variable.secret;
                }
                None => {
                    expanded.text.extend(["$(", name, ")"]);
                    expanded.missing.get_or_insert_with(|| name.to_owned());
                }
            }
            rest = following;
        } else {
            expanded.text.push('$');
            rest = after;
        }
    }
    expanded.text.push_str(rest);
    expanded
}

const TOKEN: &str = "LONGSHORE_FENCING_TOKEN";

struct Variables(Vec<Variable>);

impl Variables {
    fn set(&mut self, name: &str, value: String, secret: bool) {
        if name != TOKEN {
            self.0.retain(|variable| variable.name != name);
            self.0.push(Variable { name: name.to_owned(), value, secret });
        }
    }

    /// Every key of an object. One that can't be a variable's name is left out, as Kubernetes does it.
    fn all_of(&mut self, source: &EnvFromSource, sources: &Sources) -> Result<(), ConfigError> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let config_map = source.config_map_ref.as_ref().map(|from| {
            let found = sources.config_map(&from.name);
            (found, "configmap", &from.name, from.optional, false)
        });
        let secret = source
            .secret_ref
            .as_ref()
            .map(|from| (sources.secret(&from.name), "secret", &from.name, from.optional, true));
        for (found, kind, name, optional, secret) in config_map.into_iter().chain(secret) {
            match found {
                Some(data) => {
                    for (key, value) in data {
                        let name = format!("{prefix}{key}");
                        if !name.is_empty() && !name.contains(['=', '\0']) {
                            self.set(&name, text(value), secret);
                        }
                    }
                }
                None if optional == Some(true) => {}
                None => return Err(ConfigError::Missing(format!("{kind} {name:?} not found"))),
            }
        }
        Ok(())
    }

    fn one(
        &mut self,
        variable: &EnvVar,
        container: &Container,
        fields: &Fields<'_>,
        sources: &Sources,
    ) -> Result<(), ConfigError> {
        let name = variable.name.as_str();
        let Some(source) = &variable.value_from else {
            let value = expand(variable.value.as_deref().unwrap_or_default(), &self.0);
            self.set(name, value.text, value.secret);
            return Ok(());
        };
        if let Some(selector) = &source.field_ref {
            let value = fields.field(&selector.field_path).map_err(ConfigError::Invalid)?;
            self.set(name, value, false);
        }
        if let Some(selector) = &source.resource_field_ref {
            let value = fields.resource(selector, container).map_err(ConfigError::Invalid)?;
            self.set(name, value, false);
        }
        let namespace = fields.metadata.namespace.as_deref().unwrap_or_default();
        if let Some(from) = &source.config_map_key_ref {
            let found = sources.config_map(&from.name);
            let of = Key { kind: "ConfigMap", namespace, name: &from.name, key: &from.key };
            if let Some(value) = of.value(found, from.optional)? {
                self.set(name, value, false);
            }
        }
        if let Some(from) = &source.secret_key_ref {
            let found = sources.secret(&from.name);
            let of = Key { kind: "Secret", namespace, name: &from.name, key: &from.key };
            if let Some(value) = of.value(found, from.optional)? {
                self.set(name, value, true);
            }
        }
        Ok(())
    }
}

/// One key of an object.
struct Key<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    key: &'a str,
}

impl Key<'_> {
    /// Its value; `None` if it isn't there and needn't be.
    fn value(
        &self,
        data: Option<&Data>,
        optional: Option<bool>,
    ) -> Result<Option<String>, ConfigError> {
        let Self { kind, namespace, name, key } = self;
        match (data, data.and_then(|data| data.get(*key))) {
            (_, Some(value)) => Ok(Some(text(value))),
            _ if optional == Some(true) => Ok(None),
            (None, _) => {
                let kind = kind.to_lowercase();
                Err(ConfigError::Missing(format!("{kind} {name:?} not found")))
            }
            (Some(_), None) => Err(ConfigError::Missing(format!(
                "couldn't find key {key} in {kind} {namespace}/{name}"
            ))),
        }
    }
}

/// A variable holds text, and no zero byte.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace('\0', "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::FutureExt;
    use k8s_openapi::api::core::v1::PodSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, from_value, json};

    use super::super::fields::Host;
    use super::*;
    use crate::sources::tests::Fixed;

    fn variable(name: &str, value: &str, secret: bool) -> Variable {
        Variable { name: name.into(), value: value.into(), secret }
    }

    #[test]
    fn references_expand_as_in_kubernetes() {
        let known = [variable("A", "1", false), variable("EMPTY", "", false)];
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
            assert_eq!(expand(text, &known).text, expected, "{text}");
        }
        assert_eq!(expand("$(A)$(B)$(C)", &known).missing.as_deref(), Some("B"));
    }

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs.iter().map(|(key, value)| ((*key).into(), value.as_bytes().to_vec())).collect()
    }

    /// The variables of a container with these fields, the ConfigMap `c` and the Secret `s`.
    fn found(fields: Value) -> Result<Vec<Variable>, ConfigError> {
        let mut container = json!({ "name": "main", "image": "i" });
        for (field, value) in fields.as_object().into_iter().flatten() {
            container[field] = value.clone();
        }
        let spec: PodSpec = from_value(json!({ "containers": [container] })).expect("a Pod");
        let metadata = ObjectMeta {
            namespace: Some("n".into()),
            annotations: Some(BTreeMap::from([("index".into(), "4".into())])),
            ..ObjectMeta::default()
        };
        let objects = Fixed {
            config_maps: BTreeMap::from([("c".into(), data(&[("A", "1"), ("b=c", "2")]))]),
            secrets: BTreeMap::from([("s".into(), data(&[("A", "x"), ("K", "key")]))]),
        };
        let container = &spec.containers[0];
        let sources = Sources::load(&objects, "n", &spec, container).now_or_never();
        let sources = sources.expect("nothing to wait for").expect("loaded");
        let host = Host::default();
        let fields = Fields { metadata: &metadata, spec: &spec, host: &host };
        variables(container, "77", &fields, &sources)
    }

    #[test]
    fn a_value_sees_the_variables_before_it() {
        let found = found(json!({ "env": [
            { "name": "LATE", "value": "$(HOST)" },
            { "name": "HOST", "value": "h" },
            { "name": "URL", "value": "$(HOST):$(LONGSHORE_FENCING_TOKEN)" },
            { "name": "LONGSHORE_FENCING_TOKEN", "value": "stolen" },
            { "name": "INDEX", "valueFrom": { "fieldRef": { "fieldPath": "metadata.annotations['index']" } } },
        ]}));
        let expected = [
            ("LONGSHORE_FENCING_TOKEN", "77"),
            ("LATE", "$(HOST)"),
            ("HOST", "h"),
            ("URL", "h:77"),
            ("INDEX", "4"),
        ];
        let expected = expected.map(|(name, value)| variable(name, value, false));
        assert_eq!(found, Ok(expected.to_vec()));
    }

    #[test]
    fn objects_give_variables_and_those_of_secrets_are_marked() {
        let found = found(json!({
            "envFrom": [
                { "configMapRef": { "name": "c" } },
                { "prefix": "S_", "secretRef": { "name": "s" } },
                { "secretRef": { "name": "none", "optional": true } },
            ],
            "env": [
                { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "A" } } },
                { "name": "Z", "valueFrom": {
                    "secretKeyRef": { "name": "s", "key": "none", "optional": true } } },
                { "name": "URL", "value": "u:$(S_K)" },
            ],
        }));
        let expected = [
            variable("LONGSHORE_FENCING_TOKEN", "77", false),
            variable("S_A", "x", true),
            variable("S_K", "key", true),
            variable("A", "1", false),
            variable("URL", "u:key", true),
        ];
        assert_eq!(found, Ok(expected.to_vec()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let of = |kind: &str, name: &str, key: &str| {
            let selector = json!({ kind: { "name": name, "key": key } });
            found(json!({ "env": [{ "name": "X", "valueFrom": selector }] }))
        };
        let missing = |text: &str| Err(ConfigError::Missing(text.into()));
        assert_eq!(of("secretKeyRef", "t", "k"), missing("secret \"t\" not found"));
        assert_eq!(of("secretKeyRef", "s", "k"), missing("couldn't find key k in Secret n/s"));
        assert_eq!(of("configMapKeyRef", "t", "k"), missing("configmap \"t\" not found"));
        let from = found(json!({ "envFrom": [{ "configMapRef": { "name": "t" } }] }));
        assert_eq!(from, missing("configmap \"t\" not found"));
    }
}
