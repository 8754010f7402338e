//! What ends a Pod as a whole: its own `activeDeadlineSeconds`, and a volume beyond its `sizeLimit`.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use longshore_api::quantity;
use longshore_job::Millis;
use tokio::time::sleep;

use crate::assignment::Assignment;
use crate::context::now;
use crate::folder::Folder;

/// Between two looks at the volumes.
const EVERY: Duration = Duration::from_secs(2);

/// A limit that was passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beyond {
    /// The Pod's reason and message, in the kubelet's words.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The grace period of its containers, in seconds.
    pub(super) grace: u32,
}

/// Waits until a limit is passed, for ever if there is none. `begun` is when the Pod began.
pub(super) async fn passed(assignment: &Assignment, folder: &Folder, begun: Millis) -> Beyond {
    tokio::select! {
        beyond = deadline(assignment, begun) => beyond,
        beyond = volumes(assignment, folder) => beyond,
    }
}

async fn deadline(assignment: &Assignment, begun: Millis) -> Beyond {
    match time_left(assignment, begun, now()) {
        Some(left) => sleep(left).await,
        None => std::future::pending().await,
    }
    Beyond {
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline".into(),
        grace: assignment.grace_seconds(),
    }
}

fn time_left(assignment: &Assignment, begun: Millis, now: Millis) -> Option<Duration> {
    let seconds = u64::try_from(assignment.spec.active_deadline_seconds?).unwrap_or(0);
    let end = begun.saturating_add(seconds.saturating_mul(1_000));
    Some(Duration::from_millis(end.saturating_sub(now)))
}

async fn volumes(assignment: &Assignment, folder: &Folder) -> Beyond {
    let limited = limited(assignment);
    if limited.is_empty() {
        return std::future::pending().await;
    }
    loop {
        sleep(EVERY).await;
        for volume in &limited {
            let place = folder.volume_place(&volume.name, volume.in_memory);
            let used = tokio::task::spawn_blocking(move || usage(place)).await.unwrap_or(0);
            if used > volume.limit {
                let Volume { name, text, .. } = volume;
                return Beyond {
                    reason: "Evicted",
                    message: format!(
                        "Usage of EmptyDir volume {name:?} exceeds the limit {text:?}. "
                    ),
                    grace: 0,
                };
            }
        }
    }
}

/// A volume that has a limit.
struct Volume {
    name: String,
    in_memory: bool,
    /// In bytes, and as the manifest has it.
    limit: u64,
    text: String,
}

fn limited(assignment: &Assignment) -> Vec<Volume> {
    let volumes = assignment.spec.volumes.iter().flatten();
    let limited = volumes.filter_map(|volume| {
        let empty = volume.empty_dir.as_ref()?;
        let text = empty.size_limit.as_ref()?.0.clone();
        let limit = u64::try_from(quantity::bytes(&text)?).ok().filter(|limit| *limit > 0)?;
        let in_memory = empty.medium.as_deref() == Some("Memory");
        Some(Volume { name: volume.name.clone(), in_memory, limit, text })
    });
    limited.collect()
}

/// The bytes that a folder takes up, as `du` counts them: what it has room for on the disk, and a file
/// with several names once. What goes away meanwhile doesn't count.
fn usage(folder: PathBuf) -> u64 {
    let mut seen = HashSet::new();
    let mut folders = vec![folder];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if metadata.nlink() < 2 || metadata.is_dir() || seen.insert(metadata.ino()) {
                bytes += metadata.blocks() * 512;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::tests::assignment;
    use crate::folder::tests::folders;
    use serde_json::json;

    #[tokio::test]
    async fn a_volume_beyond_its_limit_ends_the_pod() {
        let assignment = assignment(
            "7",
            json!({
                "containers": [{ "name": "c" }],
                "volumes": [
                    { "name": "free", "emptyDir": {} },
                    { "name": "small", "emptyDir": { "sizeLimit": "100Ki" } },
                ]
            }),
        );
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        for (volume, bytes) in [("free", 300_000), ("small", 90_000)] {
            let place = folder.volume(volume, false).expect("made");
            fs::write(place.join("a"), vec![1; bytes]).expect("written");
        }
        let place = folder.volume("small", false).expect("there");
        assert!((90_000..100_000).contains(&usage(place.clone())));
        fs::hard_link(place.join("a"), place.join("same")).expect("linked");
        assert!((90_000..100_000).contains(&usage(place.clone())));
        fs::create_dir(place.join("deep")).expect("made");
        fs::write(place.join("deep/b"), vec![1; 60_000]).expect("written");
        let beyond = passed(&assignment, &folder, now()).await;
        assert_eq!((beyond.reason, beyond.grace), ("Evicted", 0));
        let message = "Usage of EmptyDir volume \"small\" exceeds the limit \"100Ki\". ";
        assert_eq!(beyond.message, message);
    }

    #[tokio::test]
    async fn the_pods_own_deadline_counts_from_its_beginning() {
        let pod = json!({
            "activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 3,
            "containers": [{ "name": "c" }]
        });
        let assignment = assignment("7", pod);
        assert_eq!(time_left(&assignment, 1_000, 51_000), Some(Duration::from_secs(10)));
        let (_state, folders) = folders();
        let beyond = passed(&assignment, &folders.attempt("7"), now() - 61_000).await;
        assert_eq!((beyond.reason, beyond.grace), ("DeadlineExceeded", 3));
    }
}
