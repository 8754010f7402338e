//! Jobs while parts of the cluster are killed, frozen, cut off or lose what they held.

mod faults {
    pub(crate) mod adoption;
    pub(crate) mod coordinator;
    pub(crate) mod deadline;
    pub(crate) mod full;
    pub(crate) mod heartbeat;
    pub(crate) mod host;
    pub(crate) mod rabbitmq;
    pub(crate) mod redis_cluster;
    pub(crate) mod releases;
    pub(crate) mod replies;
    pub(crate) mod servers;
    pub(crate) mod steady;
    pub(crate) mod worker;
}

use std::process::ExitCode;

use anyhow::Result;
use longshore_tests::Suite;

use faults::{
    adoption, coordinator, deadline, full, heartbeat, host, rabbitmq, redis_cluster, releases,
    replies, servers, worker,
};

/// The longest come first, so that the others run beside them. Three at once: each has a cluster of its
/// own, and a machine that is too busy for them is a fault of another kind.
fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(3)?;
    suite.test("redis_is_gone_for_30_s", servers::redis_30_s);
    suite.test("rabbitmq_is_gone_for_30_s", servers::rabbitmq_30_s);
    suite.test("redis_or_rabbitmq_is_gone_for_5_s", servers::both_5_s);
    suite.test("a_master_of_a_redis_cluster_is_killed", redis_cluster::master_killed);
    suite.test("tickets_are_purged", servers::tickets_purged);
    suite.test("a_node_of_rabbitmq_is_lost", rabbitmq::node_lost);
    suite.test("rabbitmq_raises_an_alarm", rabbitmq::alarm);
    suite.test("rabbitmq_closes_what_it_serves", rabbitmq::closes);
    suite.test("a_ticket_that_no_worker_survives", rabbitmq::poison);
    suite.test("a_worker_is_killed", worker::killed);
    suite.test("a_worker_and_its_docker_daemon_are_killed", worker::killed_with_its_daemon);
    suite.test("every_lost_container_ends_at_its_deadline", deadline::met);
    suite.test("the_last_words_of_a_lost_container", heartbeat::last_words);
    suite.test("a_worker_is_restarted", worker::restarted);
    suite.test("pods_are_taken_up_wherever_their_containers_are", adoption::everywhere);
    suite.test("all_workers_are_restarted_in_turn", worker::all_restarted);
    suite.test("two_releases_run_side_by_side", releases::side_by_side);
    suite.test("a_release_is_left_behind", releases::left_behind);
    suite.test("redis_has_no_memory_left", full::memory);
    suite.test("redis_has_no_disk_left", full::disk);
    suite.test("a_worker_is_drained", worker::drained);
    suite.test("a_docker_daemon_hangs", host::daemon_hangs);
    suite.test("a_docker_daemon_is_upgraded", host::daemon_upgraded);
    suite.test("a_hosts_disk_is_full", host::disk_full);
    suite.test("the_only_coordinator_is_killed", coordinator::killed);
    suite.test("an_owner_is_killed_among_three", coordinator::owner_killed);
    suite.test("a_lost_reply_of_create", replies::create);
    suite.test("a_lost_reply_of_claim_and_finish", replies::claim_and_finish);
    suite.test("a_lost_reply_of_delete", replies::delete);
    Ok(suite.run())
}
