//! The specification of the Pods and what secures them.

use super::Support::{Harmless, Ignored, Only, Refused, Within, Yes};
use super::Table;

const FREE_SLOT: &str = "a Pod runs on any worker that has a free slot";
const RESOLVES: &str = "containers resolve names as Docker does";
const NAMESPACES: &str = "a container has namespaces of its own";
const NO_USERS: &str = "containers run without user namespaces of their own";
const NO_ACCOUNTS: &str = "there are no service accounts";
const NO_SELINUX: &str = "SELinux is left to Docker's own settings";
const NO_WINDOWS: &str = "containers run on Linux";
const NO_PROBES: &str = "containers are not probed";
const PROFILES: &str = "profiles of the host can't be chosen";
const SAME_PRIORITY: &str = "all Jobs have the same priority";
const NO_DOMAIN: &str = "a hostname has no domain";

pub(super) const TABLE: Table = &[
    (
        "io.k8s.api.core.v1.PodSpec",
        &[
            ("activeDeadlineSeconds", Yes),
            ("affinity", Refused(FREE_SLOT)),
            ("automountServiceAccountToken", Only(&["false"], NO_ACCOUNTS)),
            ("containers", Yes),
            ("dnsConfig", Refused(RESOLVES)),
            ("dnsPolicy", Only(&["ClusterFirst", "ClusterFirstWithHostNet", "Default"], RESOLVES)),
            ("enableServiceLinks", Harmless("there are no Services")),
            ("ephemeralContainers", Refused("a template has none")),
            ("hostAliases", Refused(RESOLVES)),
            ("hostIPC", Refused(NAMESPACES)),
            ("hostNetwork", Within("where the setting policy.host_network allows it")),
            ("hostPID", Refused(NAMESPACES)),
            ("hostUsers", Only(&["true"], NO_USERS)),
            ("hostname", Yes),
            ("hostnameOverride", Refused("set hostname")),
            ("imagePullSecrets", Yes),
            ("initContainers", Yes),
            ("nodeName", Refused(FREE_SLOT)),
            ("nodeSelector", Refused(FREE_SLOT)),
            ("os", Refused(NO_WINDOWS)),
            ("overhead", Refused("resources are those of the containers")),
            ("preemptionPolicy", Ignored("Pods are not preempted")),
            ("priority", Only(&["0"], SAME_PRIORITY)),
            ("priorityClassName", Refused(SAME_PRIORITY)),
            ("readinessGates", Refused(NO_PROBES)),
            ("resourceClaims", Refused("resources are CPU and memory")),
            ("resources", Refused("resources are those of the containers")),
            ("restartPolicy", Within("OnFailure or Never, as for every Job")),
            ("runtimeClassName", Refused("containers run with Docker's default runtime")),
            ("schedulerName", Only(&["default-scheduler"], FREE_SLOT)),
            ("schedulingGates", Refused("set spec.suspend of the Job")),
            ("securityContext", Yes),
            ("serviceAccount", Ignored(NO_ACCOUNTS)),
            ("serviceAccountName", Ignored(NO_ACCOUNTS)),
            ("setHostnameAsFQDN", Refused(NO_DOMAIN)),
            ("shareProcessNamespace", Refused(NAMESPACES)),
            ("subdomain", Refused(NO_DOMAIN)),
            ("terminationGracePeriodSeconds", Yes),
            ("tolerations", Refused(FREE_SLOT)),
            ("topologySpreadConstraints", Refused(FREE_SLOT)),
            ("volumes", Yes),
        ],
    ),
    ("io.k8s.api.core.v1.LocalObjectReference", &[("name", Yes)]),
    (
        "io.k8s.api.core.v1.PodSecurityContext",
        &[
            ("appArmorProfile", Yes),
            (
                "fsGroup",
                Within("a further group of the processes, and the group of emptyDir volumes"),
            ),
            ("fsGroupChangePolicy", Harmless("emptyDir volumes are new for each Pod")),
            ("runAsGroup", Yes),
            ("runAsNonRoot", Yes),
            ("runAsUser", Yes),
            ("seLinuxChangePolicy", Refused(NO_SELINUX)),
            ("seLinuxOptions", Refused(NO_SELINUX)),
            ("seccompProfile", Yes),
            ("supplementalGroups", Yes),
            ("supplementalGroupsPolicy", Only(&["Merge"], "the image's groups are kept")),
            ("sysctls", Refused("kernel parameters are those of the host")),
            ("windowsOptions", Refused(NO_WINDOWS)),
        ],
    ),
    (
        "io.k8s.api.core.v1.SecurityContext",
        &[
            ("allowPrivilegeEscalation", Yes),
            ("appArmorProfile", Yes),
            ("capabilities", Yes),
            ("privileged", Within("where the setting policy.privileged allows it")),
            ("procMount", Only(&["Default"], "/proc is masked as Docker masks it")),
            ("readOnlyRootFilesystem", Yes),
            ("runAsGroup", Yes),
            ("runAsNonRoot", Yes),
            ("runAsUser", Yes),
            ("seLinuxOptions", Refused(NO_SELINUX)),
            ("seccompProfile", Yes),
            ("windowsOptions", Refused(NO_WINDOWS)),
        ],
    ),
    (
        "io.k8s.api.core.v1.Capabilities",
        &[
            (
                "add",
                Within(
                    "those of Docker's default set, and those of the setting policy.capabilities",
                ),
            ),
            ("drop", Yes),
        ],
    ),
    (
        "io.k8s.api.core.v1.SeccompProfile",
        &[
            ("localhostProfile", Refused(PROFILES)),
            ("type", Only(&["RuntimeDefault", "Unconfined"], PROFILES)),
        ],
    ),
    (
        "io.k8s.api.core.v1.AppArmorProfile",
        &[
            ("localhostProfile", Refused(PROFILES)),
            ("type", Only(&["RuntimeDefault"], "Docker's own profile applies where there is one")),
        ],
    ),
];
