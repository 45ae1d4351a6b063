//! `amfj-sync init`, as a person and as a script call it.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]
#![expect(clippy::disallowed_methods, reason = "it writes what it made up")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use amfj_sync_config::{Config, Tokens, load};
use amfj_sync_security::private_files::write_file;
use amfj_sync_tests::harness::Scratch;
use amfj_sync_tests::sim::amfj::{AmfjOptions, AmfjSim};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::{AssetKind, Fleet, FleetSpec, Site, Traps};
use amfj_sync_tests::sim::kandji::{KandjiOptions, KandjiSim};

mod on_a_terminal;
mod terminal;

/// A tenant and a site, and an empty folder.
struct Setting {
    kandji: KandjiSim,
    amfj: AmfjSim,
    scratch: Scratch,
}

impl Setting {
    async fn new() -> Self {
        Self::with(30, |_| {}).await
    }

    async fn with(devices: usize, change: impl FnOnce(&mut Site)) -> Self {
        let mut fleet = Fleet::generate(FleetSpec { devices, seed: 3, traps: Traps::None });
        change(&mut fleet.site);
        let kandji = KandjiSim::start(&fleet, KandjiOptions::default()).await.unwrap();
        let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
        let new = Self { kandji, amfj, scratch: Scratch::new().unwrap() };
        write_file(&new.folder().join("k"), format!(" {}\n", new.kandji.token())).unwrap();
        write_file(&new.folder().join("a"), new.amfj.token()).unwrap();
        new
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().to_owned()
    }

