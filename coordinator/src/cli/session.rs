//! The connection to the API server: which server, which namespace, and one way
//! to send a request and to read a refusal.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::AsyncBufRead;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config};
use longshore_api::Resource;
use longshore_support::chain::Chain;
use serde_json::Value;

use super::error::CliError;
use crate::up;

/// Which server, and which namespace.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// The kubeconfig [default: $KUBECONFIG, else that of the local cluster, else ~/.kube/config]
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
    /// The API server's URL, instead of the kubeconfig's
    #[arg(short = 's', long, value_name = "URL", global = true)]
    server: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAME", global = true)]
    namespace: Option<String>,
}

/// A connection to the API server.
#[derive(Clone)]
pub(crate) struct Session {
    client: Client,
    server: String,
    /// The namespace of the command: the flag's, else the context's.
    pub(super) namespace: String,
    /// The flag's namespace, if it was given.
    pub(super) asked_namespace: Option<String>,
}

/// A request's body and what it is.
pub(super) enum Content<'a> {
    None,
    Json(&'a Value),
    MergePatch(&'a Value),
}

impl Session {
    /// Reads the kubeconfig; connects with the first request.
    pub(crate) async fn open(args: &ServerArgs) -> Result<Self, CliError> {
        let mut config = load_config(args).await?;
        if let Some(server) = &args.server {
            let url =
                if server.contains("://") { server.clone() } else { format!("http://{server}") };
            config.cluster_url =
                url.parse().map_err(|error| CliError::Usage(format!("--server {url}: {error}")))?;
        }
        config.connect_timeout = Some(Duration::from_secs(10));
        // A refusal for now is said at once; what waits tries again by itself.
        config.default_retry = false;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)
            .map_err(|error| CliError::Failed(Chain(&error).to_string()))?;
        Ok(Self { client, server, namespace, asked_namespace: args.namespace.clone() })
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The same server, another namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CliError> {
        self.request(Method::GET, path, query, Content::None).await
    }

    /// Sends a request and reads the JSON of its answer. Warnings of the server
    /// go to standard error.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content<'_>,
    ) -> Result<Value, CliError> {
        self.request_as(method, path, query, content, "application/json").await
    }

    /// The same, asking for another form of the answer.
    pub(super) async fn request_as(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content<'_>,
        accept: &str,
    ) -> Result<Value, CliError> {
        let response = self.send(method, path, query, content, accept).await?;
        for warning in response.headers().get_all(http::header::WARNING) {
            if let Some(text) = warning.to_str().ok().and_then(warning_text) {
                eprintln!("Warning: {text}");
            }
        }
        let body = response.into_body().collect().await.map_err(|e| self.broken(&e))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| {
            CliError::Failed(format!("the answer of {}{path} isn't JSON: {error}", self.server))
        })
    }

    /// Sends a GET and gives the answer's body as it comes.
    pub(super) async fn stream(
        &self,
        path: &str,
        query: &[(&str, &str)],
        accept: &str,
    ) -> Result<impl AsyncBufRead + Send + Unpin + use<>, CliError> {
        use futures::TryStreamExt;
        let response = self.send(Method::GET, path, query, Content::None, accept).await?;
        let body = response.into_body().into_data_stream();
        Ok(body.map_err(std::io::Error::other).into_async_read())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content<'_>,
        accept: &str,
    ) -> Result<Response<Body>, CliError> {
        let mut uri = path.to_owned();
        if !query.is_empty() {
            let pairs =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            uri = format!("{uri}?{pairs}");
        }
        let (kind, body) = match content {
            Content::None => ("", Vec::new()),
            Content::Json(value) => ("application/json", value.to_string().into_bytes()),
            Content::MergePatch(value) => {
                ("application/merge-patch+json", value.to_string().into_bytes())
            }
        };
        let mut request = Request::builder().method(method).uri(uri).header(ACCEPT, accept);
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request
            .body(Body::from(body))
            .map_err(|error| CliError::Failed(format!("{path}: {error}")))?;
        let response = self.client.send(request).await.map_err(|error| self.broken(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status();
        let body = response.into_body().collect().await.map_err(|e| self.broken(&e))?.to_bytes();
        let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            let reason = code.canonical_reason().unwrap_or_default();
            let message = if text.is_empty() { code.to_string() } else { text };
            Status::failure(&message, reason).with_code(code.as_u16())
        });
        Err(CliError::Refused(status.boxed()))
    }

    fn broken(&self, error: &dyn std::error::Error) -> CliError {
        CliError::Unreachable { server: self.server.clone(), reason: root_cause(error) }
    }
}

/// The path of a resource's collection.
pub(super) fn collection(resource: Resource, namespace: Option<&str>) -> String {
    let root = match resource.group() {
        "" => format!("/api/{}", resource.version()),
        group => format!("/apis/{group}/{}", resource.version()),
    };
    match namespace.filter(|_| resource.namespaced()) {
        Some(namespace) => {
            format!("{root}/namespaces/{}/{}", segment(namespace), resource.plural())
        }
        None => format!("{root}/{}", resource.plural()),
    }
}

/// The path of one object.
pub(super) fn object(resource: Resource, namespace: &str, name: &str) -> String {
    format!("{}/{}", collection(resource, Some(namespace)), segment(name))
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

async fn load_config(args: &ServerArgs) -> Result<Config, CliError> {
    let failed = |error: &dyn std::error::Error| CliError::Failed(Chain(error).to_string());
    let options = KubeConfigOptions { context: args.context.clone(), ..Default::default() };
    let from_env = env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    let file = match &args.kubeconfig {
        Some(file) => Some(file.clone()),
        None if from_env => None,
        None => up::default_kubeconfig().or_else(|| {
            // Nothing to read: the flag alone says where the server is, or the
            // local cluster's usual address is tried.
            home_kubeconfig()
        }),
    };
    let kubeconfig = match file {
        Some(file) => Kubeconfig::read_from(&file).map_err(|error| failed(&error))?,
        None if from_env => Kubeconfig::read().map_err(|error| failed(&error))?,
        None => {
            let url = http::Uri::from_static("http://127.0.0.1:8878");
            return Ok(Config::new(url));
        }
    };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(&error))
}

fn home_kubeconfig() -> Option<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from)?;
    Some(home.join(".kube/config")).filter(|file| file.is_file())
}

/// The text of a Warning header: `299 - "text"`.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.splitn(3, ' ').nth(2)?.trim();
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The innermost cause: what the operating system said.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_kubernetes() {
        assert_eq!(
            object(Resource::Jobs, "default", "x"),
            "/apis/batch/v1/namespaces/default/jobs/x"
        );
        assert_eq!(object(Resource::Nodes, "default", "w"), "/api/v1/nodes/w");
        assert_eq!(collection(Resource::Pods, None), "/api/v1/pods");
        assert_eq!(object(Resource::Pods, "a", "../x y"), "/api/v1/namespaces/a/pods/..%2Fx%20y");
    }

    #[test]
    fn a_warning_header_is_unquoted() {
        assert_eq!(warning_text(r#"299 - "a \"b\"""#).as_deref(), Some("a \"b\""));
        assert_eq!(warning_text("nonsense"), None);
    }
}
