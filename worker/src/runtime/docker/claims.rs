//! PersistentVolumeClaims: names that the cluster's settings map to folders and shares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The setting `policy.claims`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(BTreeMap<String, String>);

/// What is behind a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Folder(PathBuf),
    Nfs { server: String, path: String },
}

impl Claims {
    pub(crate) fn new(claims: BTreeMap<String, String>) -> Self {
        Self(claims)
    }

    /// What is behind a name. The error is fit for the user.
    pub(super) fn get(&self, name: &str) -> Result<Claim, String> {
        let target = self.0.get(name).ok_or_else(|| {
            format!("persistentvolumeclaim {name:?} not found: policy.claims does not map it")
        })?;
        if let Some(share) = target.strip_prefix("nfs://") {
            let at = share.find('/').unwrap_or(share.len());
            let (server, path) = share.split_at(at);
            let (server, path) = (server.to_owned(), path.to_owned());
            return Ok(Claim::Nfs { server, path });
        }
        let folder = Path::new(target);
        match folder.is_dir() {
            true => Ok(Claim::Folder(folder.to_owned())),
            false => {
                Err(format!("persistentvolumeclaim {name:?}: {target} is no folder of this host"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_a_folder_or_a_share() {
        let claims = [("a", "/tmp"), ("b", "nfs://server/export/x"), ("c", "/none/such")];
        let claims = claims.map(|(name, target)| (name.to_owned(), target.to_owned()));
        let claims = Claims::new(BTreeMap::from(claims));
        assert_eq!(claims.get("a"), Ok(Claim::Folder("/tmp".into())));
        let share = Claim::Nfs { server: "server".into(), path: "/export/x".into() };
        assert_eq!(claims.get("b"), Ok(share));
        for name in ["c", "d"] {
            assert!(claims.get(name).is_err(), "{name}");
        }
    }
}