    fn file(&self) -> PathBuf {
        self.folder().join("amfj-sync.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// As the workers read it, with their tokens.
    fn config(&self) -> Config {
        let loaded = load(Some(&self.file()), &BTreeMap::new(), Tokens::Both).unwrap();
        assert!(loaded.warnings.iter().all(|one| !one.message.contains("token")), "{:?}", loaded.warnings);
        loaded.config
    }

    /// What says where both services are.
    fn services(&self) -> Vec<String> {
        let options = [
            ("--kandji-url", self.kandji.url()),
            ("--kandji-token-file", "k".to_owned()),
            ("--amfj-url", self.amfj.url()),
            ("--amfj-token-file", "a".to_owned()),
        ];
        options.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    /// Calls it as a script does.
    async fn script(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amfj-sync"));
        command.arg("init").args(arguments).current_dir(self.folder()).stdin(Stdio::null());
        command.env_remove("AMFJ_SYNC_CONFIG");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// The same with both services and `--yes`.
    async fn answered(&self, arguments: &[&str]) -> Output {
        let services = self.services();
        let all: Vec<&str> = ["--yes"].into_iter().chain(services.iter().map(String::as_str)).collect();
        self.script(&[&all, arguments].concat()).await
    }

    /// What is in the folder beside the two tokens of the script.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        collect(&self.folder(), &self.folder(), &mut left);
        left.retain(|name| !["a", "k"].contains(&name.as_str()));
        left.sort();
        left
    }
}

fn collect(root: &Path, folder: &Path, left: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, left);
        } else {
            left.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_a_configuration_that_only_plans() {
    let setting = Setting::new().await;
    let done = setting.answered(&["--default-asset-type", "laptop"]).await;
    assert!(done.status.success(), "{}", said(&done));
    let config = setting.config();
    let one = &config.integrations[0];
    assert_eq!((one.id.as_str(), one.mode.as_str()), ("main", "plan"));
    assert_eq!(one.sync.default_asset_type, "Laptop", "as AMFJ spells it");
    assert_eq!((one.sync.create_devices.as_str(), one.sync.auto_checkout), ("never", false));
    for (field, property) in [
        ("Serial Number", "serial_number"),
        ("Model", "model"),
        ("Owner Email", "user.email"),
        ("Memory", "details.hardware_overview.memory"),
    ] {
        assert!(one.fields.maps(field, property), "{field}: {}", setting.text());
    }
    // No choice of AMFJ's is called like every platform of this fleet, and nothing in Kandji is called like the others.
    for field in ["Platform", "Warranty", "Notes"] {
        assert!(one.fields.get(field).is_none(), "{field}: {}", setting.text());
    }
    assert!(said(&done).contains("\"Platform\" is not proposed"), "{}", said(&done));
    assert_eq!(setting.left(), ["amfj-sync.toml"], "the tokens stay where they are");
    assert_eq!(mode(&setting.file()), 0o600);
    assert!(setting.amfj.writes().is_empty() && setting.amfj.violations().is_empty());
    assert!(setting.kandji.violations().is_empty(), "{:?}", setting.kandji.violations());
    let out = said(&done);
    for token in [setting.kandji.token(), setting.amfj.token()] {
        assert!(!out.contains(&token) && !setting.text().contains(&token), "{out}");
    }
    assert!(out.contains("amfj-sync check") && out.contains("permission “Device details”"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_an_option_and_the_file_that_is_there_is_the_default() {
    let setting = Setting::new().await;
    let first = [
        "acme",
        "--default-asset-type=Phone",
        "--default-location=HQ",
        "--auto-checkout=yes",
        "--create-devices=first-sync",
        "--map",
        "Serial Number=serial_number",
        "--map",
        "Notes={{ model }} = {{ platform }}",
    ];
    let done = setting.answered(&first).await;
    assert!(done.status.success(), "{}", said(&done));
    let text = setting.text().replace("[integration.sync]", "[integration.sync]   # ours");
    fs::write(setting.file(), text.replace("mode = \"plan\"", "mode = \"apply\"")).unwrap();

    // Nothing is said of the services: they are those of the file.
    let done = setting.script(&["--yes"]).await;
    assert!(done.status.success() && said(&done).contains("Nothing has changed"), "{}", said(&done));
    let before = setting.text();
    let done = setting.script(&["--yes", "--no-default-location", "--auto-checkout", "no"]).await;
    assert!(done.status.success() && said(&done).contains("\"apply\" and stays so"), "{}", said(&done));
    let one = &setting.config().integrations[0];
    assert_eq!((one.id.as_str(), one.mode.as_str()), ("acme", "apply"), "a person said so");
    assert_eq!((one.sync.default_location.as_deref(), one.sync.auto_checkout), (None, false));
    assert_eq!((one.sync.default_asset_type.as_str(), one.fields.len()), ("Phone", 2));
    let without = |text: &str| -> Vec<String> {
        let about = |line: &&str| !line.contains("default_location") && !line.contains("auto_checkout");
        text.lines().filter(about).map(str::to_owned).collect()
    };
    assert_eq!(without(&setting.text()), without(&before), "nothing else is touched");

    let done = setting.answered(&["other", "--default-asset-type=Laptop", "--no-map"]).await;
    assert!(done.status.success(), "{}", said(&done));
    let config = setting.config();
    assert_eq!(config.integrations.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["acme", "other"]);
    assert!(config.integrations[1].fields.is_empty());
    let done = setting.script(&["--yes"]).await;
    assert!(done.status.code() == Some(2) && said(&done).contains("acme, other"), "{}", said(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_its_cure_and_nothing_is_written() {
    let setting = Setting::new().await;
    let amfj = setting.amfj.url();
    let table: [(&[&str], i32, &str); 13] = [
        (&[], 2, "--yes"),
        (&["--yes"], 2, "--kandji-url, --kandji-token-file or --kandji-token-env, --amfj-url"),
        (&["--yes", "--kandji-url", "acme.kandji.io"], 2, "acme.api.eu.kandji.io"),
        (&["--yes", "--kandji-token-file", "nowhere"], 2, "nowhere cannot be read"),
        (&["--yes", "--kandji-token-env", "NO_SUCH"], 2, "NO_SUCH is not set"),
        (&["--yes", "--kandji-token-file", "a"], 1, "Kandji refused the token (401)"),
        (&["--yes", "--kandji-url", &amfj], 1, "Kandji: the device list cannot be read"),
        (&["--yes", "--default-asset-type", "Lptop"], 2, "no asset type with \"Lptop\""),
        (&["--yes"], 2, "--default-asset-type NAME"),
        (
            &["--yes", "--default-asset-type=Laptop", "--default-location=Mars"],
            2,
            "no location with \"Mars\"",
        ),
        (
            &["--yes", "--default-asset-type=Laptop", "--map=Serial Numbr=serial_number"],
            2,
            "did you mean \"Serial Number\"?",
        ),
        (
            &["--yes", "--default-asset-type=Laptop", "--map=Serial Number=serial_numbr"],
            2,
            "did you mean serial_number?",
        ),
        (
            &["--yes", "--default-asset-type=Kiosk", "--create-devices=always", "--no-map"],
            1,
            "must have the field \"Cost Centre\"",
        ),
    ];
    for (at, (arguments, status, words)) in table.into_iter().enumerate() {
        let has = |option: &str| arguments.iter().any(|one| one.starts_with(option));
        let services = setting.services();
        // What a case says itself is not said twice.
        let rest = services
            .chunks(2)
            .filter(|_| at > 1)
            .filter(|pair| !(has(&pair[0]) || pair[0] == "--kandji-token-file" && has("--kandji-token")));
        let rest: Vec<&str> = rest.flatten().map(String::as_str).collect();
        let done = setting.script(&[arguments, &rest].concat()).await;
        assert!(
            done.status.code() == Some(status) && said(&done).contains(words),
            "{arguments:?} {}: {}",
            done.status,
            said(&done)
        );
        assert_eq!(setting.left(), [""; 0], "{arguments:?}");
    }
    assert!(setting.amfj.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_or_written_otherwise_is_not_touched() {
    let setting = Setting::new().await;
    for (text, words) in [
        ("[[integration]\n", "not valid TOML"),
        ("integration = [{ id = \"a\", mode = \"plan\" }]\n", "in another way than [[integration]]"),
        ("[[integration]]\nid = \"acme\"\nmod = \"plan\"\n", "did you mean \"mode\"?"),
    ] {
        fs::write(setting.file(), text).unwrap();
        let done = setting.answered(&["--default-asset-type=Laptop"]).await;
        assert!(done.status.code() == Some(2) && said(&done).contains(words), "{text}: {}", said(&done));
        assert_eq!(setting.text(), text);
    }
    let done = setting.answered(&["--default-asset-type=Laptop", "--config", "nowhere/amfj-sync.toml"]).await;
    assert!(
        done.status.code() == Some(2) && said(&done).contains("nowhere cannot be written to"),
        "{}",
        said(&done)
    );
    // A folder in which nothing can be made, for root either.
    let done = setting.answered(&["--default-asset-type=Laptop", "--config", "/proc/amfj-sync.toml"]).await;
    assert!(done.status.code() == Some(1) && said(&done).contains("nothing was changed"), "{}", said(&done));
}

/// As whoever copies an example, comments everything out and sets the broker begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_integrations_are_commented_out_gets_its_first() {
    let setting = Setting::new().await;
    let before = "[broker]\npartitions = 2\n\n# [[integration]]\n# id = \"old\"\n";
    fs::write(setting.file(), before).unwrap();
    let done = setting.answered(&["--default-asset-type=Laptop"]).await;
    assert!(done.status.success(), "{}", said(&done));
    assert!(setting.text().starts_with("[broker]\n") && setting.text().contains("# id = \"old\""));
    let config = setting.config();
    assert_eq!((config.broker.partitions, config.integrations.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_devices_and_a_site_with_two_types_of_one_name_are_told_and_taken() {
    let setting = Setting::with(0, |site| {
        let again = AssetKind { id: "type-again".to_owned(), ..site.asset_types[0].clone() };
        site.asset_types.push(again);
        site.locations.clear();
    })
    .await;
    let done = setting.answered(&["--default-asset-type=Laptop"]).await;
    let out = said(&done);
    assert!(done.status.success(), "{out}");
    assert!(
        out.contains("0 devices visible") && out.contains("several asset types of the name \"Laptop\""),
        "{out}"
    );
    let one = &setting.config().integrations[0];
    assert!(one.fields.maps("Serial Number", "serial_number"), "{}", setting.text());
    assert!(
        one.fields.get("Platform").is_none(),
        "whether a choice takes it is not known: {}",
        setting.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_know_the_tenant_is_said() {
    let setting = Setting::new().await;
    setting
        .kandji
        .fault(Rule::new(Action::Status { code: 404, body: Some(String::new()) }).on("GET", "/devices"));
    let done = setting.answered(&["--default-asset-type=Laptop"]).await;
    let out = said(&done);
    assert!(
        done.status.code() == Some(1) && out.contains("https://SUBDOMAIN.api.eu.kandji.io in the EU"),
        "{out}"
    );
    assert!(out.contains("AMFJ: token accepted"), "both are tried: {out}");
    assert_eq!(setting.left(), [""; 0]);
}
