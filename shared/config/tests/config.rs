//! What good configurations load to: the example, every setting, overrides, tokens, the choice of the file.
#![expect(clippy::disallowed_methods, reason = "it writes what it made up")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amfj_sync_config::{
    self as config, Assignment, Bulk, Config, CreateDevices, CreateUsers, FirstAssignment, Loaded, Mode,
    NameMatching, OnEmpty, ProfileSource, Secret, Tokens, WhenGone,
};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::mapping::SourceLocation;

const EXAMPLE: &str = include_str!("../../../amfj-sync.example.toml");
const EVERYTHING: &str = include_str!("fixtures/config/good/everything.toml");

fn environment(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    [("KANDJI_TOKEN", "kandji-hunter2"), ("AMFJ_TOKEN", " amfj-hunter2\n")]
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn shown(token: Option<&Secret>) -> &str {
    token.map_or("", Secret::expose)
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn load(text: impl Into<String>, more: &[(&str, &str)]) -> Loaded {
    config::parse(Path::new("amfj-sync.toml"), text, &environment(more), Tokens::Both)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// Everything but where it stands, to compare configurations that were written differently.
fn without_places(config: &Config) -> String {
    let mut config = config.clone();
    for integration in &mut config.integrations {
        integration.places.clear();
    }
    format!("{config:#?}")
}

#[test]
fn the_example_loads_to_the_documented_defaults() {
    let Loaded { config, warnings, path, .. } = load(EXAMPLE, &[]);
    assert_eq!((warnings.as_slice(), path.to_str()), ([].as_slice(), Some("amfj-sync.toml")));
    assert_eq!(config.broker.url.expose(), "amqp://guest:guest@127.0.0.1:5672/%2f");
    assert_eq!((config.broker.partitions, config.broker.prefix.as_str()), (4, "amfj-sync"));
    assert_eq!(config.broker.dead_letter_keep, Duration::from_hours(90 * 24));
    assert_eq!(config.fetcher.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(config.reconciler.listen.to_string(), "127.0.0.1:9465");
    assert_eq!(config.writer.listen.to_string(), "127.0.0.1:9466");
    assert_eq!(config.fetcher.data_dir, Path::new("var/fetcher"));
    assert_eq!(config.reconciler.data_dir, Path::new("var/reconciler"));
    assert_eq!(config.writer.data_dir, Path::new("var/writer"));
    assert_eq!(config.writer.concurrency, 16);
    let retry = &config.retry;
    assert_eq!(
        (retry.initial, retry.max, retry.give_up_after),
        (Duration::from_millis(500), seconds(60), seconds(900))
    );
    let timing = &config.timing;
    assert_eq!((timing.probe_interval, timing.ownership_interval), (seconds(15), seconds(1)));
    assert_eq!((timing.run_retry_initial, timing.run_retry_max), (seconds(10), seconds(900)));
    assert_eq!((timing.connect_timeout, timing.broker_reconnect_max), (seconds(10), seconds(30)));
    assert_eq!((timing.checkpoint_every, timing.change_lost_after), (seconds(86_400), seconds(86_400)));

    let [acme] = config.integrations.as_slice() else { panic!("one integration") };
    assert_eq!((acme.id.as_str(), acme.mode, acme.interval), ("acme", Mode::Plan, seconds(3600)));
    assert!(acme.apply_only.is_empty() && acme.asset_types.is_empty());
    assert_eq!(acme.scope, config::Scope::default());
    assert_eq!(acme.kandji.api_url.as_str(), "https://acme.api.kandji.io/");
    assert_eq!((shown(acme.kandji.token.as_ref()), acme.kandji.requests_per_hour), ("kandji-hunter2", 6_000));
    assert_eq!(acme.kandji.request_timeout, seconds(30));
    assert_eq!(acme.amfj.api_url.as_str(), "https://api.assetmanagementforjira.com/v1");
    assert_eq!((shown(acme.amfj.token.as_ref()), acme.amfj.requests_per_second), ("amfj-hunter2", 20));
    assert_eq!((acme.amfj.list_delay, acme.amfj.request_timeout), (seconds(60), seconds(30)));
    assert_eq!((&acme.amfj.profile, &acme.amfj.token_url), (&ProfileSource::BuiltIn("assumed-v1"), &None));
    let sync = &acme.sync;
    assert_eq!((sync.default_asset_type.as_str(), &sync.default_location), ("Laptop", &None));
    assert_eq!((sync.create_devices, sync.name_matching), (CreateDevices::Never, NameMatching::FirstSync));
    assert_eq!((sync.create_users, sync.auto_checkout), (CreateUsers::Linked, false));
    assert_eq!((sync.first_assignment, sync.assignment), (FirstAssignment::TakeOver, Assignment::OnChange));
    assert!(sync.no_checkout_users.is_empty() && !sync.allow_empty);
    assert_eq!((sync.on_empty, sync.when_gone), (OnEmpty::Keep, WhenGone::Report));
    assert_eq!((sync.gone_limit.get(), sync.change_limit.get()), (10, 10));
    assert_eq!(sync.history_keep, seconds(400 * 24 * 3600));
    assert_eq!((sync.longest_list, sync.longest_run), (250_000, seconds(6 * 3600)));
    assert_eq!(
        acme.fields.iter().map(|(field, _)| field).collect::<Vec<_>>(),
        ["OS Version", "Serial Number"]
    );
    assert_eq!(acme.fields.field_of("serial_number"), Some("Serial Number"));
    assert!(!acme.fields.needs_details() && acme.user_fields.is_empty());
}

/// Whether the example shows, behind its '#', what a value really defaults to.
#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    let not_defaults =
        ["include =", "exclude =", "iPhone =", "default_location =", "\"Memory\" =", "\"Name\" ="];
    let written_out: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(set) if not_defaults.iter().any(|key| set.starts_with(key)) => format!("{line}\n"),
            Some(set) if set.starts_with('[') => format!("{set}\n"),
            Some(set) if set.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                format!("{set}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(
        written_out.matches("\nhistory_keep").count() == 1
            && written_out.contains("\nprofile = \"assumed-v1\"")
    );
    let lines_with_value =
        |text: &str| text.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
    assert!(lines_with_value(&written_out) >= lines_with_value(EXAMPLE) + 28, "{written_out}");
    assert_eq!(without_places(&load(written_out, &[]).config), without_places(&load(EXAMPLE, &[]).config));
}

#[test]
fn the_settings_that_the_example_suggests_load_too() {
    let suggested =
        ["include =", "exclude =", "iPhone =", "default_location =", "\"Memory\" =", "\"Name\" ="];
    let text: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(set) if suggested.iter().any(|key| set.starts_with(key)) => format!("{set}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let Loaded { config, warnings, .. } = load(text, &[]);
    let acme = &config.integrations[0];
    assert_eq!(warnings, []);
    assert_eq!(acme.scope.include.platform, ["Mac", "iPhone", "iPad"]);
    assert_eq!(acme.sync.default_location.as_deref(), Some("HQ"));
    assert!(acme.fields.needs_details());
    assert_eq!(acme.user_fields.field_of("user.name"), Some("Name"));
}

#[test]
fn every_setting_is_read() {
    let config = load(EVERYTHING, &[]).config;
    assert_eq!(config.broker.url.expose(), "amqps://sync:hunter2@mq.example.com:5671/prod");
    assert_eq!((config.broker.partitions, config.broker.prefix.as_str()), (8, "sync-test"));
    assert_eq!(config.broker.dead_letter_keep, Duration::from_hours(30 * 24));
    assert_eq!((config.fetcher.listen.port(), config.fetcher.data_dir.to_str()), (0, Some("/var/lib/f")));
    assert_eq!(config.reconciler.listen.to_string(), "[::1]:1");
    assert_eq!((config.writer.listen.to_string().as_str(), config.writer.concurrency), ("0.0.0.0:2", 3));
    assert_eq!(config.retry.give_up_after, Duration::from_mins(25));
    assert_eq!(config.timing.probe_interval, Duration::from_millis(1));
    assert_eq!(config.timing.broker_reconnect_max, Duration::from_millis(6));
    assert_eq!(config.timing.checkpoint_every, Duration::from_millis(8));
    assert_eq!(config.timing.change_lost_after, Duration::from_millis(9));
    let acme = config.integration(&IntegrationId::new("acme-eu").unwrap()).unwrap();
    assert_eq!((acme.mode, acme.interval), (Mode::Apply, Duration::from_mins(30)));
    assert_eq!(acme.apply_only, BTreeSet::from(["C02TEST00001".to_owned(), "C02TEST00002".to_owned()]));
    assert_eq!(acme.kandji.api_url.as_str(), "https://acme.api.eu.kandji.io/");
    assert_eq!((acme.kandji.requests_per_hour, acme.kandji.request_timeout), (1, Duration::from_secs(7)));
    assert_eq!(acme.kandji.bulk, Bulk::Prism);
    assert_eq!(acme.amfj.api_url.as_str(), "http://127.0.0.1:8080/v1");
    assert_eq!((acme.amfj.requests_per_second, acme.amfj.list_delay), (2, Duration::ZERO));
    assert_eq!(acme.amfj.profile, ProfileSource::File("profiles/amfj.toml".into()));
    assert_eq!(acme.amfj.client_id.as_deref(), Some("amfj-sync"));
    assert_eq!(acme.amfj.token_url.as_ref().map(url::Url::as_str), Some("https://login.example.com/token"));
    assert_eq!(acme.scope.exclude.tag, ["personal"]);
    assert_eq!((acme.asset_type_for("iphone"), acme.asset_type_for("Mac")), ("Phone", "Laptop"));
    let sync = &acme.sync;
    assert_eq!(sync.default_location.as_deref(), Some("HQ"));
    assert_eq!((sync.create_devices, sync.name_matching), (CreateDevices::Always, NameMatching::UntilLinked));
    assert_eq!((sync.create_users, sync.auto_checkout), (CreateUsers::All, true));
    assert_eq!((sync.first_assignment, sync.assignment), (FirstAssignment::Keep, Assignment::Enforce));
    assert_eq!(sync.no_checkout_users, BTreeSet::from(["loan@example.com".to_owned()]));
    assert_eq!((sync.on_empty, sync.when_gone), (OnEmpty::Clear, WhenGone::CheckIn));
    assert_eq!((sync.gone_limit.get(), sync.change_limit.get(), sync.allow_empty), (0, 100, true));
    assert_eq!((sync.longest_list, sync.longest_run), (77, Duration::from_secs(7)));
    assert_eq!(sync.history_keep, Duration::from_hours(24));
    assert_eq!(acme.fields.len(), 3);
    let two = config.integration(&IntegrationId::new("two").unwrap()).unwrap();
    assert_eq!((two.mode, two.amfj.requests_per_second), (Mode::Plan, 20));
}

#[test]
fn p18_every_value_knows_its_line() {
    let config =
        load(EVERYTHING, &[("AMFJ_SYNC__INTEGRATION__ACME_EU__SYNC__DEFAULT_LOCATION", "Attic")]).config;
    let acme = &config.integrations[0];
    let line_of = |text: &str| EVERYTHING.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    for (key, text) in [
        ("id", "id = "),
        ("sync.default_asset_type", "default_asset_type"),
        ("asset_types.iPhone", "\"iPhone\""),
        ("fields.Memory", "\"Memory\""),
        ("user_fields.Name", "\"Name\""),
        ("kandji.token", "token"),
    ] {
        let expected = SourceLocation::Line { file: "amfj-sync.toml".into(), line: line_of(text) };
        assert_eq!(acme.place_of(key), Some(&expected), "{key}");
    }
    let memory = acme.fields.get("Memory").unwrap();
    assert_eq!(memory.place.to_string(), format!("amfj-sync.toml:{}", line_of("\"Memory\"")));
    assert_eq!(
        acme.place_of("sync.default_location").unwrap().to_string(),
        "AMFJ_SYNC__INTEGRATION__ACME_EU__SYNC__DEFAULT_LOCATION"
    );
    assert_eq!(config.integrations[1].place_of("sync.default_location"), None);
}

#[test]
fn any_value_can_be_set_from_the_environment() {
    let config = load(
        EVERYTHING,
        &[
            ("AMFJ_SYNC__BROKER__URL", "amqp://other.example.com"),
            ("AMFJ_SYNC__BROKER__PARTITIONS", "16"),
            ("AMFJ_SYNC__BROKER__PREFIX", "\"quoted\""),
            ("AMFJ_SYNC__RETRY__MAX", "90s"),
            ("AMFJ_SYNC__TIMING__CONNECT_TIMEOUT", "7ms"),
            ("AMFJ_SYNC__INTEGRATION__ACME_EU__MODE", "plan"),
            ("AMFJ_SYNC__INTEGRATION__ACME_EU__APPLY_ONLY", "[\"A\", 'B']"),
            ("AMFJ_SYNC__INTEGRATION__acme_eu__AMFJ__API_URL", "https://a.example.com"),
            ("AMFJ_SYNC__INTEGRATION__0__SYNC__AUTO_CHECKOUT", "false"),
            ("AMFJ_SYNC__INTEGRATION__0__SYNC__NO_CHECKOUT_USERS", "[]"),
            ("AMFJ_SYNC__INTEGRATION__0__SCOPE__INCLUDE", "{ tag = [\"x\"] }"),
            ("AMFJ_SYNC__INTEGRATION__0__FIELDS__SERIAL_NUMBER", "asset_tag"),
            ("AMFJ_SYNC__INTEGRATION__0__FIELDS__Model", "model"),
            ("AMFJ_SYNC__INTEGRATION__0__ASSET_TYPES__IPHONE", "Mobile"),
            ("AMFJ_SYNC__INTEGRATION__TWO__SYNC__DEFAULT_LOCATION", "12"),
            ("AMFJ_SYNC__INTEGRATION__1__USER_FIELDS", "{ Name = \"user.name\" }"),
            ("AMFJ_SYNC_TEST_BROKER", "not an override: one underscore"),
        ],
    )
    .config;
    assert_eq!(config.broker.url.expose(), "amqp://other.example.com");
    assert_eq!((config.broker.partitions, config.broker.prefix.as_str()), (16, "quoted"));
    assert_eq!(config.retry.max, Duration::from_secs(90));
    assert_eq!(config.timing.connect_timeout, Duration::from_millis(7));
    let [acme, two] = config.integrations.as_slice() else { panic!("two integrations") };
    assert_eq!(acme.mode, Mode::Plan);
    assert_eq!(acme.apply_only, BTreeSet::from(["A".to_owned(), "B".to_owned()]));
    assert_eq!(acme.amfj.api_url.as_str(), "https://a.example.com/");
    assert!(!acme.sync.auto_checkout && acme.sync.no_checkout_users.is_empty());
    assert_eq!(
        (acme.scope.include.tag.as_slice(), acme.scope.include.platform.len()),
        (["x".to_owned()].as_slice(), 0)
    );
    assert_eq!(
        (acme.fields.field_of("asset_tag"), acme.fields.field_of("model")),
        (Some("Serial Number"), Some("Model"))
    );
    assert_eq!((acme.fields.len(), acme.asset_type_for("iPhone")), (4, "Mobile"));
    assert_eq!(two.sync.default_location.as_deref(), Some("12"));
    assert_eq!(two.user_fields.field_of("user.name"), Some("Name"));
}

#[test]
fn an_integration_whose_id_is_a_number_goes_before_a_position() {
    let text = EVERYTHING.replace("id = \"two\"", "id = \"0\"");
    let config = load(
        text,
        &[("AMFJ_SYNC__INTEGRATION__0__MODE", "apply"), ("AMFJ_SYNC__INTEGRATION__ACME_EU__MODE", "plan")],
    )
    .config;
    assert_eq!((config.integrations[0].mode, config.integrations[1].mode), (Mode::Plan, Mode::Apply));
}

#[test]
fn tokens_come_from_a_file_or_from_an_override_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amfj");
    std::fs::write(&file, "from-file-hunter2\n").unwrap();
    let file = file.to_str().unwrap();
    let loaded = load(
        EVERYTHING,
        &[
            ("AMFJ_SYNC__INTEGRATION__ACME_EU__AMFJ__TOKEN__FILE", file),
            ("AMFJ_SYNC__INTEGRATION__ACME_EU__KANDJI__TOKEN", "direct-hunter2"),
            ("AMFJ_SYNC__INTEGRATION__TWO__KANDJI__TOKEN", "{ env = \"OTHER\" }"),
            ("OTHER", "other-hunter2"),
        ],
    );
    let [acme, two] = loaded.config.integrations.as_slice() else { panic!("two integrations") };
    assert_eq!(shown(acme.amfj.token.as_ref()), "from-file-hunter2");
    assert_eq!(shown(acme.kandji.token.as_ref()), "direct-hunter2");
    assert_eq!(shown(two.kandji.token.as_ref()), "other-hunter2");
    assert_eq!(shown(two.amfj.token.as_ref()), "amfj-hunter2");
}

#[cfg(unix)]
#[test]
fn a_token_may_be_missing_where_nobody_sends_it() {
    let mut variables = environment(&[]);
    variables.remove("KANDJI_TOKEN");
    let path = Path::new("amfj-sync.toml");
    let asked = |tokens| config::parse(path, EXAMPLE, &variables, tokens);
    let error = asked(Tokens::Both).unwrap_err().to_string();
    assert!(error.contains("KANDJI_TOKEN is not set"), "{error}");
    let writers = asked(Tokens::Amfj).unwrap().config;
    assert_eq!(shown(writers.integrations[0].amfj.token.as_ref()), "amfj-hunter2");
    assert!(writers.integrations[0].kandji.token.is_none());
    variables.clear();
    let asked = |tokens| config::parse(path, EXAMPLE, &variables, tokens);
    assert!(asked(Tokens::Amfj).unwrap_err().to_string().contains("AMFJ_TOKEN is not set"));
    assert!(asked(Tokens::None).is_ok(), "the reconciler has no credentials");
}

/// What a worker does not hold cannot be taken from it, and what is wrong with it is not its business.
#[test]
fn a_token_that_a_worker_does_not_send_is_not_kept_even_where_it_is_there() {
    let path = Path::new("amfj-sync.toml");
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("kandji");
    std::fs::write(&open, "from-file-hunter2\n").unwrap();
    let in_file = EXAMPLE.replacen("{ env = \"KANDJI_TOKEN\" }", &format!("{{ file = {open:?} }}"), 1);
    let direct = [("AMFJ_SYNC__INTEGRATION__0__KANDJI__TOKEN", "direct-hunter2")];
    let empty = [("KANDJI_TOKEN", "")];
    for (text, more) in [(EXAMPLE, &[][..]), (&in_file, &[]), (EXAMPLE, &direct), (EXAMPLE, &empty)] {
        let asked = |tokens| config::parse(path, text, &environment(more), tokens).unwrap();
        let writers = asked(Tokens::Amfj);
        assert!(writers.config.integrations[0].kandji.token.is_none());
        assert_eq!(shown(writers.config.integrations[0].amfj.token.as_ref()), "amfj-hunter2");
        assert!(writers.warnings.is_empty(), "{:?}", writers.warnings);
        let reconcilers = asked(Tokens::None).config;
        assert!(reconcilers.integrations[0].kandji.token.is_none());
        assert!(reconcilers.integrations[0].amfj.token.is_none());
    }
    let loaded = config::parse(path, EXAMPLE, &environment(&direct), Tokens::None).unwrap();
    let without = |tokens| loaded.token_variables.not_needed_for(tokens).collect::<Vec<_>>();
    assert_eq!(without(Tokens::Both), [""; 0]);
    assert_eq!(without(Tokens::Amfj), ["AMFJ_SYNC__INTEGRATION__0__KANDJI__TOKEN"]);
    assert_eq!(without(Tokens::None), ["AMFJ_SYNC__INTEGRATION__0__KANDJI__TOKEN", "AMFJ_TOKEN"]);
    // A token in place of the name of its variable is a mistake for everybody.
    let pasted = EXAMPLE.replacen("env = \"KANDJI_TOKEN\"", "env = \"1c8a-4d2e!hunter2\"", 1);
    assert!(config::parse(path, pasted, &environment(&[]), Tokens::None).is_err());
}

#[test]
fn a_token_file_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kandji");
    std::fs::write(&file, "hunter2").unwrap();
    let text = EVERYTHING.replacen("{ env = \"KANDJI_TOKEN\" }", &format!("{{ file = {file:?} }}"), 1);
    let line = text.lines().position(|line| line.contains("file = ")).unwrap() + 1;
    for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings: Vec<String> =
            load(text.as_str(), &[]).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), usize::from(warned), "{mode:o}");
        for warning in warnings {
            assert!(
                warning.starts_with(&format!("amfj-sync.toml:{line}: ")) && warning.contains("chmod 600"),
                "{warning}"
            );
            assert!(!warning.contains("hunter2"), "{warning}");
        }
    }
}

