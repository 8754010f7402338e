//! Containers: what they run, in which environment, and what they see of volumes.

use super::Support::{Harmless, Ignored, Only, Refused, Within, Yes};
use super::Table;

const NO_PROBES: &str = "containers are not probed";
const NO_TERMINAL: &str = "a container has neither standard input nor a terminal";
const NO_PORTS: &str = "ports of containers are not opened on the host";
const PRIVATE_MOUNTS: &str = "mounts are private to the container";
const POD_RESTARTS: &str = "set restartPolicy of the Pod";

pub(super) const TABLE: Table = &[
    (
        "io.k8s.api.core.v1.Container",
        &[
            ("args", Yes),
            ("command", Yes),
            ("env", Yes),
            ("envFrom", Yes),
            ("image", Yes),
            ("imagePullPolicy", Yes),
            ("lifecycle", Refused("a container has no hooks")),
            ("livenessProbe", Refused(NO_PROBES)),
            ("name", Yes),
            ("ports", Yes),
            ("readinessProbe", Refused(NO_PROBES)),
            ("resizePolicy", Refused("the resources of a container are fixed")),
            ("resources", Yes),
            ("restartPolicy", Within("Always, on init containers: such a one is a sidecar")),
            ("restartPolicyRules", Refused(POD_RESTARTS)),
            ("securityContext", Yes),
            ("startupProbe", Refused(NO_PROBES)),
            ("stdin", Refused(NO_TERMINAL)),
            ("stdinOnce", Refused(NO_TERMINAL)),
            ("terminationMessagePath", Within("the first 4096 bytes")),
            ("terminationMessagePolicy", Yes),
            ("tty", Refused(NO_TERMINAL)),
            ("volumeDevices", Refused("a volume is a folder or a file")),
            ("volumeMounts", Yes),
            ("workingDir", Yes),
        ],
    ),
    (
        "io.k8s.api.core.v1.ContainerPort",
        &[
            ("containerPort", Harmless("a port is reachable whether it is named or not")),
            ("hostIP", Refused(NO_PORTS)),
            (
                "hostPort",
                Within("0, or the containerPort with hostNetwork: other ports are not opened"),
            ),
            ("name", Harmless("there are no Services")),
            ("protocol", Harmless("a port is reachable whether it is named or not")),
        ],
    ),
    (
        "io.k8s.api.core.v1.ResourceRequirements",
        &[
            ("claims", Refused("resources are CPU and memory")),
            ("limits", Within("cpu and memory; ephemeral-storage has no effect")),
            ("requests", Ignored("slots, not requests, say how many Pods a worker takes")),
        ],
    ),
    ("io.k8s.api.core.v1.EnvVar", &[("name", Yes), ("value", Yes), ("valueFrom", Yes)]),
    (
        "io.k8s.api.core.v1.EnvVarSource",
        &[
            ("configMapKeyRef", Yes),
            ("fieldRef", Yes),
            ("fileKeyRef", Refused("variables are not read from files")),
            ("resourceFieldRef", Yes),
            ("secretKeyRef", Yes),
        ],
    ),
    (
        "io.k8s.api.core.v1.ObjectFieldSelector",
        &[
            ("apiVersion", Yes),
            (
                "fieldPath",
                Within(
                    "metadata.name, metadata.namespace, metadata.uid, metadata.labels['key'] and \
                     metadata.annotations['key']; in variables also spec.nodeName, \
                     spec.serviceAccountName and status.hostIP; in volumes also metadata.labels \
                     and metadata.annotations as a whole",
                ),
            ),
        ],
    ),
    (
        "io.k8s.api.core.v1.ResourceFieldSelector",
        &[
            ("containerName", Yes),
            ("divisor", Yes),
            ("resource", Within("limits and requests of cpu and memory")),
        ],
    ),
    ("io.k8s.api.core.v1.ConfigMapKeySelector", &[("key", Yes), ("name", Yes), ("optional", Yes)]),
    ("io.k8s.api.core.v1.SecretKeySelector", &[("key", Yes), ("name", Yes), ("optional", Yes)]),
    (
        "io.k8s.api.core.v1.EnvFromSource",
        &[("configMapRef", Yes), ("prefix", Yes), ("secretRef", Yes)],
    ),
    ("io.k8s.api.core.v1.ConfigMapEnvSource", &[("name", Yes), ("optional", Yes)]),
    ("io.k8s.api.core.v1.SecretEnvSource", &[("name", Yes), ("optional", Yes)]),
    (
        "io.k8s.api.core.v1.VolumeMount",
        &[
            ("mountPath", Yes),
            ("mountPropagation", Only(&["None"], PRIVATE_MOUNTS)),
            ("name", Yes),
            ("readOnly", Yes),
            ("recursiveReadOnly", Only(&["Disabled"], PRIVATE_MOUNTS)),
            ("subPath", Yes),
            ("subPathExpr", Yes),
        ],
    ),
];
