//! Every example runs, and leaves behind what it says.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Options, Shared, Suite, repository, run, secs};
use tokio::process::Command;

const HOST_PATHS: &str = "/var/tmp/longshore-tests";

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(3)?;
    let fleet = Shared::new(Options::workers(3, 4).set("WORKER__HOST_PATHS", HOST_PATHS));
    for name in manifests()? {
        let test = format!("example_{}", name.replace('-', "_"));
        suite.test_on(&fleet, &test, async move |cluster| example(cluster, &name).await);
    }
    suite.test("the_readme_says_what_each_example_shows", readme);
    Ok(suite.run())
}

/// Prepared, applied, complete, checked: in a folder of its own, so that nobody's is touched.
async fn example(cluster: &Cluster, name: &str) -> Result<()> {
    std::fs::create_dir_all(HOST_PATHS)?;
    let folder = tempfile::tempdir_in(HOST_PATHS)?;
    let folder = folder.path().to_str().context("a path of plain letters")?;
    let manifest = std::fs::read_to_string(repository().join(format!("examples/{name}.yaml")))?;
    let manifest = manifest.replace("/var/tmp/longshore", folder);

    script("prepare", name, folder).await?;
    let applied = cluster.longshore_with_input(&["apply", "-f", "-"], &manifest).await?.ok()?;
    ensure!(applied == format!("job.batch/{name} created\n"), "{applied:?}");
    let job = cluster.api().finished(name, "Complete", secs(180)).await?;
    ensure!(!job["status"]["succeeded"].is_null(), "{}", job["status"]);
    // The guide's Job prints a line and leaves no file; the test of the guide reads that line.
    if name != "data-processing-job" {
        script("check", name, folder).await?;
    }
    Ok(())
}

async fn readme() -> Result<()> {
    let text = std::fs::read_to_string(repository().join("README.md"))?;
    for name in manifests()? {
        ensure!(text.contains(&format!("examples/{name}.yaml")), "no word of {name}");
    }
    Ok(())
}

/// The names of all examples.
fn manifests() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(repository().join("examples"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".yaml").map(str::to_owned));
    }
    names.sort();
    ensure!(names.len() >= 6, "{names:?}");
    Ok(names)
}

async fn script(script: &str, name: &str, folder: &str) -> Result<()> {
    let mut command = Command::new(repository().join("examples").join(script));
    command.args([name, folder]);
    run(command).await?.ok()?;
    Ok(())
}
