//! What a container says of its own end: `terminationMessagePath` and its policy.

use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Container;
use longshore_job::Outcome;
use tokio::time::timeout;

use super::engine::Engine;
use crate::own_folder::OwnFolder;
use crate::runtime::Ended;

/// As much of the output stands in for a message, as under Kubernetes.
const LINES: &str = "80";
const BYTES: usize = 2048;
/// How long Docker may take to give it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Adds the message to an exit: what the container wrote to its file or, for one that failed and whose
/// policy is `FallbackToLogsOnError`, the end of its output.
pub(super) async fn with_message(
    ended: Ended,
    engine: &Engine,
    container: &Container,
    folder: &OwnFolder,
    name: &str,
) -> Ended {
    let Ended::Outcome(Outcome::Exited { code, reason, message }) = ended else { return ended };
    let mut message = if message.is_empty() { folder.message() } else { message };
    let policy = container.termination_message_policy.as_deref();
    if message.is_empty() && code != 0 && policy == Some("FallbackToLogsOnError") {
        // In a task of its own: the decoder of Docker's log panics on what it doesn't know.
        let output = tokio::spawn(last_output(engine.clone(), name.to_owned()));
        message = match timeout(PATIENCE, output).await {
            Ok(Ok(output)) => output,
            Ok(Err(_)) | Err(_) => String::new(),
        };
    }
    Ended::Outcome(Outcome::Exited { code, reason, message })
}

async fn last_output(engine: Engine, name: String) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(LINES).build();
    let mut log = std::pin::pin!(engine.docker.logs(&name, Some(options)));
    let mut output = Vec::new();
    // What could be read is better than nothing.
    while let Ok(Some(part)) = log.try_next().await {
        output.extend_from_slice(&part.into_bytes());
    }
    let from = output.len().saturating_sub(BYTES);
    String::from_utf8_lossy(&output[from..]).into_owned()
}
