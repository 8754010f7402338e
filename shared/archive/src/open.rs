//! From the settings to a store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::ArchiveError;

/// How long a request may be tried again before its caller hears of it.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long one request may take, a part of an upload included.
const REQUEST: Duration = Duration::from_secs(60);

const CONNECT: Duration = Duration::from_secs(5);

/// Where the archive is.
#[derive(Clone, Debug)]
pub struct ArchiveSettings {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// How long what is archived is kept; zero is for ever.
    pub retention: Duration,
    /// An S3-compatible server, `http(s)://host:port`; AWS if there is none.
    pub endpoint: Option<String>,
    /// The bucket's region; from the environment if there is none.
    pub region: Option<String>,
    /// From the environment (`AWS_ACCESS_KEY_ID` and so on) or the host's role if there are none.
    pub credentials: Option<Credentials>,
}

/// The right to a bucket. Its secret is never shown.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// The store, and what stands before all names in it.
pub(crate) fn open(
    settings: &ArchiveSettings,
) -> Result<(Arc<dyn ObjectStore>, Path), ArchiveError> {
    let wrong = |reason| ArchiveError::Url { url: settings.url.clone(), reason };
    match settings.url.split_once("://") {
        Some(("file", folder)) if folder.starts_with('/') => {
            Ok((folder_at(folder)?, Path::default()))
        }
        Some(("file", _)) => Err(wrong("the folder must be absolute: file:///folder")),
        Some(("s3", place)) => {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err(wrong("it names no bucket: s3://bucket/prefix"));
            }
            let prefix = Path::parse(prefix).map_err(|_| wrong("its prefix can't be used"))?;
            Ok((bucket_at(settings, bucket)?, prefix))
        }
        _ => Err(wrong("it must begin with file:// or s3://")),
    }
}

fn folder_at(folder: &str) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    let failed = |source| ArchiveError::Folder { folder: PathBuf::from(folder), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(ArchiveError::Open)?;
    // Folders that a sweep has emptied go too.
    Ok(Arc::new(store.with_automatic_cleanup(true).with_fsync(true)))
}

fn bucket_at(
    settings: &ArchiveSettings,
    bucket: &str,
) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    // Whichever part of the program comes first: without a choice there is no TLS.
    longshore_support::tls::choose_provider();
    let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
    let client = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT);
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(client)
        .with_retry(retry)
        .with_bucket_name(bucket);
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(credentials) = &settings.credentials {
        builder = builder
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key);
    }
    Ok(Arc::new(builder.build().map_err(ArchiveError::Open)?))
}
