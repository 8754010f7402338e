//! `hostPath` volumes, below the folders that the host's administrator allows.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// The folders below which `hostPath` volumes are allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostPaths {
    allowed: Vec<PathBuf>,
}

impl HostPaths {
    /// The folders of the setting `worker.host_paths`. One that isn't there allows nothing until it
    /// is.
    pub(crate) fn new(allowed: Vec<PathBuf>) -> Self {
        Self { allowed }
    }

    /// The path behind a `hostPath` volume, without symbolic links, made first if its type asks for
    /// that. The error is fit for the user.
    pub(super) fn resolve(&self, volume: &HostPathVolumeSource) -> Result<PathBuf, String> {
        let path = Path::new(&volume.path);
        let shown = path.display();
        let kind = volume.type_.as_deref().unwrap_or_default();
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Err(format!("hostPath {shown} must be absolute and without \"..\""));
        }
        // What would be made lies below the part of the path that exists already.
        let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let real = existing.canonicalize().map_err(|error| format!("hostPath {shown}: {error}"))?;
        let missing = path.strip_prefix(existing).unwrap_or(Path::new(""));
        let real = if missing.as_os_str().is_empty() { real } else { real.join(missing) };
        if !self.allows(&real) {
            return Err(format!(
                "hostPath {shown} is not below a folder allowed by worker.host_paths"
            ));
        }
        make(&real, kind).map_err(|error| format!("hostPath {shown} can't be made: {error}"))?;
        // Again, as what was just made or found may lead elsewhere.
        let real = real.canonicalize().map_err(|_| format!("hostPath {shown} does not exist"))?;
        if !self.allows(&real) {
            return Err(format!(
                "hostPath {shown} is not below a folder allowed by worker.host_paths"
            ));
        }
        check(&real, kind).map_err(|what| format!("hostPath {shown} {what}"))?;
        Ok(real)
    }

    fn allows(&self, real: &Path) -> bool {
        self.allowed
            .iter()
            .filter_map(|allowed| allowed.canonicalize().ok())
            .any(|allowed| real.starts_with(allowed))
    }
}

/// Makes what the types that end in `OrCreate` ask for, with the rights that Kubernetes gives it.
fn make(path: &Path, kind: &str) -> io::Result<()> {
    match kind {
        "DirectoryOrCreate" if !path.exists() => fs::create_dir_all(path),
        "FileOrCreate" if !path.exists() => fs::File::create_new(path).map(drop),
        // Docker makes no missing source of a bind mount, and neither does an empty type's.
        _ => Ok(()),
    }
}

fn check(path: &Path, kind: &str) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    let file_type = metadata.file_type();
    let fits = match kind {
        "" => true,
        "Directory" | "DirectoryOrCreate" => file_type.is_dir(),
        "File" | "FileOrCreate" => file_type.is_file(),
        "Socket" => file_type.is_socket(),
        "CharDevice" => file_type.is_char_device(),
        "BlockDevice" => file_type.is_block_device(),
        other => return Err(format!("has the unknown type {other:?}")),
    };
    if fits { Ok(()) } else { Err(format!("is not a {kind}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolve(allowed: &Path, path: &Path, kind: &str) -> Result<PathBuf, String> {
        HostPaths::new(vec![allowed.to_owned()]).resolve(&HostPathVolumeSource {
            path: path.display().to_string(),
            type_: Some(kind.to_owned()),
        })
    }

    #[test]
    fn only_what_lies_below_an_allowed_folder_is_mounted() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("there");
        let (allowed, other) = (root.join("allowed"), root.join("other"));
        fs::create_dir_all(&allowed).expect("made");
        fs::create_dir_all(&other).expect("made");
        symlink(&other, allowed.join("link")).expect("linked");
        fs::create_dir(root.join("allowed-not")).expect("made");

        assert_eq!(resolve(&allowed, &allowed, ""), Ok(allowed.clone()));
        for (path, kind) in [
            (other.clone(), ""),
            (root.join("allowed-not"), ""),
            (allowed.join("link"), ""),
            (allowed.join("link/new"), "DirectoryOrCreate"),
            (allowed.join("../other"), ""),
            (PathBuf::from("/"), ""),
        ] {
            assert!(resolve(&allowed, &path, kind).is_err(), "{}", path.display());
        }
        assert!(!other.join("new").exists());
        let none =
            HostPaths::default().resolve(&HostPathVolumeSource { path: "/x".into(), type_: None });
        assert_eq!(
            none,
            Err("hostPath /x is not below a folder allowed by worker.host_paths".into())
        );
    }

    #[test]
    fn types_are_made_or_checked() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("there");
        let (folder, file) = (root.join("a/b"), root.join("file"));
        assert!(resolve(&root, &folder, "Directory").is_err());
        assert_eq!(resolve(&root, &folder, "DirectoryOrCreate"), Ok(folder.clone()));
        assert_eq!(resolve(&root, &folder, "Directory"), Ok(folder.clone()));
        assert!(resolve(&root, &folder, "File").is_err());
        assert!(resolve(&root, &file, "").is_err());
        assert_eq!(resolve(&root, &file, "FileOrCreate"), Ok(file.clone()));
        assert!(resolve(&root, &file, "Directory").is_err());
    }
}
