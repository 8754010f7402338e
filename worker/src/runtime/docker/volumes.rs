//! A container's volumes as Docker's mounts.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use bollard::models::{Mount, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig};
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, Volume, VolumeMount};

use super::Places;
use super::claims::Claim;
use super::config::ConfigError;
use super::env::{Variable, expand};
use super::fields::Fields;
use super::files::Files;
use crate::folder::Folder;
use crate::sources::Sources;

/// What the volumes of a container are made of.
pub(super) struct Volumes<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) container: &'a Container,
    pub(super) folder: &'a Folder,
    pub(super) places: &'a Places,
    pub(super) sources: &'a Sources,
    /// For `subPathExpr`.
    pub(super) variables: &'a [Variable],
}

impl Volumes<'_> {
    /// The mounts, with what they need made on the host.
    pub(super) fn mounts(&self) -> Result<Vec<Mount>, ConfigError> {
        let volumes = self.fields.spec.volumes.iter().flatten();
        let volumes: HashMap<&str, &Volume> =
            volumes.map(|volume| (volume.name.as_str(), volume)).collect();
        let mounts = self.container.volume_mounts.iter().flatten().map(|mount| {
            let name = mount.name.as_str();
            let volume = volumes
                .get(name)
                .ok_or_else(|| ConfigError::Invalid(format!("volume {name:?} is not there")))?;
            self.mount(volume, mount)
        });
        mounts.collect()
    }

    fn mount(&self, volume: &Volume, mount: &VolumeMount) -> Result<Mount, ConfigError> {
        let read_only = mount.read_only.unwrap_or(false);
        let target = mount.mount_path.as_str();
        let sub_path = self.sub_path(mount)?;
        let on_host = |error| ConfigError::Host(format!("volume {:?}: {error}", volume.name));
        let (source, read_only) = if let Some(host_path) = &volume.host_path {
            let source = self.places.host_paths.resolve(host_path).map_err(ConfigError::Invalid)?;
            (source, read_only)
        } else if let Some(empty) = &volume.empty_dir {
            (self.empty_dir(&volume.name, empty).map_err(on_host)?, read_only)
        } else if let Some(claim) = &volume.persistent_volume_claim {
            let read_only = read_only || claim.read_only.unwrap_or(false);
            match self.places.claims.get(&claim.claim_name).map_err(ConfigError::Invalid)? {
                Claim::Folder(folder) => (folder, read_only),
                Claim::Nfs { .. } if sub_path.is_some() => {
                    let text = format!("volume {:?}: an NFS claim has no subPath", volume.name);
                    return Err(ConfigError::Invalid(text));
                }
                Claim::Nfs { server, path } => return Ok(nfs(&server, &path, target, read_only)),
            }
        } else if let Some(files) = Files::of(volume, self.container, &self.fields, self.sources)? {
            let folder = self.filled(&volume.name, &files).map_err(on_host)?;
            // As under Kubernetes, nobody can write to these.
            (folder, true)
        } else {
            return Err(ConfigError::Invalid(format!("volume {:?} has no source", volume.name)));
        };
        let source = match sub_path {
            Some(sub_path) => below(&source, &sub_path)?,
            None => source,
        };
        Ok(bind(&source, target, read_only))
    }

    fn empty_dir(&self, name: &str, empty: &EmptyDirVolumeSource) -> io::Result<PathBuf> {
        let folder = self.folder.volume(name, empty.medium.as_deref() == Some("Memory"))?;
        if let Some(group) = self.group() {
            chown(&folder, None, Some(group))?;
            // What is made in it is the group's too.
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o2777))?;
        }
        Ok(folder)
    }

    fn filled(&self, name: &str, files: &Files) -> io::Result<PathBuf> {
        let folder = self.folder.volume(name, files.secret)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        files.write(&folder, self.group())?;
        Ok(folder)
    }

    /// The Pod's `fsGroup`.
    fn group(&self) -> Option<u32> {
        let group = self.fields.spec.security_context.as_ref()?.fs_group?;
        u32::try_from(group).ok()
    }

    /// The part of a volume that is mounted, if it isn't the whole.
    fn sub_path(&self, mount: &VolumeMount) -> Result<Option<String>, ConfigError> {
        let given = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
        let Some(expression) = given(&mount.sub_path_expr) else {
            return Ok(given(&mount.sub_path));
        };
        let expanded = expand(&expression, self.variables);
        match expanded.missing {
            Some(name) => {
                let text = format!("subPathExpr {expression:?}: missing value for {name:?}");
                Err(ConfigError::Invalid(text))
            }
            None => Ok(Some(expanded.text)),
        }
    }
}

pub(super) fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Default::default()
    }
}

/// A volume of Docker's own that is an NFS share, and goes with the container.
fn nfs(server: &str, path: &str, target: &str, read_only: bool) -> Mount {
    let options = [
        ("type", "nfs".to_owned()),
        ("o", format!("addr={server}")),
        ("device", format!(":{path}")),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value));
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".into()),
                options: Some(HashMap::from(options)),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What a `subPath` names in a volume, made as a folder if it isn't there. It can't lead out of the
/// volume, whatever links are in it.
fn below(volume: &Path, sub_path: &str) -> Result<PathBuf, ConfigError> {
    let relative = Path::new(sub_path);
    let out = || ConfigError::Invalid(format!("subPath {sub_path:?} is not within the volume"));
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(out());
    }
    let failed = |error: io::Error| ConfigError::Invalid(format!("subPath {sub_path:?}: {error}"));
    let volume = volume.canonicalize().map_err(failed)?;
    let metadata = fs::metadata(&volume).map_err(failed)?;
    let mut place = volume.clone();
    for part in relative.components() {
        place = place.join(part);
        if fs::symlink_metadata(&place).is_err() {
            fs::create_dir(&place).map_err(failed)?;
            fs::set_permissions(&place, metadata.permissions()).map_err(failed)?;
            chown(&place, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)?;
        }
        place = place.canonicalize().map_err(failed)?;
        if !place.starts_with(&volume) {
            return Err(out());
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_sub_path_stays_within_its_volume() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("there");
        let (volume, other) = (root.join("volume"), root.join("other"));
        fs::create_dir(&volume).expect("made");
        fs::create_dir(&other).expect("made");
        symlink(&other, volume.join("out")).expect("linked");
        symlink("in/deeper", volume.join("link")).expect("linked");

        assert_eq!(below(&volume, "in/deeper"), Ok(volume.join("in/deeper")));
        assert_eq!(below(&volume, "link"), Ok(volume.join("in/deeper")));
        for out in ["out", "out/new", "../other", "/other", "in/../../other"] {
            assert!(matches!(below(&volume, out), Err(ConfigError::Invalid(_))), "{out}");
        }
        assert!(!other.join("new").exists());
    }
}
