use amfj_sync_config::{Tokens, parse};

use super::*;

fn read(text: &str) -> Document {
    Document { document: text.parse().unwrap(), is_new: false }
}

fn settings() -> Settings {
    Settings {
        kandji_url: Some("https://acme.api.kandji.io".into()),
        kandji_token: Some(TokenPlace::File("/etc/amfj-sync/tokens/kandji/acme".into())),
        amfj_url: Some("https://api.example.com/v1".into()),
        amfj_token: Some(TokenPlace::Env("AMFJ_TOKEN".into())),
        default_asset_type: Some("Lap\u{1b}top \"13\"".into()),
        default_location: Some("HQ".into()),
        auto_checkout: Some(true),
        create_devices: Some("first-sync".into()),
        fields: Some(BTreeMap::from([
            ("Serial Number".into(), "serial_number".into()),
            ("v. 2 \"OS\"".into(), "{{ os_version | default('?') }}".into()),
        ])),
        ..Settings::default()
    }
}

#[test]
fn a_new_file_is_what_the_workers_read_and_says_what_was_answered() {
    let new = read(NEW_FILE).with("acme", &settings()).unwrap();
    let text = new.text();
    let loaded = parse(Path::new("a.toml"), text.as_str(), &BTreeMap::new(), Tokens::None).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let acme = &loaded.config.integrations[0];
    assert_eq!(acme.sync.default_asset_type, "Lap\u{1b}top \"13\"");
    assert_eq!(acme.fields.len(), 2);
    assert_eq!((new.settings("acme"), new.mode("acme")), (settings(), Some("plan")));
    assert!(!text.contains('\u{1b}'), "whoever shows the file is not steered by it: {text:?}");
    for beside in ["# links belong to it", "# of assets that are created", "# RabbitMQ; amqps:// for TLS"] {
        assert!(text.contains(beside), "{text}");
    }
}

const BY_HAND: &str = r#"# Ours. Ask Ana before you change it.
[broker]
url = "amqp://a:b@127.0.0.1/%2f"  # the old one

[[integration]]   # the first
id = "acme"
mode = "apply"    # since May
interval = "30m"
kandji = { api_url = 'https://acme.api.kandji.io', token = { env = "K" } }   # inline

  [integration.amfj]
  api_url = "https://api.example.com/v1"   # of the site
  token.file = "/run/secrets/amfj"         # of the vault

  [integration.sync]
  # Ana says so
  default_asset_type = 'Laptop' # not Phone
  [integration.fields]
  # The bar code
  "Serial Number" = "serial_number"  # keep
  "Model" = "model"

[[integration]]
id = "other"
mode = "plan"
[integration.kandji]
api_url = "https://other.api.kandji.io"
token = { env = "K2" }
[integration.amfj]
api_url = "https://api.example.com/v1"
token = { env = "A2" }
[integration.sync]
default_asset_type = "Phone"
"#;

#[test]
fn the_same_answers_change_no_byte_of_a_file_that_was_written_by_hand() {
    let before = read(BY_HAND);
    let told = before.settings("acme");
    assert_eq!(told.kandji_token, Some(TokenPlace::Env("K".into())));
    assert_eq!(told.amfj_token, Some(TokenPlace::File("/run/secrets/amfj".into())));
    assert_eq!(before.with("acme", &told).unwrap().text(), BY_HAND);
    assert_eq!(
        (before.ids(), before.mode("acme")),
        (vec!["acme".to_owned(), "other".to_owned()], Some("apply"))
    );
}

#[test]
fn another_answer_changes_its_line_alone() {
    let before = read(BY_HAND);
    let mut told = before.settings("acme");
    told.default_asset_type = Some("Computer".into());
    told.amfj_token = Some(TokenPlace::Env("A".into()));
    told.fields = Some(BTreeMap::from([
        ("Serial Number".into(), "asset_tag".into()),
        ("Platform".into(), "platform".into()),
    ]));
    let text = before.with("acme", &told).unwrap().text();
    let (old, new): (Vec<&str>, Vec<&str>) = (BY_HAND.lines().collect(), text.lines().collect());
    let gone: Vec<&str> = old.iter().copied().filter(|line| !new.contains(line)).collect();
    let come: Vec<&str> = new.iter().copied().filter(|line| !old.contains(line)).collect();
    assert_eq!(
        gone,
        [
            "  token.file = \"/run/secrets/amfj\"         # of the vault",
            "  default_asset_type = 'Laptop' # not Phone",
            "  \"Serial Number\" = \"serial_number\"  # keep",
            "  \"Model\" = \"model\"",
        ]
    );
    assert_eq!(come.len(), 4, "{come:?}");
    assert!(text.contains("default_asset_type = \"Computer\" # not Phone"), "{text}");
    assert!(text.contains("# The bar code\n  \"Serial Number\" = \"asset_tag\"  # keep"), "{text}");
    assert_eq!(read(&text).settings("acme"), told);
    assert_eq!(read(&text).settings("other"), before.settings("other"));
}

#[test]
fn a_further_integration_comes_at_the_end_and_the_others_stay() {
    let text = read(BY_HAND).with("third", &settings()).unwrap().text();
    assert!(text.starts_with(BY_HAND.trim_end()), "{text}");
    assert_eq!(read(&text).settings("third"), settings());
    parse(Path::new("a.toml"), text.as_str(), &BTreeMap::new(), Tokens::None).unwrap();
}

#[test]
fn on_trial_it_has_its_own_services_and_nothing_else() {
    let trial = read(BY_HAND).on_trial("other", &settings()).unwrap().text();
    assert!(
        !trial.contains("id = \"acme\"")
            && !trial.contains("[broker]")
            && trial.contains("allow_empty = true"),
        "{trial}"
    );
}
