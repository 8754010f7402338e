//! Which fields of a Job Longshore honours, which have no effect, and which it refuses.
//!
//! One table says so for every field of the types that a Job is made of. A field that can't be
//! honoured is refused with the reason, never dropped in silence.

use serde_json::{Value, json};

use crate::field::{FieldError, Warning};
use crate::resource::Resource;
use crate::schema::{Schema, Shape};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Support {
    /// Honoured, along with what is in it, as far as the table says so for its type.
    Yes,
    /// Without effect, here as with Kubernetes, or of no weight: nothing need be said.
    Harmless,
    /// Accepted without effect; the client is told why.
    Ignored(&'static str),
    /// Accepted with one of these values only, as its effect is there already.
    Only(&'static [&'static str], &'static str),
    /// Refused for this reason, unless it is empty.
    Refused(&'static str),
}

use Support::{Harmless, Ignored, Only, Refused, Yes};

const JOB: &str = "io.k8s.api.batch.v1.JobSpec";
const TEMPLATE: &str = "io.k8s.api.core.v1.PodTemplateSpec";
const POD: &str = "io.k8s.api.core.v1.PodSpec";
const CONTAINER: &str = "io.k8s.api.core.v1.Container";
const ENV: &str = "io.k8s.api.core.v1.EnvVar";
const PORT: &str = "io.k8s.api.core.v1.ContainerPort";
const RESOURCES: &str = "io.k8s.api.core.v1.ResourceRequirements";
const MOUNT: &str = "io.k8s.api.core.v1.VolumeMount";
const VOLUME: &str = "io.k8s.api.core.v1.Volume";
const EMPTY_DIR: &str = "io.k8s.api.core.v1.EmptyDirVolumeSource";
const HOST_PATH: &str = "io.k8s.api.core.v1.HostPathVolumeSource";

const FREE_SLOT: &str = "a Pod runs on any worker that has a free slot";
const ONE_CONTAINER: &str = "a Pod has one container";
const NO_PROBES: &str = "containers are not probed";
const NO_NAMESPACES: &str = "a container has namespaces of its own";
const NO_USERS: &str = "a container runs as its image says";
const NO_OBJECTS: &str = "there are no Secrets and ConfigMaps";
const VOLUMES: &str = "volumes are emptyDir or hostPath";
const WHOLE_VOLUMES: &str = "a volume is mounted as a whole";
const NO_TERMINAL: &str = "a container has neither standard input nor a terminal";
const NO_ACCOUNTS: &str = "there are no service accounts";

type Fields = &'static [(&'static str, Support)];

