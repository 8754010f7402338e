use std::io::Write;

use super::*;

fn load(
    file: Option<&str>,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Settings, String> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    let file = file.map(|text| (Path::new("longshore.toml"), text));
    Settings::layered(file, &flags, env).map_err(|e| {
        let source = std::error::Error::source(&e).map(|s| format!(" / {s}")).unwrap_or_default();
        format!("{e}{source}")
    })
}

#[test]
fn a_file_is_read_as_its_text_is() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = "[worker]\nslots = 3\n";
    file.write_all(text.as_bytes()).expect("written");
    let loaded = Settings::load(Some(file.path()), &[]).expect("valid");
    let parsed = Settings::parse(file.path(), text, HashMap::new()).expect("valid");
    assert_eq!((loaded.worker.slots, parsed.worker.slots), (3, 3));

    let missing = Path::new("/nowhere/longshore.toml");
    let error = Settings::load(Some(missing), &[]).expect_err("no file").to_string();
    assert!(error.starts_with("/nowhere/longshore.toml: "), "{error}");
}

#[test]
fn later_layers_win() {
    let file = "[worker]\nslots = 3\n[lease]\nlength = \"30s\"\n[log]\nfilter = \"debug\"\n";
    let settings = load(
        Some(file),
        &[("LONGSHORE__WORKER__SLOTS", "4"), ("LONGSHORE__LEASE__LENGTH", "20s")],
        &[("worker.slots", "5")],
    )
    .expect("valid");
    assert_eq!(settings.worker.slots, 5);
    assert_eq!(settings.lease.length, Duration::from_secs(20));
    assert_eq!(settings.log.filter, "debug");
    assert_eq!(settings.coordinator.shards, 16);
}

#[test]
fn nothing_given_means_the_defaults() {
    assert_eq!(load(None, &[], &[]), Ok(Settings::default()));
    assert_eq!(load(Some(""), &[("LONGSHORE__REDIS__URL", "")], &[]), Ok(Settings::default()));
}

#[test]
fn an_unknown_key_in_a_file_is_an_error_that_names_it() {
    let error = load(Some("[worker]\nslot = 3\n"), &[], &[]).expect_err("unknown");
    assert!(error.contains("unknown setting worker.slot; did you mean worker.slots?"), "{error}");
    let error = load(Some("[sails]\ncolour = \"red\"\n"), &[], &[]).expect_err("unknown");
    assert!(error.ends_with("unknown setting sails.colour"), "{error}");
}

#[test]
fn an_unknown_variable_is_only_named() {
    let names =
        ["LONGSHORE__REDIS__ULR", "LONGSHORE__WORKER__NULL__FAIL_RATE", "LONGSHORE_X", "PATH"];
    assert_eq!(unknown_variables(names.map(str::to_owned).into_iter()), ["LONGSHORE__REDIS__ULR"]);
    assert!(load(None, &[("LONGSHORE__REDIS__ULR", "x")], &[]).is_ok());
}

#[test]
fn a_key_is_never_a_path_into_a_list() {
    let error = load(Some("\"a[4000000000]\" = 1\n"), &[], &[]).expect_err("unknown");
    assert!(error.contains("unknown setting a[4000000000]"), "{error}");
    let variables = [
        ("LONGSHORE__WORKER__HOST_PATHS[4000000000]", "/a"),
        ("LONGSHORE__POLICY__CLAIMS__A[4000000000]", "/a"),
    ];
    assert_eq!(load(None, &variables, &[]), Ok(Settings::default()));
    let names = variables.map(|(name, _)| name.to_owned());
    assert_eq!(unknown_variables(names.into_iter()).len(), 2);
}

