//! What an interface cannot do.

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_amfj::profile;
use amfj_sync_config as config;
use amfj_sync_http::Limiter;

use super::flat::flat;
use super::support::Stub;

#[tokio::test]
async fn what_an_interface_cannot_do_is_refused_with_the_settings_name() {
    let stub = Stub::start(flat).await;
    let text = profile::show("assumed-v1").unwrap();
    let lacking = ["create_asset", "create_user", "check_out", "list_locations", "list_user_fields"];
    let mut reduced = text.to_owned();
    for op in lacking {
        let begin = reduced.find(&format!("[operations.{op}]")).unwrap();
        let end = reduced[begin + 1..].find("\n[").map_or(reduced.len(), |at| begin + 1 + at);
        reduced.replace_range(begin..end, "");
        reduced = reduced.replacen("absent = [", &format!("absent = [\"{op}\", "), 1);
    }
    let profile = profile::parse("amfj.toml".as_ref(), &reduced).unwrap_or_else(|errors| panic!("{errors}"));
    let config = stub.config("offset-put", "");
    let mut integration = config.integrations[0].clone();
    integration.sync.create_devices = config::CreateDevices::Always;
    integration.sync.auto_checkout = true;
    integration.sync.default_location = Some("HQ".to_owned());
    integration.sync.when_gone = config::WhenGone::CheckIn;
    let refusals = profile::refusals(&integration, &profile);
    for (setting, lacks) in [
        ("\"create_devices\"", "create_asset"),
        ("\"create_users\"", "create_user"),
        ("\"auto_checkout\"", "check_out"),
        ("\"default_location\"", "list_locations"),
    ] {
        let said = refusals
            .iter()
            .find(|refusal| refusal.contains(setting))
            .unwrap_or_else(|| panic!("{setting}: {refusals:?}"));
        assert!(said.contains(lacks) && said.contains("assumed-v1"), "{said}");
    }
    assert!(!refusals.iter().any(|refusal| refusal.contains("when_gone")), "it can check in: {refusals:?}");
    let all = profile::parse("amfj.toml".as_ref(), text).unwrap();
    assert_eq!(profile::refusals(&integration, &all), Vec::<String>::new());
}

#[tokio::test]
async fn a_profile_that_needs_a_client_id_says_so() {
    let stub = Stub::start(flat).await;
    let mut config = stub.config("offset-put", "");
    config.integrations[0].amfj.client_id = None;
    let error = AmfjClient::from_config(&config.integrations[0].amfj, Limiter::new(1.0)).unwrap_err();
    assert!(error.to_string().contains("client_id in [integration.amfj]"), "{error}");
}
