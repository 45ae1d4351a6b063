//! The folder beside the main file.

use std::path::Path;

use super::*;
use crate::load;

const MAIN: &str = include_str!("../fixture.toml");

/// The fixture's integration under another id.
fn of(id: &str) -> String {
    let text = MAIN.replacen("\"acme\"", &format!("\"{id}\""), 1);
    text.split_once("[[integration]]").map(|(_, rest)| format!("[[integration]]{rest}")).unwrap()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new(main: &str, others: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.main(), main).unwrap();
        std::fs::create_dir(place.0.path().join("amfj-sync.d")).unwrap();
        for (name, text) in others {
            std::fs::write(place.file(name), text).unwrap();
        }
        place
    }

    fn main(&self) -> PathBuf {
        self.0.path().join("amfj-sync.toml")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("amfj-sync.d").join(name)
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(&self.main()), &variables.collect(), Tokens::None)
    }
}

fn served(loaded: &Loaded) -> Vec<&str> {
    loaded.config.integrations.iter().map(|one| one.id.as_str()).collect()
}

fn rejected(loaded: &Loaded) -> Vec<(String, String)> {
    let all = loaded.config.rejected.iter();
    all.map(|one| (one.file.file_name().unwrap().to_string_lossy().into_owned(), one.line())).collect()
}

#[test]
fn each_file_of_the_folder_is_an_integration_more() {
    let place = Place::new(
        MAIN,
        &[
            ("b.toml", &of("beta")),
            ("a.toml", &of("alpha")),
            (".#a.toml", "nonsense"),
            ("notes.txt", "nonsense"),
        ],
    );
    let loaded = place.load(&[]).unwrap();
    assert_eq!(served(&loaded), ["acme", "alpha", "beta"]);
    assert!(loaded.config.rejected.is_empty());
    let alpha = &loaded.config.integrations[1];
    assert!(alpha.place_of("amfj.token").unwrap().to_string().contains("a.toml"), "a message names the file");
}

#[test]
fn the_main_file_may_leave_all_integrations_to_the_folder() {
    let main = MAIN.split_once("[[integration]]").unwrap().0;
    let place = Place::new(main, &[("alpha.toml", &of("alpha"))]);
    assert_eq!(served(&place.load(&[]).unwrap()), ["alpha"]);
    assert!(Place::new(main, &[]).load(&[]).unwrap_err().to_string().contains("[[integration]]"));
}

#[test]
fn what_is_wrong_with_one_file_stops_nobody_else() {
    let alpha = of("alpha");
    let table = [
        ("a mode that is none", alpha.replace("mode = ", "mode = 7 #"), "a.toml:3"),
        ("no TOML", "[[integration]\n".to_owned(), "not valid TOML"),
        ("settings of all", format!("[broker]\npartitions = 9\n{alpha}"), "main file alone"),
        ("an id of the main file", of("acme"), "stands in another file already"),
        ("an id of a file before it", of("aaa"), "stands in another file already"),
        ("nothing", String::new(), "[[integration]]"),
    ];
    for (what, text, says) in table {
        let place = Place::new(MAIN, &[("a.toml", &text), ("0.toml", &of("aaa")), ("z.toml", &of("zeta"))]);
        let loaded = place.load(&[]).unwrap();
        assert_eq!(served(&loaded), ["acme", "aaa", "zeta"], "{what}");
        let rejected = rejected(&loaded);
        assert_eq!(rejected.len(), 1, "{what}");
        let (file, line) = &rejected[0];
        assert!(file == "a.toml" && line.contains(says), "{what}: {line}");
        assert!(line.contains("all others are"), "{line}");
    }
}

