//! Settings with mistakes.

use std::path::Path;

use anyhow::{Result, ensure};
use longshore_tests::{Background, Output, build, program, run, secs};
use tokio::process::Command;

const SECRET: &str = "hunter2";

/// An unknown key, a wrong value: the program names it and doesn't start.
pub(crate) async fn refused() -> Result<()> {
    build().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("longshore.toml");
    for (text, named) in [
        ("[redis]\nurll = 'redis://127.0.0.1:1'\n", "urll"),
        ("[redsi]\nurl = 'redis://127.0.0.1:1'\n", "redsi"),
        ("[worker]\nslots = 'many'\n", "slots"),
        ("[lease]\nlength = 'soon'\n", "length"),
        ("[worker\n", "longshore.toml"),
    ] {
        std::fs::write(&file, text)?;
        for (name, output) in both(&file).await? {
            ensure!(output.code != 0 && output.stderr.contains(named), "{name}: {output}");
        }
    }
    for (name, output) in both(Path::new("/no/such/longshore.toml")).await? {
        ensure!(
            output.code != 0 && output.stderr.contains("/no/such/longshore.toml"),
            "{name}: {output}"
        );
    }
    no_secrets().await
}

/// Each program, started with a settings file.
async fn both(file: &Path) -> Result<[(&'static str, Output); 2]> {
    let mut serve = Command::new(program("longshore")?);
    serve.args(["serve", "--config"]).arg(file);
    let mut worker = Command::new(program("longshore-worker")?);
    worker.arg("--config").arg(file);
    Ok([("longshore serve", run(serve).await?), ("longshore-worker", run(worker).await?)])
}

/// Passwords are printed neither when all is well nor when the server isn't there.
async fn no_secrets() -> Result<()> {
    let mut serve = Command::new(program("longshore")?);
    serve.args(["serve", "--listen", "127.0.0.1:0"]);
    serve
        .env("LONGSHORE__REDIS__URL", format!("redis://user:{SECRET}@127.0.0.1:1/0"))
        .env("LONGSHORE__RABBITMQ__URL", format!("amqp://user:{SECRET}@127.0.0.1:1/%2f"))
        .env("LONGSHORE__LOG__FILTER", "debug");
    let mut serve = Background::start(serve)?;
    let printed =
        serve.prints("where Redis is", secs(20), |text| text.contains("127.0.0.1:1")).await?;
    ensure!(!printed.contains(SECRET), "{printed}");
    Ok(())
}
