//! A person answers.

use nix::sys::signal::{Signal, kill};

use super::*;
use terminal::Terminal;

/// Addresses and tokens, as far as the test of both.
fn reach(terminal: &mut Terminal, setting: &Setting) {
    terminal.answer("Kandji API URL", &setting.kandji.url());
    terminal.answer("Kandji API token", &setting.kandji.token());
    terminal.answer("AMFJ API URL [https://api.assetmanagementforjira.com/v1]", &setting.amfj.url());
    terminal.answer("AMFJ API token", &setting.amfj.token());
    terminal.answer("Name of this integration [main]", "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_is_followed_in_its_order_and_the_tokens_are_never_shown() {
    let setting = Setting::new().await;
    let mut terminal = Terminal::start(&setting.folder(), 80, &[]);
    tokio::task::block_in_place(|| {
        // As people paste them.
        terminal.answer("Kandji API URL", &format!("  {}/api/v1/ ", setting.kandji.url()));
        terminal.waits_for("Kandji API token");
        assert!(!terminal.shows_what_is_typed());
        terminal.press(format!(" \"{}\" \n\n\n", setting.kandji.token()).as_bytes());
        terminal.answer("AMFJ API URL", &setting.amfj.url());
        terminal.answer("AMFJ API token", &format!("Bearer {}", setting.amfj.token()));
        terminal.waits_for("Name of this integration");
        assert!(terminal.shows_what_is_typed());
        terminal.press(b"ACME\n");
        terminal.answer("Name of this integration", "acme");
        terminal.answer("Default Asset Type [Laptop]", "2");
        terminal.answer("Default Location [none]", "berlin");
        terminal.answer("automatically? [N/y]", "y");
        terminal.answer("Create assets [never]", "first");
        terminal.answer("Take this mapping?", "e");
        terminal.answer("Serial Number (a text) [serial_number]", "");
        terminal.answer("Model (a text) [model]", "{{ model }} {{ platform }}");
        terminal.answer("OS Version (a text) [os_version]", "-");
        terminal.answer("Asset Tag (a text)", "blueprint_nam");
        terminal.answer("Asset Tag (a text)", "?blue");
        terminal.answer("Asset Tag (a text)", "blueprint_name");
        for _ in 0..16 {
            terminal.waits_for("");
            let seen = terminal.seen();
            if seen.trim_end().ends_with("[Y/n/e]:") {
                break;
            }
            terminal.press(b"\n");
        }
        terminal.press(b"y\n");
        terminal.waits_for("amfj-sync.toml? [Y/n]");
        assert_eq!(setting.left(), [""; 0], "nothing is written before the end");
        terminal.press(b"\n");
        let status = terminal.ends();
        assert!(status.success(), "{}", terminal.seen());
    });
    let seen = terminal.seen();
    let told = seen.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
    assert!(told.contains("two things below Devices: Device list and Device details."), "{seen}");
    assert!(told.contains("did you mean blueprint_name?"), "{seen}");
    let order = [
        "Settings, then Access",
        "Asset Management for Jira",
        "\nTest\n",
        "30 devices visible",
        "\nDefault Asset Type\n",
        "\nDefault Location\n",
        "\nAuto-checkout\n",
        "\nDevice creation\n",
        "\nField mapping\n",
        "\nSummary\n",
        "\nNext\n",
    ];
    let mut at = 0;
    for part in order {
        at += seen[at..].find(part).unwrap_or_else(|| panic!("no {part:?} behind the others in:\n{seen}"));
    }
    for token in [setting.kandji.token(), setting.amfj.token()] {
        assert!(!seen.contains(&token), "{seen}");
    }
    assert_eq!(setting.left(), ["amfj-sync.toml", "tokens/amfj/acme", "tokens/kandji/acme"]);
    for (path, right) in [
        ("amfj-sync.toml", 0o600),
        ("tokens", 0o700),
        ("tokens/amfj", 0o700),
        ("tokens/amfj/acme", 0o600),
        ("tokens/kandji/acme", 0o600),
    ] {
        assert_eq!(mode(&setting.folder().join(path)), right, "{path}");
    }
    let config = setting.config();
    let one = &config.integrations[0];
    assert_eq!(one.kandji.token.as_ref().unwrap().expose(), setting.kandji.token());
    assert_eq!(one.amfj.token.as_ref().unwrap().expose(), setting.amfj.token());
    assert_eq!(one.sync.default_asset_type, "Phone");
    assert_eq!(one.sync.default_location.as_deref(), Some("Büro Berlin"));
    assert_eq!(
        (one.sync.auto_checkout, one.sync.create_devices.as_str(), one.mode.as_str()),
        (true, "first-sync", "plan")
    );
    assert!(one.fields.maps("Asset Tag", "blueprint_name") && one.fields.get("OS Version").is_none());
    assert_eq!(one.fields.get("Model").unwrap().source.to_string(), "{{ model }} {{ platform }}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_asked_for_again_and_the_other_service_is_not() {
    let setting = Setting::new().await;
    let mut terminal = Terminal::start(&setting.folder(), 80, &["acme"]);
    tokio::task::block_in_place(|| {
        terminal.answer("Kandji API URL", "https://acme.kandji.io");
        terminal.answer("Kandji API URL", &setting.kandji.url());
        terminal.answer("Kandji API token", "two words");
        terminal.answer("Kandji API token", "wrong");
        terminal.answer("AMFJ API URL", &setting.amfj.url());
        terminal.answer("AMFJ API token", &setting.amfj.token());
        terminal.answer(&format!("Kandji API URL [{}]", setting.kandji.url()), "");
        terminal.answer("Kandji API token", &setting.kandji.token());
        terminal.answer("Default Asset Type", "monitor");
        terminal.answer("Default Location", "none");
        terminal.answer("automatically?", "");
        terminal.answer("Create assets", "");
        terminal.answer("Take this mapping?", "n");
        terminal.answer("amfj-sync.toml? [Y/n]", "n");
        assert_eq!(terminal.ends().code(), Some(1));
    });
    let seen = terminal.seen().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(seen.contains("spaces, line breaks") && seen.contains("refused the token (401)"), "{seen}");
    assert!(seen.contains("acme.api.eu.kandji.io") && seen.ends_with("nothing was written"), "{seen}");
    assert_eq!(setting.left(), [""; 0]);
    assert!(setting.amfj.writes().is_empty());
}

/// Wherever somebody leaves.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_and_control_c_leave_nothing() {
    let setting = Setting::new().await;
    for (key, word) in [(Some(b'\x04'), "the input ended"), (None, "stopped")] {
        for place in ["Kandji API URL", "Kandji API token", "Default Asset Type", "amfj-sync.toml? [Y/n]"] {
            let mut terminal = Terminal::start(&setting.folder(), 80, &[]);
            tokio::task::block_in_place(|| {
                if place == "Kandji API token" {
                    terminal.answer("Kandji API URL", &setting.kandji.url());
                } else if place != "Kandji API URL" {
                    reach(&mut terminal, &setting);
                }
                if place.ends_with("[Y/n]") {
                    terminal.answer("Default Asset Type", "");
                    terminal.answer("Default Location", "");
                    terminal.answer("automatically?", "");
                    terminal.answer("Create assets", "");
                    terminal.answer("Take this mapping?", "");
                }
                terminal.waits_for(place);
                // A terminal that is not the one that controls the process sends no signal.
                match key {
                    Some(key) => terminal.press(&[key]),
                    None => kill(terminal.id(), Signal::SIGINT).unwrap(),
                }
                assert_eq!(terminal.ends().code(), Some(1), "{place}: {}", terminal.seen());
            });
            assert!(terminal.seen().contains(word), "{place}: {}", terminal.seen());
            assert!(terminal.shows_what_is_typed(), "{place}: the terminal is left as it was");
            assert_eq!(setting.left(), [""; 0], "{place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_types_and_hostile_names_fit_on_sixty_columns() {
    let hostile = "Lap\u{1b}[2Jtop\n\u{202e}drowssap";
    let setting = Setting::with(30, |site| {
        site.asset_types[0].name = hostile.to_owned();
        site.asset_types[0].fields[1].name =
            "Mo\u{7}del\u{1b}]0;x\u{7} that has a very long name indeed".to_owned();
        site.locations[0].name = "HQ\u{9b}31m".to_owned();
        for number in 0..500 {
            let name = format!("Type {number:03}");
            site.asset_types.push(AssetKind { id: name.clone(), name, fields: Vec::new() });
        }
    })
    .await;
    let mut terminal = Terminal::start(&setting.folder(), 60, &[]);
    tokio::task::block_in_place(|| {
        reach(&mut terminal, &setting);
        terminal.answer("Default Asset Type", "type 4");
        terminal.answer("Default Asset Type", "1");
        terminal.answer("Default Location", "1");
        terminal.answer("automatically?", "\u{1b}[A");
        terminal.answer("automatically?", "");
        terminal.answer("Create assets", "");
        terminal.answer("Take this mapping?", "");
        terminal.answer("amfj-sync.toml?", "");
        assert!(terminal.ends().success(), "{}", terminal.seen());
    });
    let seen = terminal.seen();
    assert!(seen.contains("and 486 more") && seen.contains("100 asset types fit"), "{seen}");
    let by_us = |c: char| c.is_control() && c != '\n';
    let typed = seen.replace("^[", "");
    assert!(!typed.contains(by_us) && !typed.contains('\u{202e}'), "{seen:?}");
    let folder = setting.folder().display().to_string();
    let too_long: Vec<&str> = seen
        .lines()
        .filter(|line| line.chars().count() > 60 && !line.contains(&folder) && !line.contains("http"))
        .collect();
    assert_eq!(too_long, [""; 0]);
    let config = setting.config();
    assert_eq!(
        config.integrations[0].sync.default_asset_type,
        hostile.trim(),
        "the name itself is what AMFJ is told"
    );
    assert!(!setting.text().contains(by_us), "{:?}", setting.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn called_again_it_asks_with_the_answers_that_are_there() {
    let setting = Setting::new().await;
    let mut terminal = Terminal::start(&setting.folder(), 80, &["--no-map", "--create-devices=always"]);
    tokio::task::block_in_place(|| {
        reach(&mut terminal, &setting);
        terminal.answer("Default Asset Type", "");
        terminal.answer("Default Location", "");
        terminal.answer("automatically?", "");
        terminal.answer("amfj-sync.toml?", "");
        assert!(terminal.ends().success(), "{}", terminal.seen());
    });
    let before = setting.text();
    setting.amfj.rotate_token("another-token-1");
    let mut terminal = Terminal::start(&setting.folder(), 80, &[]);
    tokio::task::block_in_place(|| {
        terminal.answer(&format!("Kandji API URL [{}]", setting.kandji.url()), "");
        terminal.answer("[Enter keeps the one that is there]", "");
        terminal.answer(&format!("AMFJ API URL [{}]", setting.amfj.url()), "");
        terminal.answer("[Enter keeps the one that is there]", "another-token-1");
        terminal.answer("Default Asset Type [Laptop]", "Phone");
        terminal.answer("Default Location [none]", "");
        terminal.answer("automatically?", "");
        terminal.answer("Create assets [always]", "");
        terminal.answer("Take this mapping?", "");
        terminal.answer("amfj-sync.toml?", "");
        assert!(terminal.ends().success(), "{}", terminal.seen());
    });
    assert_eq!(setting.text(), before.replace("\"Laptop\"", "\"Phone\""));
    let token = setting.config().integrations[0].amfj.token.clone();
    assert_eq!(token.unwrap().expose(), "another-token-1");
    assert_eq!(setting.left(), ["amfj-sync.toml", "tokens/amfj/acme", "tokens/kandji/acme"]);
}
