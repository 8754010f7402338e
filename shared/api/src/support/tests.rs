//! The table against the types, and what it says about Jobs.

use super::*;

#[test]
fn the_table_names_every_field_of_its_types() {
    for (name, table) in types() {
        let Shape::Object(fields) = Schema::named(name).shape() else {
            panic!("{name} is no object");
        };
        let mut expected: Vec<&str> = fields.keys().map(String::as_str).collect();
        let mut named: Vec<&str> = table.iter().map(|(field, _)| *field).collect();
        expected.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, expected, "{name}");
    }
}

#[test]
fn the_table_holds_just_the_types_that_honoured_fields_reach() {
    let mut reached = reached();
    let mut listed: Vec<&str> = types().map(|(name, _)| name).collect();
    listed.sort_unstable();
    reached.sort_unstable();
    assert_eq!(listed, reached);
}

/// The types that honoured fields reach.
fn reached() -> Vec<&'static str> {
    let mut reached = vec!["io.k8s.api.batch.v1.JobSpec"];
    let mut at = 0;
    while let Some(name) = reached.get(at).copied() {
        at += 1;
        let table = table_of(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let honoured = table.iter().filter(|(_, support)| matches!(support, Yes | Within(_)));
        for (field, _) in honoured {
            let mut schema = Schema::named(name).field(field).expect("a field");
            while let Some(items) = schema.items() {
                schema = items;
            }
            if let (Shape::Object(_), Some(of)) = (schema.shape(), schema.name())
                && !reached.contains(&of)
            {
                reached.push(of);
            }
        }
    }
    reached
}

fn pod(pod: Value) -> Value {
    json!({"template": {"spec": pod}})
}

#[test]
fn what_cannot_be_honoured_is_refused_with_the_reason() {
    let (errors, _) = check(&pod(json!({
        "hostPID": true,
        "dnsPolicy": "None",
        "containers": [{"name": "a", "livenessProbe": {"periodSeconds": 1},
            "securityContext": {"runAsUser": 1}, "terminationMessagePolicy": "File"},
            {"name": "b"}],
        "volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}},
            {"name": "w", "secret": {"secretName": "s"}}]
    })));
    let texts: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    assert_eq!(
        texts,
        [
            "spec.template.spec.hostPID: Forbidden: not supported yet: a container has namespaces \
             of its own",
            "spec.template.spec.dnsPolicy: Forbidden: not supported yet other than ClusterFirst, \
             ClusterFirstWithHostNet and Default; containers resolve names as Docker does",
            "spec.template.spec.containers[0].livenessProbe: Forbidden: not supported yet: \
             containers are not probed",
            "spec.template.spec.volumes[0].nfs: Forbidden: not supported yet: volumes are \
             emptyDir, hostPath, persistentVolumeClaim, configMap, secret, downwardAPI and projected",
        ]
    );
}

#[test]
fn what_is_empty_is_let_pass() {
    let (errors, warnings) = check(&pod(json!({
        "hostPID": false, "securityContext": {}, "tolerations": [], "priority": 0,
        "containers": [{"name": "a", "stdin": false, "resources": {}, "envFrom": []}]
    })));
    assert_eq!((errors, warnings), (Vec::new(), Vec::new()));
    let (errors, _) = check(&pod(json!({"priority": 1})));
    assert_eq!(errors.len(), 1, "a number says something");
}

#[test]
fn what_has_no_effect_is_told() {
    let (errors, warnings) = check(&pod(json!({"serviceAccountName": "x"})));
    assert!(errors.is_empty());
    assert_eq!(
        warnings,
        [Warning(
            "spec.template.spec.serviceAccountName has no effect: there are no service accounts"
                .into()
        )]
    );
}
