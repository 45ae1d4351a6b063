//! Completions and the manual, as a shell and `man` read them.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]
#![expect(clippy::disallowed_methods, reason = "it writes what it made up")]

use std::fs;
use std::process::{Command, Output};

use amfj_sync_tests::harness::Scratch;

fn amfj_sync(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_amfj-sync")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn bash_sources_the_completions_and_completes() {
    let made = amfj_sync(&["completions", "bash"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let scratch = Scratch::new().unwrap();
    let file = scratch.path().join("amfj-sync.bash");
    fs::write(&file, &made.stdout).unwrap();
    let script = "set -u; . \"$1\"; complete -p amfj-sync; COMP_WORDS=(amfj-sync explain --j) COMP_CWORD=2; \
                  _amfj__sync amfj-sync --j explain; echo \"${COMPREPLY[@]}\"; COMP_WORDS=(amfj-sync st) COMP_CWORD=1; \
                  _amfj__sync amfj-sync st amfj-sync; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    let done = bash.args(["--norc", "-c", script, "bash"]).arg(&file).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(said.contains("--json") && said.contains("status stopped"), "{said}");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let made = amfj_sync(&["completions", shell]);
        assert!(made.status.success() && text(&made.stdout).contains("rematch"), "{shell}");
    }
    assert_eq!(amfj_sync(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn the_manual_has_a_page_for_each_command_and_man_finds_nothing_wrong_with_it() {
    let scratch = Scratch::new().unwrap();
    let made = amfj_sync(&["manual", scratch.path().to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mut pages: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let named = |name: &str| pages.iter().any(|page| page.ends_with(name));
    for page in ["amfj-sync.1", "amfj-sync-init.1", "amfj-sync-dead-replay.1", "amfj-sync-profile-draft.1"] {
        assert!(named(page), "no {page} among {pages:?}");
    }
    assert!(!named("amfj-sync-manual.1"), "{pages:?}");
    let has_groff = Command::new("groff").arg("--version").output().is_ok_and(|done| done.status.success());
    if !has_groff {
        // A machine without man has no use for pages either; packages are made where there is one.
        return;
    }
    for page in pages {
        let mut groff = Command::new("groff");
        let done = groff.args(["-man", "-Tutf8", "-ww", "-z", "-rCHECKSTYLE=3"]).arg(&page).output().unwrap();
        assert!(
            done.status.success() && done.stderr.is_empty(),
            "{}: {}",
            page.display(),
            text(&done.stderr)
        );
    }
}

/// What an editor is given is what the repository has.
#[test]
fn the_schema_is_printed_as_it_is_shipped() {
    let printed = amfj_sync(&["schema"]);
    let shipped = include_str!("../../docs/configuration.schema.json");
    assert_eq!(text(&printed.stdout).trim_end(), shipped.trim_end());
}