#[test]
fn values_keep_the_type_of_their_setting() {
    let settings = load(
        None,
        &[
            ("LONGSHORE__COORDINATOR__NAME", "007"),
            ("LONGSHORE__REDIS__URL", "12345"),
            ("LONGSHORE__WORKER__HOST_PATHS", "/data, /srv/in"),
            ("LONGSHORE__WORKER__NULL__FAIL_RATE", "0.25"),
            ("LONGSHORE__WORKER__ALLOW_NULL", "true"),
            ("LONGSHORE__WORKER__RUNTIME", "null"),
            ("LONGSHORE__WORKER__LOG_BYTES", "65536"),
            ("LONGSHORE__LOG__FILTER", "info,lapin=warn"),
        ],
        &[],
    )
    .expect("valid");
    assert_eq!(settings.coordinator.name.as_deref(), Some("007"));
    assert_eq!(settings.redis.url.expose(), "12345");
    assert_eq!(settings.worker.host_paths, [Path::new("/data"), Path::new("/srv/in")]);
    assert_eq!(settings.worker.null.fail_rate, 0.25);
    assert_eq!(settings.worker.runtime, Runtime::Null);
    assert_eq!(settings.worker.log_bytes.0, 65536);
    assert_eq!(settings.log.filter, "info,lapin=warn");
}

#[test]
fn a_bad_value_names_its_key_and_where_it_came_from() {
    let error = load(Some("[lease]\nlength = \"soon\"\n"), &[], &[]).expect_err("no duration");
    assert!(error.contains("lease.length") && error.contains("soon"), "{error}");
    let error = load(None, &[("LONGSHORE__WORKER__SLOTS", "many")], &[]).expect_err("no number");
    assert!(error.contains("worker.slots") && error.contains("environment"), "{error}");
    let error = load(None, &[], &[("worker.slots", "0")]).expect_err("out of range");
    assert_eq!(error, "setting worker.slots: must be at least 1");
}

#[test]
fn each_node_has_a_url_of_its_own() {
    let url = |value| load(None, &[("LONGSHORE__RABBITMQ__URL", value)], &[]);
    url("amqp://u:a,b@h1/%2f, amqps://u:a,b@h2:5671/%2f").expect("two nodes");
    for wrong in ["amqp://u:p@h1:5672,h2:5672/%2f", "amqp://h1,", "amqp://h1,,amqp://h2"] {
        let error = url(wrong).expect_err(wrong);
        assert!(error.starts_with("setting rabbitmq.url: must be a URL for each node"), "{error}");
    }
}

#[test]
fn claims_have_names_of_their_own() {
    let file = "[policy]\ncapabilities = [\"NET_ADMIN\"]\n[policy.claims]\nmy-data = \"/srv/a\"\n";
    let shared = [("LONGSHORE__POLICY__CLAIMS__SHARED", "nfs://nas/export")];
    let settings = load(Some(file), &shared, &[]).expect("valid");
    let claims = &settings.policy.claims;
    assert_eq!((&*claims["my-data"], &*claims["shared"]), ("/srv/a", "nfs://nas/export"));
    assert_eq!(settings.policy.capabilities, ["NET_ADMIN"]);
    for place in ["data", "nfs://nas", "nfs:///export"] {
        let file = format!("[policy.claims]\na = \"{place}\"\n");
        let error = load(Some(&file), &[], &[]).expect_err(place);
        assert!(error.starts_with("setting policy.claims: must map"), "{error}");
    }
}

#[test]
fn the_null_runtime_needs_two_words() {
    let error = load(None, &[], &[("worker.runtime", "null")]).expect_err("one word");
    assert!(error.contains("worker.allow_null"), "{error}");
}

/// deploy/longshore.toml lists every setting, each with its default, commented
/// out: with the comment signs of the settings removed it must load, name every
/// key, and change nothing.
#[test]
fn the_annotated_file_lists_every_setting_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/longshore.toml");
    let text = std::fs::read_to_string(&path).expect("deploy/longshore.toml");
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let value: Value = Config::builder()
        .add_source(File::from_str(&uncommented, FileFormat::Toml))
        .build()
        .and_then(Config::try_deserialize)
        .expect("valid TOML");
    let mut listed = BTreeSet::new();
    collect_keys(&value, "", &mut listed);
    assert_eq!(listed, known_keys());

    let mut settings = load(Some(&uncommented), &[], &[]).expect("valid settings");
    settings.coordinator.name = None;
    settings.worker.name = None;
    assert_eq!(settings, Settings::default());
    assert_eq!(load(Some(&text), &[], &[]), Ok(Settings::default()));
}

#[test]
fn debug_and_serde_show_no_password() {
    let settings =
        load(None, &[("LONGSHORE__RABBITMQ__URL", "amqp://u:hunter2@h/")], &[]).expect("valid");
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&settings).expect("serializable").contains("hunter2"));
}
