//! Kubernetes' own end-to-end tests of Jobs (`test/e2e/apps/job.go` and `ttl_after_finished.go`), each on
//! real containers and by the name that it has there.
//!
//! Not here: Pods have no life of their own, so none is adopted or released ("should adopt matching
//! orphans and release non-matching pods").

mod acceptance {
    pub(crate) mod completion;
    pub(crate) mod deletion;
    pub(crate) mod failure_policy;
    pub(crate) mod limits;
    pub(crate) mod per_index;
    pub(crate) mod status;
    pub(crate) mod success_policy;
    pub(crate) mod suspend;
}

use std::process::ExitCode;

use anyhow::Result;
use longshore_tests::{Options, Shared, Suite};

use acceptance::{
    completion, deletion, failure_policy, limits, per_index, success_policy, suspend,
};

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(4)?;
    let options = Options::workers(2, 6).set("WORKER__HOST_PATHS", "/tmp/longshore-tests");
    let cluster = Shared::new(options);
    suite.test_on(
        &cluster,
        "should_run_a_job_to_completion_when_tasks_succeed",
        completion::succeed,
    );
    suite.test_on(
        &cluster,
        "should_allow_to_use_the_pod_failure_policy_on_exit_code_to_fail_the_job_early",
        failure_policy::fail_early,
    );
    suite.test_on(
        &cluster,
        "should_allow_to_use_a_pod_failure_policy_to_ignore_failure_matching_on_exit_code",
        failure_policy::ignore_exit_code,
    );
    suite.test_on(&cluster, "should_allow_to_use_a_pod_failure_policy_to_ignore_failure_matching_on_disruption_target_condition", failure_policy::ignore_disruption);
    suite.test_on(&cluster, "should_allow_to_use_the_pod_failure_policy_to_not_count_the_failure_towards_the_backoff_limit", failure_policy::not_counted);
    suite.test_on(&cluster, "should_allow_to_use_a_pod_failure_policy_to_ignore_failure_for_an_evicted_pod_matching_on_the_exit_code", failure_policy::ignore_evicted_by_exit_code);
    suite.test_on(
        &cluster,
        "should_not_create_pods_when_created_in_suspend_state",
        suspend::created_suspended,
    );
    suite.test_on(&cluster, "should_delete_pods_when_suspended", suspend::pods_are_deleted);
    suite.test_on(&cluster, "should_recreate_pods_only_after_they_have_failed_if_pod_replacement_policy_is_set_to_failed", deletion::replaced_after_failure);
    suite.test_on(
        &cluster,
        "should_create_pods_for_an_indexed_job_with_completion_indexes_and_specified_hostname",
        completion::hostnames,
    );
    suite.test_on(
        &cluster,
        "should_create_pods_with_completion_indexes_for_an_indexed_job",
        completion::index_labels,
    );
    suite.test_on(
        &cluster,
        "with_success_policy_should_succeeded_when_all_indexes_succeeded",
        success_policy::all,
    );
    suite.test_on(&cluster, "with_success_policy_succeeded_indexes_rule_should_succeeded_even_when_some_indexes_remain_pending", success_policy::indexes);
    suite.test_on(&cluster, "with_success_policy_succeeded_count_rule_should_succeeded_even_when_some_indexes_remain_pending", success_policy::count);
    suite.test_on(
        &cluster,
        "should_execute_all_indexes_despite_some_failing_when_using_backoff_limit_per_index",
        per_index::all_are_executed,
    );
    suite.test_on(&cluster, "should_terminate_job_execution_when_the_number_of_failed_indexes_exceeds_max_failed_indexes", per_index::max_failed_indexes);
    suite.test_on(
        &cluster,
        "should_record_the_failure_count_in_the_pod_annotation_when_using_backoff_limit_per_index",
        per_index::annotations,
    );
    suite.test_on(
        &cluster,
        "should_mark_indexes_as_failed_when_the_fail_index_action_is_matched_in_pod_failure_policy",
        per_index::fail_index,
    );
    suite.test_on(&cluster, "should_remove_pods_when_job_is_deleted", deletion::pods_are_removed);
    suite.test_on(
        &cluster,
        "should_run_a_job_to_completion_when_tasks_sometimes_fail_and_are_locally_restarted",
        completion::restarted_locally,
    );
    suite.test_on(
        &cluster,
        "should_run_a_job_to_completion_when_tasks_sometimes_fail_and_are_not_locally_restarted",
        completion::not_restarted_locally,
    );
    suite.test_on(&cluster, "should_fail_when_exceeds_active_deadline", limits::deadline);
    suite.test_on(&cluster, "should_delete_a_job", deletion::job);
    suite.test_on(&cluster, "should_fail_to_exceed_backoff_limit", limits::backoff_limit);
    suite.test_on(&cluster, "should_update_the_status_ready_field", suspend::ready_field);
    suite.test_on(
        &cluster,
        "should_allow_to_delegate_reconciliation_to_external_controller",
        suspend::managed_elsewhere,
    );
    suite.test_on(
        &cluster,
        "job_should_be_deleted_once_it_finishes_after_ttl_seconds",
        deletion::after_ttl,
    );
    Ok(suite.run())
}
