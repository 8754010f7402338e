//! Bad input, and servers that aren't there: one clear message, and nothing stored.

mod input {
    pub(crate) mod manifests;
    pub(crate) mod requests;
    pub(crate) mod settings;
    pub(crate) mod unreachable;
}

use std::process::ExitCode;

use anyhow::Result;
use longshore_tests::{Options, Shared, Suite};

use input::{manifests, requests, settings, unreachable};

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(4)?;
    let small = Shared::new(Options::workers(1, 1));
    suite.test_on(&small, "manifests_with_mistakes_are_refused", manifests::refused);
    suite.test_on(&small, "kubectl_is_told_of_mistakes_too", manifests::kubectl);
    suite.test_on(&small, "requests_with_mistakes_get_a_status", requests::refused);
    suite.test_on(&small, "changes_that_are_not_allowed_get_a_status", requests::changes);
    suite.test_on(&small, "requests_for_what_is_not_there_get_a_status", requests::missing);
    suite.test("settings_with_mistakes_are_refused", settings::refused);
    suite.test("a_server_that_is_not_there_is_exit_3", unreachable::server);
    suite.test("redis_not_there_at_start", unreachable::redis);
    suite.test("rabbitmq_not_there_at_start", unreachable::rabbitmq);
    suite.test("docker_not_there_at_start", unreachable::docker);
    Ok(suite.run())
}
