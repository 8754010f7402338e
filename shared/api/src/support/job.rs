//! The Job itself, its policies, and the template of its Pods.

use super::Support::{Harmless, Refused, Within, Yes};
use super::Table;

const NAMED_BY_JOB: &str = "the Pods are named after the Job";
const SERVER_SETS: &str = "the server sets it";

pub(super) const TABLE: Table = &[
    (
        "io.k8s.api.batch.v1.JobSpec",
        &[
            ("activeDeadlineSeconds", Yes),
            ("backoffLimit", Yes),
            ("backoffLimitPerIndex", Within("with restartPolicy Never")),
            ("completionMode", Yes),
            ("completions", Yes),
            (
                "managedBy",
                Within("a Job that names another controller is left to it, and never run here"),
            ),
            ("manualSelector", Yes),
            ("maxFailedIndexes", Yes),
            ("parallelism", Yes),
            ("podFailurePolicy", Yes),
            (
                "podReplacementPolicy",
                Within("with either value, a new Pod waits until the one it replaces has ended"),
            ),
            ("selector", Yes),
            ("successPolicy", Yes),
            ("suspend", Yes),
            ("template", Yes),
            ("ttlSecondsAfterFinished", Yes),
        ],
    ),
    ("io.k8s.api.batch.v1.PodFailurePolicy", &[("rules", Yes)]),
    (
        "io.k8s.api.batch.v1.PodFailurePolicyRule",
        &[("action", Yes), ("onExitCodes", Yes), ("onPodConditions", Yes)],
    ),
    (
        "io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement",
        &[("containerName", Yes), ("operator", Yes), ("values", Yes)],
    ),
    (
        "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern",
        &[
            ("status", Yes),
            (
                "type",
                Within("DisruptionTarget is what a Pod gets that its host or an eviction ended"),
            ),
        ],
    ),
    ("io.k8s.api.batch.v1.SuccessPolicy", &[("rules", Yes)]),
    (
        "io.k8s.api.batch.v1.SuccessPolicyRule",
        &[("succeededCount", Yes), ("succeededIndexes", Within("indexes below 1000000"))],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
        &[("matchExpressions", Yes), ("matchLabels", Yes)],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
        &[("key", Yes), ("operator", Yes), ("values", Yes)],
    ),
    ("io.k8s.api.core.v1.PodTemplateSpec", &[("metadata", Yes), ("spec", Yes)]),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        &[
            ("annotations", Yes),
            ("creationTimestamp", Harmless(SERVER_SETS)),
            ("deletionGracePeriodSeconds", Harmless(SERVER_SETS)),
            ("deletionTimestamp", Harmless(SERVER_SETS)),
            ("finalizers", Refused("a deletion waits for the Pods' containers alone")),
            ("generateName", Harmless(NAMED_BY_JOB)),
            ("generation", Harmless(SERVER_SETS)),
            ("labels", Yes),
            ("managedFields", Harmless(SERVER_SETS)),
            ("name", Harmless(NAMED_BY_JOB)),
            ("namespace", Harmless("the Pods are in the Job's namespace")),
            ("ownerReferences", Harmless("the Pods are owned by the Job")),
            ("resourceVersion", Harmless(SERVER_SETS)),
            ("selfLink", Harmless(SERVER_SETS)),
            ("uid", Harmless(SERVER_SETS)),
        ],
    ),
];