#[test]
fn a_file_that_cannot_be_read_at_all_is_one_that_is_wrong() {
    let place = Place::new(MAIN, &[("b.toml", &of("beta"))]);
    std::fs::create_dir(place.file("a.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.file("c.toml")).unwrap();
    std::fs::write(place.file("d.toml"), [0xff, 0xfe]).unwrap();
    let loaded = place.load(&[]).unwrap();
    assert_eq!(served(&loaded), ["acme", "beta"]);
    assert_eq!(rejected(&loaded).len(), 3);
}

/// As Kubernetes mounts a `ConfigMap`, and as Windows' editor saves a text.
#[test]
fn a_file_may_be_a_link_into_a_hidden_folder_and_begin_with_a_byte_order_mark() {
    let place = Place::new(MAIN, &[("b.toml", &format!("\u{feff}{}", of("beta").replace('\n', "\r\n")))]);
    std::fs::create_dir(place.file("..data")).unwrap();
    std::fs::write(place.file("..data/a.toml"), of("alpha")).unwrap();
    std::os::unix::fs::symlink("..data/a.toml", place.file("a.toml")).unwrap();
    assert_eq!(served(&place.load(&[]).unwrap()), ["acme", "alpha", "beta"]);
}

#[test]
fn a_file_that_is_no_toml_still_says_whose_it_is() {
    let place = Place::new(MAIN, &[("a.toml", &of("alpha").replace("mode = ", "mode == "))]);
    assert_eq!(place.load(&[]).unwrap().config.rejected[0].ids, ["alpha"]);
}

#[test]
fn a_wrong_main_file_or_none_that_is_right_is_an_error() {
    let place = Place::new("[broker]\npartitions = 0\n", &[("a.toml", &of("alpha"))]);
    assert!(place.load(&[]).unwrap_err().to_string().contains("partitions"));
    let main = MAIN.split_once("[[integration]]").unwrap().0;
    let place = Place::new(main, &[("a.toml", "[[integration]]\nid = \"alpha\"\n")]);
    let error = place.load(&[]).unwrap_err().to_string();
    assert!(error.contains("no integration that can be served") && error.contains("mode"), "{error}");
}

#[test]
fn p35_what_a_file_said_before_stays_in_force_while_it_is_wrong() {
    let place = Place::new(MAIN, &[("a.toml", &of("alpha")), ("b.toml", "nonsense")]);
    let loaded = place.load(&[]).unwrap();
    assert_eq!(served(&loaded), ["acme", "alpha"]);
    let before = serde_json::to_string(&loaded.in_force).unwrap();
    std::fs::write(place.file("a.toml"), "[[integration]]\nid = \"alpha\"\n").unwrap();
    let kept = place.load(&[(crate::KEPT_VARIABLE, &before)]).unwrap();
    assert_eq!(served(&kept), ["acme", "alpha"]);
    assert_eq!(kept.config.rejected.iter().map(|one| one.kept).collect::<Vec<_>>(), [true, false]);
    assert!(rejected(&kept)[0].1.contains("stays in force"), "{:?}", rejected(&kept));
    assert_eq!(kept.in_force, loaded.in_force);
    // A file that is gone is an integration that is gone, whatever it said.
    std::fs::remove_file(place.file("a.toml")).unwrap();
    assert_eq!(served(&place.load(&[(crate::KEPT_VARIABLE, &before)]).unwrap()), ["acme"]);
    // What anybody may have put there is no configuration.
    assert_eq!(served(&place.load(&[(crate::KEPT_VARIABLE, "nonsense")]).unwrap()), ["acme"]);
}

#[test]
fn a_variable_overrides_the_integration_that_it_names_in_whichever_file() {
    let mode = |id: &str| format!("{}INTEGRATION__{id}__MODE", crate::OVERRIDE_PREFIX);
    let place = Place::new(MAIN, &[("a.toml", &of("al-pha")), ("b.toml", &of("beta"))]);
    let loaded = place.load(&[(&mode("AL_PHA"), "apply"), (&mode("ACME"), "plan")]).unwrap();
    let modes: Vec<&str> = loaded.config.integrations.iter().map(|one| one.mode.as_str()).collect();
    let beta = modes[2];
    assert_eq!(modes, ["plan", "apply", beta]);
    let unknown = place.load(&[(&mode("GAMMA"), "apply")]).unwrap_err().to_string();
    assert!(unknown.contains("names integration GAMMA"), "{unknown}");
    std::fs::write(place.file("b.toml"), "nonsense").unwrap();
    assert!(place.load(&[(&mode("BETA"), "apply")]).is_ok(), "one file that is wrong stops nobody else");
    let wrong = place.load(&[(&mode("AL_PHA"), "nonsense")]).unwrap();
    assert_eq!(served(&wrong), ["acme"], "a variable is wrong for the integration that it names");
    assert!(Path::new(&wrong.config.rejected[0].file).ends_with("a.toml"));
}
