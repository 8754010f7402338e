//! A plain client of the Kubernetes API: every byte of a request and of its answer is the test's own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::{Job, until};

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

/// The API server at an address, as seen by a client of the namespace `default`.
#[derive(Clone)]
pub struct Api {
    server: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub code: u16,
    /// The body, if it is JSON.
    pub body: Value,
    pub text: String,
}

impl Reply {
    /// The object, if the request succeeded.
    pub fn ok(self) -> Result<Value> {
        ensure!((200..300).contains(&self.code), "{}: {}", self.code, self.text);
        Ok(self.body)
    }
}

impl Api {
    pub fn new(server: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { server: server.trim_end_matches('/').to_owned(), client }
    }

    /// Any request.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("content-type", content_type)
            .body(Full::new(body.into()))?;
        let (code, text) = tokio::time::timeout(Duration::from_secs(60), async {
            let response = self.client.request(request).await?;
            let code = response.status().as_u16();
            anyhow::Ok((code, response.into_body().collect().await?.to_bytes()))
        })
        .await
        .with_context(|| format!("{path}: no answer within 60 s"))??;
        let text = String::from_utf8_lossy(&text).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { code, body, text })
    }

    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.request(Method::GET, path, "application/json", "").await
    }

    /// Creates an object of any content; `path` is that of its collection.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.request(Method::POST, path, "application/json", body.to_string()).await
    }

    /// Creates a Job; gives it back as stored.
    pub async fn create(&self, job: &Job) -> Result<Value> {
        self.post(JOBS, job.value()).await?.ok()
    }

    pub async fn job(&self, name: &str) -> Result<Value> {
        self.get(&format!("{JOBS}/{name}")).await?.ok()
    }

    /// The Jobs, by name.
    pub async fn job_names(&self) -> Result<Vec<String>> {
        let list = self.get(JOBS).await?.ok()?;
        let items = list["items"].as_array().context("a list has items")?;
        Ok(items.iter().map(|job| text(&job["metadata"]["name"])).collect())
    }

    /// Changes a Job by a merge patch.
    pub async fn patch(&self, name: &str, patch: &Value) -> Result<Value> {
        let path = format!("{JOBS}/{name}");
        let kind = "application/merge-patch+json";
        self.request(Method::PATCH, &path, kind, patch.to_string()).await?.ok()
    }

    /// Asks for a Job's deletion; doesn't wait for its end.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let path = format!("{JOBS}/{name}");
        self.request(Method::DELETE, &path, "application/json", "").await?.ok()?;
        Ok(())
    }

    /// The Pods of a Job: its attempts.
    pub async fn pods(&self, job: &str) -> Result<Vec<Value>> {
        let selector = format!("batch.kubernetes.io%2Fjob-name%3D{job}");
        let path = format!("/api/v1/namespaces/default/pods?labelSelector={selector}");
        let list = self.get(&path).await?.ok()?;
        list["items"].as_array().cloned().context("a list has items")
    }

    /// The log of a Pod.
    pub async fn log(&self, pod: &str) -> Result<String> {
        let reply = self.get(&format!("/api/v1/namespaces/default/pods/{pod}/log")).await?;
        ensure!(reply.code == 200, "{}: {}", reply.code, reply.text);
        Ok(reply.text)
    }

    /// Waits until a Job's status is as wanted; gives the Job. A server that can't be reached or
    /// can't reach its own servers is asked again.
    pub async fn job_until(
        &self,
        name: &str,
        what: &str,
        bound: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        until(&format!("job {name}: {what}"), bound, async || {
            Ok(match self.job(name).await {
                Ok(job) if wanted(&job["status"]) => Ok(job),
                Ok(job) => Err(job["status"].to_string()),
                Err(error) => Err(format!("{error:#}")),
            })
        })
        .await
    }

    /// Waits until a Job has finished, in the way that is expected: `Complete` or `Failed`.
    pub async fn finished(&self, name: &str, as_what: &str, bound: Duration) -> Result<Value> {
        let over = |status: &Value| {
            ["Complete", "Failed"].iter().any(|kind| condition(status, kind).is_some())
        };
        let job = self.job_until(name, as_what, bound, over).await?;
        ensure!(
            condition(&job["status"], as_what).is_some(),
            "job {name} is not {as_what}: {}",
            job["status"]
        );
        Ok(job)
    }

    /// Waits until a Job is gone.
    pub async fn gone(&self, name: &str, bound: Duration) -> Result<()> {
        until(&format!("job {name} is gone"), bound, async || {
            let reply = self.get(&format!("{JOBS}/{name}")).await?;
            Ok(if reply.code == 404 { Ok(()) } else { Err(reply.text) })
        })
        .await
    }

    /// Waits until the Job's Pods are as wanted; gives them.
    pub async fn pods_until(
        &self,
        job: &str,
        what: &str,
        bound: Duration,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Result<Vec<Value>> {
        until(&format!("pods of {job}: {what}"), bound, async || {
            let pods = self.pods(job).await?;
            if wanted(&pods) {
                return Ok(Ok(pods));
            }
            Ok(Err(pods.iter().map(|pod| pod["status"].to_string()).collect::<Vec<_>>()))
        })
        .await
    }
}

/// The condition of this type, if it holds.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = status["conditions"].as_array()?;
    all.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
