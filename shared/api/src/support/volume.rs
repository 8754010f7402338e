//! Volumes and what they are filled with.

use super::Support::{Only, Refused, Within, Yes};
use super::Table;

const VOLUMES: &str = "volumes are emptyDir, hostPath, persistentVolumeClaim, configMap, secret, downwardAPI and projected";
const PROJECTED: &str = "projected are configMap, secret and downwardAPI";

pub(super) const TABLE: Table = &[
    (
        "io.k8s.api.core.v1.Volume",
        &[
            ("awsElasticBlockStore", Refused(VOLUMES)),
            ("azureDisk", Refused(VOLUMES)),
            ("azureFile", Refused(VOLUMES)),
            ("cephfs", Refused(VOLUMES)),
            ("cinder", Refused(VOLUMES)),
            ("configMap", Yes),
            ("csi", Refused(VOLUMES)),
            ("downwardAPI", Yes),
            ("emptyDir", Yes),
            ("ephemeral", Refused(VOLUMES)),
            ("fc", Refused(VOLUMES)),
            ("flexVolume", Refused(VOLUMES)),
            ("flocker", Refused(VOLUMES)),
            ("gcePersistentDisk", Refused(VOLUMES)),
            ("gitRepo", Refused(VOLUMES)),
            ("glusterfs", Refused(VOLUMES)),
            ("hostPath", Within("below a folder of the setting worker.host_paths")),
            ("image", Refused(VOLUMES)),
            ("iscsi", Refused(VOLUMES)),
            ("name", Yes),
            ("nfs", Refused(VOLUMES)),
            ("persistentVolumeClaim", Within("by names that the setting policy.claims maps")),
            ("photonPersistentDisk", Refused(VOLUMES)),
            ("portworxVolume", Refused(VOLUMES)),
            ("projected", Yes),
            ("quobyte", Refused(VOLUMES)),
            ("rbd", Refused(VOLUMES)),
            ("scaleIO", Refused(VOLUMES)),
            ("secret", Yes),
            ("storageos", Refused(VOLUMES)),
            ("vsphereVolume", Refused(VOLUMES)),
        ],
    ),
    (
        "io.k8s.api.core.v1.EmptyDirVolumeSource",
        &[
            ("medium", Only(&["Memory"], "an emptyDir is on the worker's disk or in its memory")),
            ("sizeLimit", Within("looked at every two seconds")),
        ],
    ),
    ("io.k8s.api.core.v1.HostPathVolumeSource", &[("path", Yes), ("type", Yes)]),
    (
        "io.k8s.api.core.v1.ConfigMapVolumeSource",
        &[("defaultMode", Yes), ("items", Yes), ("name", Yes), ("optional", Yes)],
    ),
    (
        "io.k8s.api.core.v1.SecretVolumeSource",
        &[("defaultMode", Yes), ("items", Yes), ("optional", Yes), ("secretName", Yes)],
    ),
    ("io.k8s.api.core.v1.KeyToPath", &[("key", Yes), ("mode", Yes), ("path", Yes)]),
    ("io.k8s.api.core.v1.DownwardAPIVolumeSource", &[("defaultMode", Yes), ("items", Yes)]),
    (
        "io.k8s.api.core.v1.DownwardAPIVolumeFile",
        &[("fieldRef", Yes), ("mode", Yes), ("path", Yes), ("resourceFieldRef", Yes)],
    ),
    (
        "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource",
        &[("claimName", Yes), ("readOnly", Yes)],
    ),
    ("io.k8s.api.core.v1.ProjectedVolumeSource", &[("defaultMode", Yes), ("sources", Yes)]),
    (
        "io.k8s.api.core.v1.VolumeProjection",
        &[
            ("clusterTrustBundle", Refused(PROJECTED)),
            ("configMap", Yes),
            ("downwardAPI", Yes),
            ("podCertificate", Refused(PROJECTED)),
            ("secret", Yes),
            ("serviceAccountToken", Refused("there are no service accounts")),
        ],
    ),
    ("io.k8s.api.core.v1.ConfigMapProjection", &[("items", Yes), ("name", Yes), ("optional", Yes)]),
    ("io.k8s.api.core.v1.SecretProjection", &[("items", Yes), ("name", Yes), ("optional", Yes)]),
    ("io.k8s.api.core.v1.DownwardAPIProjection", &[("items", Yes)]),
];