const TABLE: &[(&str, Fields)] = &[
    (
        JOB,
        &[
            ("activeDeadlineSeconds", Yes),
            ("backoffLimit", Yes),
            ("backoffLimitPerIndex", Refused("failures are counted for the Job as a whole")),
            ("completionMode", Yes),
            ("completions", Yes),
            // Its only value that is served is checked with the rest of the specification.
            ("managedBy", Yes),
            ("manualSelector", Yes),
            ("maxFailedIndexes", Refused("failures are counted for the Job as a whole")),
            ("parallelism", Yes),
            ("podFailurePolicy", Refused("every failure of a container counts")),
            ("podReplacementPolicy", Yes),
            ("selector", Yes),
            ("successPolicy", Refused("a Job is complete when all of its completions are reached")),
            ("suspend", Yes),
            ("template", Yes),
            ("ttlSecondsAfterFinished", Yes),
        ],
    ),
    (TEMPLATE, &[("metadata", Yes), ("spec", Yes)]),
    (
        POD,
        &[
            ("activeDeadlineSeconds", Refused("set spec.activeDeadlineSeconds of the Job")),
            ("affinity", Refused(FREE_SLOT)),
            ("automountServiceAccountToken", Only(&["false"], NO_ACCOUNTS)),
            ("containers", Yes),
            ("dnsConfig", Refused("containers resolve names as Docker does")),
            (
                "dnsPolicy",
                Only(&["ClusterFirst", "Default"], "containers resolve names as Docker does"),
            ),
            ("enableServiceLinks", Harmless),
            ("ephemeralContainers", Refused(ONE_CONTAINER)),
            ("hostAliases", Refused("containers resolve names as Docker does")),
            ("hostIPC", Refused(NO_NAMESPACES)),
            ("hostNetwork", Refused(NO_NAMESPACES)),
            ("hostPID", Refused(NO_NAMESPACES)),
            ("hostUsers", Only(&["true"], NO_USERS)),
            ("hostname", Yes),
            ("hostnameOverride", Refused("set hostname")),
            ("imagePullSecrets", Refused(NO_OBJECTS)),
            ("initContainers", Refused(ONE_CONTAINER)),
            ("nodeName", Refused(FREE_SLOT)),
            ("nodeSelector", Refused(FREE_SLOT)),
            ("os", Refused("containers run on Linux")),
            ("overhead", Refused("resources are those of the container")),
            ("preemptionPolicy", Ignored("Pods are not preempted")),
            ("priority", Only(&["0"], "all Jobs have the same priority")),
            ("priorityClassName", Refused("all Jobs have the same priority")),
            ("readinessGates", Refused(NO_PROBES)),
            ("resourceClaims", Refused("resources are CPU and memory")),
            ("resources", Refused("resources are those of the container")),
            ("restartPolicy", Yes),
            ("runtimeClassName", Refused("containers run with Docker's default runtime")),
            ("schedulerName", Only(&["default-scheduler"], FREE_SLOT)),
            ("schedulingGates", Refused("set spec.suspend of the Job")),
            ("securityContext", Refused(NO_USERS)),
            ("serviceAccount", Ignored(NO_ACCOUNTS)),
            ("serviceAccountName", Ignored(NO_ACCOUNTS)),
            ("setHostnameAsFQDN", Refused("a hostname has no domain")),
            ("shareProcessNamespace", Refused(NO_NAMESPACES)),
            ("subdomain", Refused("a hostname has no domain")),
            ("terminationGracePeriodSeconds", Yes),
            ("tolerations", Refused(FREE_SLOT)),
            ("topologySpreadConstraints", Refused(FREE_SLOT)),
            ("volumes", Yes),
        ],
    ),
    (
        CONTAINER,
        &[
            ("args", Yes),
            ("command", Yes),
            ("env", Yes),
            ("envFrom", Refused(NO_OBJECTS)),
            ("image", Yes),
            ("imagePullPolicy", Yes),
            ("lifecycle", Refused("a container has no hooks")),
            ("livenessProbe", Refused(NO_PROBES)),
            ("name", Yes),
            ("ports", Yes),
            ("readinessProbe", Refused(NO_PROBES)),
            ("resizePolicy", Refused("the resources of a container are fixed")),
            ("resources", Yes),
            ("restartPolicy", Refused("set restartPolicy of the Pod")),
            ("restartPolicyRules", Refused("set restartPolicy of the Pod")),
            ("securityContext", Refused(NO_USERS)),
            ("startupProbe", Refused(NO_PROBES)),
            ("stdin", Refused(NO_TERMINAL)),
            ("stdinOnce", Refused(NO_TERMINAL)),
            (
                "terminationMessagePath",
                Only(&["/dev/termination-log"], "messages of containers are not read from files"),
            ),
            (
                "terminationMessagePolicy",
                Only(&["File"], "messages of containers are not read from files"),
            ),
            ("tty", Refused(NO_TERMINAL)),
            ("volumeDevices", Refused(VOLUMES)),
            ("volumeMounts", Yes),
            ("workingDir", Yes),
        ],
    ),
    (ENV, &[("name", Yes), ("value", Yes), ("valueFrom", Refused("values are given as they are"))]),
    (
        PORT,
        &[
            ("containerPort", Harmless),
            ("hostIP", Refused("ports of containers are not opened on the host")),
            ("hostPort", Only(&["0"], "ports of containers are not opened on the host")),
            ("name", Harmless),
            ("protocol", Harmless),
        ],
    ),
    (
        RESOURCES,
        &[
            ("claims", Refused("resources are CPU and memory")),
            ("limits", Yes),
            ("requests", Ignored("slots, not requests, say how many Pods a worker takes")),
        ],
    ),
    (
        MOUNT,
        &[
            ("mountPath", Yes),
            ("mountPropagation", Only(&["None"], "mounts are private to the container")),
            ("name", Yes),
            ("readOnly", Yes),
            ("recursiveReadOnly", Only(&["Disabled"], "mounts are private to the container")),
            ("subPath", Refused(WHOLE_VOLUMES)),
            ("subPathExpr", Refused(WHOLE_VOLUMES)),
        ],
    ),
    (
        VOLUME,
        &[
            ("awsElasticBlockStore", Refused(VOLUMES)),
            ("azureDisk", Refused(VOLUMES)),
            ("azureFile", Refused(VOLUMES)),
            ("cephfs", Refused(VOLUMES)),
            ("cinder", Refused(VOLUMES)),
            ("configMap", Refused(VOLUMES)),
            ("csi", Refused(VOLUMES)),
            ("downwardAPI", Refused(VOLUMES)),
            ("emptyDir", Yes),
            ("ephemeral", Refused(VOLUMES)),
            ("fc", Refused(VOLUMES)),
            ("flexVolume", Refused(VOLUMES)),
            ("flocker", Refused(VOLUMES)),
            ("gcePersistentDisk", Refused(VOLUMES)),
            ("gitRepo", Refused(VOLUMES)),
            ("glusterfs", Refused(VOLUMES)),
            ("hostPath", Yes),
            ("image", Refused(VOLUMES)),
            ("iscsi", Refused(VOLUMES)),
            ("name", Yes),
            ("nfs", Refused(VOLUMES)),
            ("persistentVolumeClaim", Refused(VOLUMES)),
            ("photonPersistentDisk", Refused(VOLUMES)),
            ("portworxVolume", Refused(VOLUMES)),
            ("projected", Refused(VOLUMES)),
            ("quobyte", Refused(VOLUMES)),
            ("rbd", Refused(VOLUMES)),
            ("scaleIO", Refused(VOLUMES)),
            ("secret", Refused(VOLUMES)),
            ("storageos", Refused(VOLUMES)),
            ("vsphereVolume", Refused(VOLUMES)),
        ],
    ),
    (
        EMPTY_DIR,
        &[
            ("medium", Refused("an emptyDir is a folder on the worker's disk")),
            ("sizeLimit", Refused("an emptyDir has no limit of its own")),
        ],
    ),
    (HOST_PATH, &[("path", Yes), ("type", Yes)]),
];

