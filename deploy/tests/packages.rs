//! What the packages name is there, and agrees with itself and with the programs. What takes a booted system, a registry or a
//! cluster is tried by `deploy/release` and the tests beside the packages.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn version() -> String {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    manifest["workspace"]["package"]["version"].as_str().unwrap().to_owned()
}

#[test]
fn the_chart_and_the_compose_file_have_the_number_of_the_programs() {
    let version = version();
    assert!(
        read("deploy/helm/amfj-sync/Chart.yaml")
            .contains(&format!("\nversion: {version}\nappVersion: \"{version}\""))
    );
    assert!(read("deploy/compose/compose.yaml").contains(&format!("localhost/amfj-sync:{version}")));
}

#[test]
fn every_file_of_the_debian_package_is_there_or_is_made_by_its_script() {
    let manifest: toml::Table = read("deploy/Cargo.toml").parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    assert!(assets.len() > 10);
    for asset in assets {
        let source = asset[0].as_str().unwrap();
        let is_made = source.starts_with("../target/package/files/");
        assert!(is_made || workspace().join("deploy").join(source).is_file(), "{source}");
    }
    let packed: Vec<&str> = assets.iter().filter_map(|asset| asset[0].as_str()).collect();
    for unit in fs::read_dir(workspace().join("deploy/systemd")).unwrap().flatten() {
        let name = format!("systemd/{}", unit.file_name().to_string_lossy());
        assert!(packed.contains(&name.as_str()), "{name} is not packed");
    }
}

/// One table of what is to be the same in all units: a line that is missing in one is a door that is open there.
#[test]
fn the_units_are_hardened_alike_and_tokens_go_to_whom_they_are_for() {
    let units = ["amfj-sync-fetcher.service", "amfj-sync-reconciler@.service", "amfj-sync-writer@.service"];
    let texts = units.map(|name| read(&format!("deploy/systemd/{name}")));
    let hardening = |text: &str| text.split_once("\n# It reads its configuration").unwrap().1.to_owned();
    assert!(texts.iter().all(|text| hardening(text) == hardening(&texts[0])));
    for (text, hidden) in texts.iter().zip([
        None,
        Some("InaccessiblePaths=-/etc/amfj-sync/tokens\n"),
        Some("InaccessiblePaths=-/etc/amfj-sync/tokens/kandji\n"),
    ]) {
        assert_eq!(text.contains("InaccessiblePaths="), hidden.is_some());
        assert!(hidden.is_none_or(|line| text.contains(line)), "{text}");
        for line in [
            "Type=notify\n",
            "ExecReload=/bin/kill -HUP $MAINPID\n",
            "WatchdogSec=",
            "User=amfj-sync\n",
            "LimitCORE=0\n",
            "RestartPreventExitStatus=2\n",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }
    let target = read("deploy/systemd/amfj-sync.target");
    for unit in units {
        assert!(target.contains(&unit.replace("@.", "@1.")), "{unit}");
    }
}

/// Where there is systemd: it is the one that knows.
#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_that_they_may_do() {
    let is_there =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|done| done.status.success());
    if !is_there {
        return;
    }
    let scratch = amfj_sync_tests::harness::Scratch::new().unwrap();
    for name in ["amfj-sync-fetcher", "amfj-sync-reconciler@", "amfj-sync-writer@"] {
        let text = read(&format!("deploy/systemd/{name}.service"));
        // Any program will do for this.
        let lines = text
            .lines()
            .map(|line| if line.starts_with("ExecStart=") { "ExecStart=/bin/true" } else { line });
        let instance =
            if name.ends_with('@') { format!("{name}1.service") } else { format!("{name}.service") };
        let unit = scratch.path().join(instance);
        amfj_sync_security::private_files::write_file(&unit, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let verified =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && !said.contains(name), "{said}");
        let mut security = Command::new("systemd-analyze");
        let judged =
            security.args(["security", "--offline=true", "--threshold=20"]).arg(&unit).output().unwrap();
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    }
}
