//! The files of a local cluster's folder: `cluster.json` and `kubeconfig` for
//! others to read, `up.json` with how each member was started.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use longshore_store::Seal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::UpError;
use super::process::{Identity, Launch};

/// The folder of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// What `up.json` holds. It and `cluster.json` may hold passwords of servers
/// that were given by URL, so both are for their owner alone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The first coordinator's URL.
    pub(super) server: String,
    pub(super) redis_url: String,
    pub(super) amqp_url: String,
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) launch: Launch,
    /// Absent while it has not been started, or has been stopped.
    pub(super) process: Option<Identity>,
}

/// What a member is, and what is needed to see that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Erlang's port mapper: RabbitMQ's helper, listed nowhere.
    Epmd {
        port: u16,
    },
    Redis {
        port: u16,
    },
    Rabbitmq {
        port: u16,
    },
    Coordinator {
        server: String,
    },
    Worker {
        slots: u32,
    },
}

impl Member {
    pub(super) fn is_alive(&self) -> bool {
        self.process.is_some_and(Identity::is_alive)
    }
}

impl Folder {
    /// Makes the folder if it isn't there, for its owner alone.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let folder = Self(path.canonicalize()?);
        fs::create_dir_all(folder.0.join("logs"))?;
        Ok(folder)
    }

    /// A folder that must be there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        path.canonicalize().map(Self)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn log(&self, member: &str) -> PathBuf {
        self.0.join("logs").join(format!("{member}.log"))
    }

    /// Removes the logs of the cluster that was here before.
    pub(super) fn clear_logs(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.0.join("logs"))? {
            let path = entry?.path();
            if path.is_file() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    /// The file with the key to the cluster's Secrets, made once: the Secrets in the folder's Redis stay
    /// readable.
    pub(super) fn secrets_key(&self) -> io::Result<PathBuf> {
        let path = self.0.join("secrets.key");
        if !path.exists() {
            let key = Seal::new_key().map_err(io::Error::other)?;
            self.write("secrets.key", key.as_bytes())?;
        }
        Ok(path)
    }

    /// Keeps other commands from changing this cluster at the same time.
    pub(super) fn lock(&self) -> Result<File, UpError> {
        let path = self.0.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(fs::TryLockError::WouldBlock) => Err(UpError::Busy(self.0.clone())),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The record of the last start; none if there was none, or it was taken down.
    pub(super) fn load(&self) -> Result<Option<Record>, UpError> {
        let path = self.0.join("up.json");
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(Some(record)),
                Err(error) => Err(UpError::Record(path, error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn save(&self, record: &Record) -> io::Result<()> {
        self.write("up.json", &serde_json::to_vec_pretty(record)?)
    }

    /// Writes `cluster.json` and `kubeconfig`.
    pub(super) fn publish(&self, record: &Record) -> io::Result<()> {
        self.write("kubeconfig", kubeconfig(&record.server).as_bytes())?;
        self.write("cluster.json", &serde_json::to_vec_pretty(&record.cluster())?)
    }

    /// Removes what says that a cluster runs here; data, logs and the
    /// kubeconfig stay.
    pub(super) fn forget(&self) -> io::Result<()> {
        for name in ["cluster.json", "up.json"] {
            match fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Replaces a file in one step, so that nobody reads half of it.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = self.0.join(format!(".{name}.part"));
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        fs::rename(&part, self.0.join(name))
    }
}

impl Record {
    pub(super) fn member(&mut self, name: &str) -> Result<&mut Member, UpError> {
        let known = self.members.iter().map(|m| m.name.clone()).collect::<Vec<_>>().join(", ");
        self.members
            .iter_mut()
            .find(|member| member.name == name)
            .ok_or_else(|| UpError::NoMember { name: name.to_owned(), known })
    }

    /// `cluster.json`: the members that have a process, by kind.
    fn cluster(&self) -> serde_json::Value {
        let mut cluster = json!({
            "server": self.server,
            "redis_url": self.redis_url,
            "amqp_url": self.amqp_url,
            "coordinators": [],
            "workers": [],
            "services": [],
        });
        for member in &self.members {
            let Some(process) = member.process else { continue };
            let mut entry = json!({ "name": member.name, "pid": process.pid });
            let list = match &member.role {
                Role::Epmd { .. } => continue,
                Role::Redis { .. } | Role::Rabbitmq { .. } => "services",
                Role::Coordinator { server } => {
                    entry["server"] = json!(server);
                    "coordinators"
                }
                Role::Worker { slots } => {
                    entry["slots"] = json!(slots);
                    "workers"
                }
            };
            if let Some(list) = cluster[list].as_array_mut() {
                list.push(entry);
            }
        }
        cluster
    }
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: longshore\n\
         clusters:\n\
         - name: longshore\n\
         \x20 cluster:\n\
         \x20   server: {server}\n\
         contexts:\n\
         - name: longshore\n\
         \x20 context:\n\
         \x20   cluster: longshore\n\
         \x20   user: longshore\n\
         \x20   namespace: default\n\
         users:\n\
         - name: longshore\n\
         \x20 user: {{}}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn member(name: &str, role: Role, pid: Option<i32>) -> Member {
        Member {
            name: name.to_owned(),
            role,
            launch: Launch {
                program: PathBuf::from("true"),
                args: Vec::new(),
                env: BTreeMap::new(),
                defaults: BTreeMap::new(),
                hide: None,
                log: PathBuf::from("log"),
            },
            process: pid.map(|pid| Identity { pid, started: 1 }),
        }
    }

    #[test]
    fn cluster_json_has_the_members_by_kind() {
        let record = Record {
            server: "http://127.0.0.1:1".to_owned(),
            redis_url: "redis://127.0.0.1:2".to_owned(),
            amqp_url: "amqp://127.0.0.1:3".to_owned(),
            members: vec![
                member("epmd", Role::Epmd { port: 4 }, Some(9)),
                member("redis", Role::Redis { port: 2 }, Some(10)),
                member("coordinator-1", Role::Coordinator { server: "http://h".into() }, Some(11)),
                member("worker-1", Role::Worker { slots: 2 }, Some(12)),
                member("worker-2", Role::Worker { slots: 2 }, None),
            ],
        };
        assert_eq!(
            record.cluster(),
            json!({
                "server": "http://127.0.0.1:1",
                "redis_url": "redis://127.0.0.1:2",
                "amqp_url": "amqp://127.0.0.1:3",
                "coordinators": [{ "name": "coordinator-1", "pid": 11, "server": "http://h" }],
                "workers": [{ "name": "worker-1", "pid": 12, "slots": 2 }],
                "services": [{ "name": "redis", "pid": 10 }],
            })
        );
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::create(&dir.path().join("a/b")).expect("created");
        assert!(folder.load().expect("readable").is_none());
        let record = Record {
            server: "http://h".to_owned(),
            redis_url: "r".to_owned(),
            amqp_url: "a".to_owned(),
            members: vec![member("redis", Role::Redis { port: 2 }, Some(10))],
        };
        folder.save(&record).expect("saved");
        let read = folder.load().expect("readable").expect("there");
        assert_eq!(read.members[0].process, record.members[0].process);
        folder.publish(&record).expect("published");
        folder.forget().expect("forgotten");
        assert!(folder.load().expect("readable").is_none());
        assert!(folder.kubeconfig().exists());
    }

    #[test]
    fn one_command_at_a_time_changes_a_cluster() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::create(dir.path()).expect("created");
        let held = folder.lock().expect("locked");
        assert!(matches!(folder.lock(), Err(UpError::Busy(_))));
        drop(held);
        assert!(folder.lock().is_ok());
    }
}