/// What the table says about a Job: the fields that are refused, and what the client should know.
/// `spec` is the Job's specification as JSON.
pub(crate) fn check(spec: &Value) -> (Vec<FieldError>, Vec<Warning>) {
    let mut found = Found { errors: Vec::new(), warnings: Vec::new() };
    if let Some(schema) = Schema::of(Resource::Jobs).field("spec") {
        found.walk(schema, spec, "spec");
    }
    (found.errors, found.warnings)
}

struct Found {
    errors: Vec<FieldError>,
    warnings: Vec<Warning>,
}

impl Found {
    fn walk(&mut self, schema: Schema<'_>, value: &Value, path: &str) {
        match (schema.shape(), value) {
            (Shape::Array(items), Value::Array(list)) => {
                for (at, item) in list.iter().enumerate() {
                    self.walk(items, item, &format!("{path}[{at}]"));
                }
            }
            (Shape::Object(_), Value::Object(fields)) => {
                let Some(table) = table_of(schema) else { return };
                for (name, value) in fields {
                    let support = table.iter().find(|(field, _)| field == name);
                    if let (Some((_, support)), Some(schema)) = (support, schema.field(name)) {
                        self.judge(*support, schema, value, &format!("{path}.{name}"));
                    }
                }
            }
            _ => {}
        }
    }

