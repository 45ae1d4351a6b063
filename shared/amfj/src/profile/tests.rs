//! Profiles as they are read: those that are built in, those of the tests, and one with a mistake of each kind.

use std::path::Path;

use super::*;

fn read(text: &str) -> Result<Profile, String> {
    parse(Path::new("amfj.toml"), text).map_err(|errors| errors.to_string())
}

fn dialect(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/profiles").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_built_in_profile_and_those_of_the_tests_are_read() {
    assert_eq!(assumed().unwrap_or_else(|errors| panic!("{errors}")).name, "assumed-v1");
    for name in ["offset-put", "envelope-jobs", "prefix-members", "json-server"] {
        let profile = read(&dialect(&format!("{name}.toml"))).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(profile.name, name);
    }
}

/// Each mistake has one line that names it, and stands where it was made.
#[test]
fn a_mistake_of_each_kind_is_told_with_its_line_and_word() {
    let good = ASSUMED_V1;
    for (wrong, right, says) in [
        ("format = 1", "format = 2", "\"format\" must be"),
        ("ids = \"text\"", "idz = \"text\"", "unknown key \"idz\"; did you mean \"ids\"?"),
        ("form = \"cursor\"", "form = \"cursors\"", "did you mean \"cursor\"?"),
        (
            "next = \"/next_cursor\"",
            "next = \"next_cursor\"",
            "no JSON Pointer: \"next_cursor\"; write \"/next_cursor\"",
        ),
        ("next = \"/next_cursor\"\n", "\n", "\"next\" is missing"),
        ("rows = \"/results\"\n\n", "\n", "\"rows\" is missing"),
        ("id = \"/checked_out_to/id\", ", "", "needs id or email"),
        (
            "name = { at = \"/name\", optional = true }\nasset_type",
            "name = { att = \"/name\" }\nasset_type",
            "did you mean \"at\"?",
        ),
        (
            "label = \"name\"\noptional = true\n\n[asset.write]",
            "label = \"key\"\n\n[asset.write]",
            "label = \"key\" needs key",
        ),
        (
            "{{ user.id }}",
            "{{ user.nr }}",
            "names something unknown: \"user.nr\"; known are id, note, user.id",
        ),
        ("{{ user.id }}", "{{ user.id", "is wrong"),
        ("{{ user.id }}", "nobody", "names nobody"),
        ("{{ token }}", "{{ secret }}", "names something unknown: \"secret\""),
        ("Bearer {{ token }}", "Bearer", "the token stands nowhere"),
        ("path = \"assets/{{ id }}\"", "path = \"assets/../{{ id }}\"", "has a part \"..\""),
        (
            "path = \"assets/{{ id }}\"",
            "path = \"https://evil.example/{{ id }}\"",
            "must be a path below api_url",
        ),
        ("path = \"assets/{{ id }}\"", "path = \"assets\"", "\"id\" stands neither in path"),
        (
            "path = \"assets\"\nquery = { name = \"{{ name }}\" }",
            "path = \"assets\"",
            "does not say what is looked for",
        ),
        ("method = \"PATCH\"", "method = \"PATCHES\"", "did you mean \"PATCH\"?"),
        ("method = \"PATCH\"\n", "", "must be one that writes"),
        ("update = \"merge\"", "update = \"holder\"", "\"update\" must be"),
        ("when_taken = \"refused\"", "update = \"holder\"", "needs holder = \"/pointer\" in [asset.write]"),
        ("[operations.create_user]", "[operations.create_users]", "did you mean \"create_user\"?"),
        (
            "absent = [\"read_user\", ",
            "absent = [",
            "\"read_user\" is missing; describe it in [operations.read_user], or name it in absent",
        ),
        ("absent = [\"read_user\"", "absent = [\"read_asset\"", "without which nothing works"),
        ("absent = [\"read_user\"", "absent = [\"read_usr\"", "did you mean \"read_user\"?"),
        (
            "absent = [\"read_user\"",
            "absent = [\"read_user\", \"probe\"",
            "is described, and named as absent",
        ),
        ("gone = [404, 410]", "gone = [404, 41]", "\"gone\" has an element"),
        ("gone = [404, 410]", "despite_success = { at = \"/ok\" }", "\"is\" is missing"),
        ("gone = [404, 410]", "despite_success = { at = \"ok\", is = [\"0\"] }", "no JSON Pointer"),
        ("next = \"/next_cursor\"", "next = \"/next_cursor\"\nmore = true", "\"more\""),
        (
            "id = \"/checked_out_to/id\", ",
            "email = \"/checked_out_to/email\", nobody = \"0\", ",
            "has nobody, which needs id",
        ),
        ("form = \"seconds-or-date\"", "form = \"minutes\"", "\"form\" must be"),
        ("header = \"Retry-After\"", "header = \"Retry After\"", "name of a header"),
        ("clear = \"null\"", "clear = \"omit\"", "works with update = \"replace\" alone"),
        ("clear = \"null\"", "date = \"%Q\"", "no form of a date"),
        ("clear = \"null\"", "time_zone = \"Mars\"", "no time zone"),
        ("name = \"assumed-v1\"", "name = ", "not valid TOML"),
    ] {
        assert!(good.contains(wrong), "{wrong}");
        let said = read(&good.replacen(wrong, right, 1)).map(|_| ()).expect_err(right);
        assert!(said.contains(says), "{right}: {says}\n{said}");
        assert!(said.contains("amfj.toml:"), "{right} is told with its line:\n{said}");
        assert!(said.lines().last().is_some_and(|last| last.contains("in the profile amfj.toml")), "{said}");
    }
}

#[test]
fn with_oauth_alone_the_access_token_is_a_bearer() {
    let written = "headers = { Authorization = \"Bearer {{ token }}\" }\n";
    assert!(ASSUMED_V1.contains(written));
    let alone = "[authentication.oauth]\ntoken_path = \"/oauth/token\"\n";
    let text = ASSUMED_V1.replacen(written, "", 1).replacen("[authentication]\n", alone, 1);
    let with_headers = ASSUMED_V1.replacen(written, &format!("{written}\n{alone}"), 1);
    let read = |text: &str| read(text).unwrap_or_else(|errors| panic!("{errors}\n{text}")).authentication;
    assert_eq!(read(&text), read(&with_headers));
    assert!(read(&text).oauth.is_some());
}

#[test]
fn p27_a_token_in_a_profile_is_refused_and_not_shown() {
    let token = "7c0ffee1-4a5b-4c6d-8e9f-hunter2";
    for text in [
        ASSUMED_V1.replace("Bearer {{ token }}", &format!("Bearer {token}")),
        ASSUMED_V1.replace("Bearer {{ token }}", &format!("Bearer {{{{ token }}}} {token}")),
        ASSUMED_V1.replace("headers = {", &format!("query = {{ key = \"{token}\" }}\nheaders = {{")),
    ] {
        let said = read(&text).map(|_| ()).expect_err("refused");
        assert!(said.contains("looks like a token") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_file_that_is_no_profile_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let load_it =
        |path: std::path::PathBuf| load(&ProfileSource::File(path)).map(drop).unwrap_err().to_string();
    let said = load_it(dir.path().join("amfj.toml"));
    assert!(said.contains("cannot be read") && said.contains("amfj-sync profile show"), "{said}");
    assert!(load_it(dir.path().to_owned()).contains("it is no file"));
    assert!(load_it("/dev/zero".into()).contains("it is no file"));
    let large = dir.path().join("large.toml");
    std::fs::write(&large, "#".repeat(300 << 10)).unwrap();
    assert!(load_it(large).contains("more than 256 KiB"));
}
