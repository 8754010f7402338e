//! Pods with all that a template can ask for: several containers, volumes, ConfigMaps and Secrets, security
//! contexts, limits.

mod templates {
    pub(crate) mod containers;
    pub(crate) mod fields;
    pub(crate) mod images;
    pub(crate) mod lost;
    pub(crate) mod secrets;
}

use std::process::ExitCode;

use anyhow::Result;
use longshore_tests::{Options, Shared, Suite};

use templates::{containers, fields, images, lost, secrets};

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new(4)?;
    let claims = fields::claim_folder();
    let options = Options::workers(2, 4).set("POLICY__CLAIMS__DATA", claims);
    let cluster = Shared::new(options);
    suite.test_on(&cluster, "init_containers_run_in_order_before_all_others", containers::init);
    suite.test_on(&cluster, "a_failing_init_container_fails_its_pod", containers::failing_init);
    suite.test_on(&cluster, "containers_of_a_pod_share_a_network", containers::network);
    suite.test_on(&cluster, "a_sidecar_ends_with_the_others", containers::sidecar);
    suite.test_on(&cluster, "one_container_of_several_is_restarted_in_place", containers::restart);
    suite.test_on(&cluster, "one_that_cannot_start_ends_the_others", containers::never_there);
    suite.test_on(&cluster, "a_policy_may_name_a_container", containers::policy);
    suite.test_on(&cluster, "a_suspended_pod_stops_all_its_containers", containers::suspend);
    suite.test_on(&cluster, "a_pod_beyond_a_limit_of_its_own_fails", fields::limits);
    suite.test_on(&cluster, "images_of_every_kind_run_as_they_say", images::run);
    suite.test_on(&cluster, "a_template_is_carried_out", fields::carried_out);
    suite.test_on(&cluster, "what_the_cluster_does_not_allow_is_refused", fields::refused);
    suite.test("a_secret_is_nowhere_in_the_clear", secrets::nowhere_in_the_clear);
    suite.test_on(&cluster, "a_private_registry_is_shown_the_pods_secret", secrets::registry);
    suite.test_on(&cluster, "config_maps_are_waited_for", secrets::config_map);
    suite.test("several_containers_end_with_their_worker", lost::killed);
    Ok(suite.run())
}