#[test]
fn a_platform_that_kandji_does_not_have_is_a_warning() {
    let text = EVERYTHING
        .replace("[\"Mac\", \"iPhone\"]", "[\"Macs\", \"iphone\"]")
        .replace("\"iPhone\" =", "\"iPda\" =");
    let warnings: Vec<String> =
        load(text, &[]).warnings.iter().map(|warning| warning.message.clone()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("\"Macs\"; did you mean \"Mac\"?"), "{warnings:?}");
    assert!(warnings[1].contains("\"iPda\"; did you mean \"iPad\"?"), "{warnings:?}");
}

#[test]
fn p27_no_secret_is_in_the_debug_or_display_of_anything() {
    let loaded = load(EVERYTHING, &[]);
    let shown = format!(
        "{loaded:?} {loaded:#?} {} {}",
        loaded.config.broker.url,
        loaded.config.integrations[0].amfj.token.as_ref().unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("amqps://sync:***@mq.example.com:5671/prod"), "{shown}");
}

#[test]
fn the_file_is_the_argument_else_the_variable_else_the_one_here() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, prefix: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, EVERYTHING.replace("sync-test", prefix)).unwrap();
        path
    };
    let (argument, variable) =
        (write("argument.toml", "from-argument"), write("variable.toml", "from-variable"));
    let variables = environment(&[(config::CONFIG_VARIABLE, variable.to_str().unwrap())]);
    let loaded = config::load(Some(&argument), &variables, Tokens::Both).unwrap();
    assert_eq!((loaded.config.broker.prefix.as_str(), &loaded.path), ("from-argument", &argument));
    let loaded = config::load(None, &variables, Tokens::Both).unwrap();
    assert_eq!((loaded.config.broker.prefix.as_str(), &loaded.path), ("from-variable", &variable));
    let error = config::load(None, &environment(&[(config::CONFIG_VARIABLE, "")]), Tokens::Both)
        .unwrap_err()
        .to_string();
    assert!(error.contains("./amfj-sync.toml"), "{error}");
}

#[test]
fn nothing_that_can_be_written_makes_loading_panic() {
    // Every prefix of the file, as an editor may leave it, and every line removed or doubled.
    for (end, _) in EVERYTHING.char_indices().step_by(3) {
        let _ = config::parse(Path::new("x"), &EVERYTHING[..end], &environment(&[]), Tokens::Both);
    }
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    for removed in 0..lines.len() {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(at, _)| *at != removed).map(|(_, line)| *line).collect();
        if let Err(errors) = config::parse(Path::new("x"), kept.join("\n"), &environment(&[]), Tokens::Both) {
            assert!(!errors.problems().is_empty() && !errors.to_string().contains("hunter2"), "{errors}");
        }
    }
}
