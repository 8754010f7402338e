//! What Jobs do on a healthy cluster.

mod jobs {
    pub(crate) mod archive;
    pub(crate) mod command_line;
    pub(crate) mod fleet;
    pub(crate) mod flood;
    pub(crate) mod guide;
    pub(crate) mod kubectl;
    pub(crate) mod limits;
    pub(crate) mod null;
    pub(crate) mod outcomes;
    pub(crate) mod rules;
    pub(crate) mod stop;
    pub(crate) mod template;
}

use std::process::ExitCode;

use anyhow::Result;
use longshore_tests::{Options, Shared, Suite};

use jobs::{
    archive, command_line, fleet, flood, guide, kubectl, limits, null, outcomes, rules, stop,
    template,
};

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(5)?;

    let small =
        Shared::in_turns(Options::workers(1, 3).set("WORKER__HOST_PATHS", "/tmp/longshore-tests"));
    suite.test_on(&small, "a_flood_of_output_harms_nobody", flood::flood);
    suite.test("the_null_runtime_runs_two_thousand_indexes", null::two_thousand);

    let fleet = Shared::new(
        Options::workers(3, 4)
            .set("WORKER__PULL_TIMEOUT", "4s")
            .set("WORKER__HOST_PATHS", "/tmp/longshore-tests"),
    );
    suite.test_on(&fleet, "a_hundred_indexes_use_all_workers", fleet::hundred_indexes);
    suite.test_on(&fleet, "the_guides_job_runs_as_printed", guide::runs_as_printed);
    suite.test_on(&fleet, "a_failing_index_fails_the_job_at_its_limit", limits::backoff_limit);
    suite.test_on(&fleet, "a_failed_job_stops_its_other_attempts", limits::others_are_stopped);
    suite.test_on(&fleet, "a_container_that_fails_once_is_tried_again", limits::one_retry);
    suite.test_on(&fleet, "on_failure_restarts_in_place_and_counts", rules::on_failure);
    suite.test_on(&fleet, "on_failure_ends_at_its_limit", rules::on_failure_limit);
    suite.test_on(&fleet, "not_indexed_with_completions", rules::not_indexed);
    suite.test_on(&fleet, "a_work_queue_ends_with_its_workers", rules::work_queue);
    suite.test_on(&fleet, "a_deadline_fails_the_job", rules::deadline);
    suite.test_on(&fleet, "a_ttl_removes_the_finished_job", rules::ttl);
    suite.test_on(&fleet, "a_job_created_suspended_waits", rules::created_suspended);
    suite.test_on(&fleet, "parallelism_can_be_changed", rules::parallelism_changes);
    suite.test_on(&fleet, "the_readmes_rule_allows_one_try", rules::at_most_one_try);
    suite.test_on(&fleet, "an_image_that_does_not_exist", outcomes::no_image);
    suite.test_on(&fleet, "a_command_that_does_not_exist", outcomes::no_command);
    suite.test_on(&fleet, "a_container_out_of_memory", outcomes::out_of_memory);
    suite.test_on(&fleet, "an_image_is_pulled_from_a_registry", outcomes::pulled_image);
    suite.test_on(&fleet, "a_container_gets_what_its_template_says", template::container_fields);
    suite.test_on(&fleet, "volumes_are_mounted", template::volumes);
    suite.test_on(&fleet, "kubectl_manages_a_job", kubectl::manages);
    suite.test_on(&fleet, "kubectl_applies_and_patches", kubectl::applies);
    suite.test_on(&fleet, "kubectl_watches", kubectl::watches);
    suite.test_on(&fleet, "kubectl_shows_nodes_and_versions", kubectl::nodes);
    suite.test_on(&fleet, "run_shows_the_way_to_the_end", command_line::run);
    suite.test_on(&fleet, "run_gives_up_at_its_timeout", command_line::run_timeout);
    suite.test_on(&fleet, "the_command_line_manages_a_job", command_line::manages);
    suite.test_on(&fleet, "logs_of_a_job_name_the_index", command_line::logs);
    suite.test_on(&fleet, "wait_ends_by_condition_or_timeout", command_line::wait);
    suite.test_on(&fleet, "suspend_and_resume", command_line::suspend);
    suite.test_on(&fleet, "completion_and_version", command_line::completion);

    suite.test_on(&small, "a_deleted_job_leaves_nothing", stop::deleted);
    suite.test_on(&small, "a_suspended_job_stops_and_goes_on", stop::suspended);
    suite.test("the_archive_outlives_the_job", archive::outlives_the_job);
    suite.test("the_null_runtime_is_never_an_accident", null::no_accident);

    Ok(suite.run())
}