    fn judge(&mut self, support: Support, schema: Schema<'_>, value: &Value, path: &str) {
        match support {
            Yes => self.walk(schema, value, path),
            Harmless => {}
            _ if is_empty(value) => {}
            Ignored(why) => self.warnings.push(Warning(format!("{path} has no effect: {why}"))),
            Only(values, why) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if !values.contains(&text.as_str()) {
                    self.refuse(path, &format!("other than {}; {why}", values.join(" and ")));
                }
            }
            Refused(why) => self.refuse(path, why),
        }
    }

    fn refuse(&mut self, path: &str, why: &str) {
        let joint = if why.starts_with("other than") { " " } else { ": " };
        self.errors.push(FieldError::forbidden(path, format!("not supported yet{joint}{why}")));
    }
}

/// Whether a field says nothing, so that it is as good as absent. A number always says something.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        other => *other == json!(false) || *other == json!(""),
    }
}

fn table_of(schema: Schema<'_>) -> Option<Fields> {
    let name = schema.name()?;
    TABLE.iter().find(|(of, _)| *of == name).map(|(_, fields)| *fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_field_of_its_types() {
        for (name, table) in TABLE {
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
    fn every_type_below_a_supported_field_is_in_the_table_or_wholly_supported() {
        // The types whose fields are all honoured, or judged by the rules of validation.
        let whole = [
            "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        ];
        for (name, table) in TABLE {
            for (field, support) in table.iter().filter(|(_, support)| *support == Yes) {
                let mut schema = Schema::named(name).field(field).expect("a field");
                while let Some(items) = schema.items() {
                    schema = items;
                }
                if let (Shape::Object(_), Some(of)) = (schema.shape(), schema.name()) {
                    let known = table_of(schema).is_some() || whole.contains(&of);
                    assert!(known, "{name}.{field} ({support:?}) is a {of}");
                }
            }
        }
    }

    fn pod(pod: Value) -> Value {
        json!({"template": {"spec": pod}})
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_with_the_reason() {
        let (errors, _) = check(&pod(json!({
            "hostNetwork": true,
            "dnsPolicy": "None",
            "containers": [{"name": "a", "livenessProbe": {"periodSeconds": 1},
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}],
            "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]
        })));
        let texts: Vec<String> = errors.iter().map(FieldError::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.template.spec.hostNetwork: Forbidden: not supported yet: a container has \
                 namespaces of its own",
                "spec.template.spec.dnsPolicy: Forbidden: not supported yet other than \
                 ClusterFirst and Default; containers resolve names as Docker does",
                "spec.template.spec.containers[0].livenessProbe: Forbidden: not supported yet: \
                 containers are not probed",
                "spec.template.spec.containers[0].env[0].valueFrom: Forbidden: not supported yet: \
                 values are given as they are",
                "spec.template.spec.volumes[0].emptyDir.medium: Forbidden: not supported yet: an \
                 emptyDir is a folder on the worker's disk",
            ]
        );
    }

    #[test]
    fn what_is_empty_is_let_pass() {
        let (errors, warnings) = check(&pod(json!({
            "hostNetwork": false, "securityContext": {}, "tolerations": [], "priority": 0,
            "containers": [{"name": "a", "stdin": false, "resources": {}, "envFrom": []}]
        })));
        assert_eq!((errors, warnings), (Vec::new(), Vec::new()));
        let (errors, _) = check(&json!({"backoffLimitPerIndex": 0}));
        assert_eq!(errors.len(), 1, "0 is a limit, too");
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
}
