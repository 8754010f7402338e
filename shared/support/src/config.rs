//! Settings of both programs, in layers: defaults, a TOML file, the environment
//! (`LONGSHORE__SECTION__KEY`), flags. `deploy/longshore.toml` lists them all.
//!
//! An unknown key in the file is an error; an unknown variable only a warning,
//! since the environment is shared with others. Secrets are shown redacted.

mod load;
mod sections;
mod values;

pub use load::ConfigError;
pub use sections::{
    ArchiveSettings, BackoffSettings, CoordinatorSettings, LeaseSettings, LogFormat, LogSettings,
    NullSettings, RabbitmqSettings, RedisSettings, Runtime, Settings, WorkerSettings,
};
pub use values::{ByteSize, Secret, SecretUrl, split_urls};
