use proptest::prelude::*;
use serde_json::json;

use super::*;

fn path(text: &str) -> PropertyPath {
    PropertyPath::parse(text).unwrap()
}

fn source(text: &str) -> FieldSource {
    FieldSource::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Evaluates with a device and with its details, if they are known.
fn evaluate(text: &str, device: &Value, details: Option<&Value>) -> Evaluated {
    source(text).evaluate(&|path| {
        let object = if path.is_details() { details } else { Some(device) };
        object.map_or(Known::Unknown, |object| Known::Known(path.lookup(object).unwrap_or(&Value::Null)))
    })
}

fn text(value: &str) -> Evaluated {
    Evaluated::Value(Value::String(value.to_owned()))
}

fn device() -> Value {
    json!({
        "serial_number": "C02TEST00001", "model": "MacBook Air", "os_version": "15.1", "asset_tag": " ",
        "mdm_enabled": true, "tags": ["loan", "berlin"], "first_enrollment": null,
        "user": {"email": "dana@example.com", "name": null, "id": 1},
    })
}

fn details() -> Value {
    json!({
        "hardware_overview": {"memory": "16 GB"}, "network": {}, "installed_profiles": [],
        "volumes": [{"name": "Macintosh HD", "capacity": "228 GB"}, {"name": "Data", "capacity": "1 TB"}],
        "odd": {"0": "zero"},
    })
}

#[test]
fn paths_are_read_and_written_in_one_form() {
    for (written, canonical) in [
        ("serial_number", "serial_number"),
        (" user.email ", "user.email"),
        ("details.volumes[0].capacity", "details.volumes[0].capacity"),
        ("details.volumes.0.capacity", "details.volumes[0].capacity"),
        ("tags[1]", "tags[1]"),
        ("a[0][1].b-c", "a[0][1].b-c"),
    ] {
        assert_eq!(path(written).to_string(), canonical);
        assert_eq!(path(canonical), path(written));
    }
    for bad in
        ["", " ", ".", "a.", "a..b", "a[", "a[]", "a[x]", "a[0]b", "[0]", "0.a", "a b", "a{", "a[-1]", "a[0"]
    {
        assert!(PropertyPath::parse(bad).is_err(), "{bad}");
    }
    assert!(path("details.general").is_details() && path("details").is_details());
    assert!(!path("detailsx.general").is_details() && !path("user.details").is_details());
}

#[test]
fn p16_a_property_is_its_value() {
    let (device, details) = (device(), details());
    for (mapped, expected) in [
        ("serial_number", text("C02TEST00001")),
        ("user.email", text("dana@example.com")),
        ("user.id", Evaluated::Value(json!(1))),
        ("mdm_enabled", Evaluated::Value(json!(true))),
        ("tags", Evaluated::Value(json!(["loan", "berlin"]))),
        ("tags[0]", text("berlin")),
        ("tags[1]", text("loan")),
        ("details.hardware_overview.memory", text("16 GB")),
        ("details.volumes[1].capacity", text("1 TB")),
        ("details.volumes.0.name", text("Macintosh HD")),
        ("details.odd.0", text("zero")),
    ] {
        assert_eq!(evaluate(mapped, &device, Some(&details)), expected, "{mapped}");
    }
}

#[test]
fn p14_absent_null_and_blank_are_blank() {
    let (device, details) = (device(), details());
    for mapped in [
        "asset_tag",
        "first_enrollment",
        "nowhere",
        "user.name",
        "user.email.deeper",
        "tags[2]",
        "details.network",
        "details.installed_profiles",
        "details.volumes[9].capacity",
        "{{ asset_tag }} and {{ user.name }}",
        "{{ model }} / {{ asset_tag }}",
        "{{ model ~ user.name }}",
        "{{ model }}, Mac {{ os_version_missing }}",
        "{{ model | default('x') }} {{ asset_tag }}",
        "{% if model %}{{ model }}{% endif %} {{ first_enrollment }}",
        "default {{ asset_tag }} if 'asset_tag' {{ 'asset_tag | default' }}",
        "{% if nowhere %}never{% endif %}",
        "{{ serial_number if false }}",
    ] {
        assert_eq!(evaluate(mapped, &device, Some(&details)), Evaluated::Blank, "{mapped}");
    }
    // An unassigned device has a text where the user was.
    assert_eq!(evaluate("user.email", &json!({"user": ""}), None), Evaluated::Blank);
    assert_eq!(evaluate("tags", &json!({"tags": ["", null]}), None), Evaluated::Blank);
}

/// A part of what is blank as a whole is provided for with the whole; one that is blank alone is not.
#[test]
fn p14_a_condition_about_the_whole_provides_for_its_parts() {
    let written = "{{ model }}{% if user %} of {{ user.email }}{% endif %}";
    let owned = json!({"model": "Mac", "user": {"email": "dana@example.com"}});
    assert_eq!(evaluate(written, &owned, None), text("Mac of dana@example.com"));
    assert_eq!(evaluate(written, &json!({"model": "Mac", "user": ""}), None), text("Mac"));
    let nameless = json!({"model": "Mac", "user": {"email": "", "name": "Dana"}});
    assert_eq!(evaluate(written, &nameless, None), Evaluated::Blank);
    let fallback = "{{ details.volumes[0].name | default('none') }}";
    let bare = json!({"volumes": []});
    assert_eq!(evaluate(fallback, &owned, Some(&bare)), text("none"), "the template says what then");
    assert_eq!(evaluate(&format!("{{{{ model }}}} {fallback}"), &owned, Some(&bare)), text("Mac none"));
}

proptest! {
    #[test]
    fn p16_sorting_never_flips(mut values in prop::collection::vec("[a-zA-Zé ]{0,4}", 0..6), seed: u64) {
        let sorted_once = sorted(json!(values));
        prop_assert_eq!(sorted(sorted_once.clone()), sorted_once.clone());
        let turned = usize::try_from(seed % 7).unwrap_or(0) % values.len().max(1);
        values.rotate_left(turned);
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().trim().to_owned()).collect()
        };
        prop_assert_eq!(texts(&sorted(json!(values))), texts(&sorted_once));
    }
}

#[test]
fn p17_what_was_not_read_is_unknown_and_not_blank() {
    let device = device();
    assert_eq!(evaluate("details.hardware_overview.memory", &device, None), Evaluated::Unknown);
    assert_eq!(evaluate("{{ model }} {{ details.network.ip_address }}", &device, None), Evaluated::Unknown);
    assert_eq!(evaluate("{{ model }}", &device, None), text("MacBook Air"));
}

#[test]
fn p16_templates_use_the_same_names() {
    let (device, details) = (device(), details());
    for (mapped, expected) in [
        ("{{ model }}, macOS {{ os_version }}", "MacBook Air, macOS 15.1"),
        ("{{ model }} / {{ asset_tag | default('') }}", "MacBook Air /"),
        ("{{ model }} / {{ asset_tag or 'no tag' }}", "MacBook Air / no tag"),
        ("{{ user.email | upper }}{% if user.name %}{{ user.name }}{% endif %}", "DANA@EXAMPLE.COM"),
        ("{{ model ~ (user.name | default('')) ~ (first_enrollment | d('')) }}", "MacBook Air"),
        ("{{ model }}{{ ', ' ~ asset_tag if asset_tag }}", "MacBook Air"),
        ("Tags: {{ tags }}", "Tags: berlin, loan"),
        ("{{ tags | join('/') }}", "berlin/loan"),
        ("{{ details.volumes[0].capacity }}", "228 GB"),
        ("{{ details['hardware_overview'].memory }}", "16 GB"),
        ("{% for v in details.volumes %}{{ v.name }};{% endfor %}", "Macintosh HD;Data;"),
        ("{% if mdm_enabled %}managed{% else %}free{% endif %}", "managed"),
        ("{{ user.email }}{% if user %} has it{% endif %}", "dana@example.com has it"),
        ("{{ 'Apple' }}", "Apple"),
        ("{{ os_version | default('none') }}", "15.1"),
        ("<{{ model }}>", "<MacBook Air>"),
    ] {
        assert_eq!(evaluate(mapped, &device, Some(&details)), text(expected), "{mapped}");
    }
}

#[test]
fn p15_a_template_that_fails_says_why() {
    let Evaluated::Failed(reason) = evaluate("{{ model / 2 }}", &device(), None) else { panic!("must fail") };
    assert!(reason.contains("the template fails"), "{reason}");
}

#[test]
fn templates_that_cannot_be_read_are_refused() {
    for bad in [
        "{{ model",
        "{{ model }",
        "{{ model | uper }}",
        "{{ model is nothing_known }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{{ range(3) }}",
        "{{ debug() }}",
        "{% if model %}",
    ] {
        assert!(FieldSource::parse(bad).is_err(), "{bad}");
    }
}

fn mapping(fields: &[(&str, &str)]) -> Mapping {
    let mut mapping = Mapping::new();
    for (field, written) in fields {
        let place = SourceLocation::Variable((*field).to_owned());
        mapping.insert(*field, MappedField { source: source(written), place });
    }
    mapping
}

#[test]
fn p17_a_mapping_knows_its_properties() {
    let plain = mapping(&[
        ("Serial", "serial_number"),
        ("Notes", "{{ model }} {{ user.email }}{% for t in tags %}{{ t }}{% endfor %}"),
    ]);
    let names: Vec<String> = plain.properties().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["model", "serial_number", "tags", "user.email"]);
    assert!(!plain.needs_details());
    assert_eq!(
        (plain.field_of("serial_number"), plain.field_of("model"), plain.len()),
        (Some("Serial"), None, 2)
    );
    for detailed in ["details.general.last_user", "{{ details.volumes[0].name }}", "{{ details['x'] }}"] {
        assert!(mapping(&[("Field", detailed)]).needs_details(), "{detailed}");
    }
}

#[test]
fn p18_documented_properties_are_known_and_misspelt_ones_have_a_nearest() {
    for name in known::PROPERTIES {
        assert!(known::is_documented(&path(&name.replace("[N]", "[3]"))), "{name}");
        assert_eq!(
            known::nearest(&name.replace("[N]", "[0]")).as_deref(),
            Some(name.trim_end_matches("[N]").replace("[N]", "[0]").as_str())
        );
    }
    assert!(known::PROPERTIES.is_sorted());
    for whole in
        ["user", "tags", "details", "details.volumes", "details.volumes[0]", "details.hardware_overview"]
    {
        assert!(known::is_documented(&path(whole)), "{whole}");
    }
    for unknown in ["serial", "serial_numbe", "user.mail", "details.volumes.capacity", "details.hardware"] {
        assert_eq!(known::is_documented(&path(unknown)), unknown == "details.hardware", "{unknown}");
    }
    for (wrong, right) in [
        ("serial_numbr", Some("serial_number")),
        ("serialnumber", Some("serial_number")),
        ("Serial_Number", Some("serial_number")),
        ("user.mail", Some("user.email")),
        ("email", Some("user.email")),
        ("general.asset_tag", Some("details.general.asset_tag")),
        ("hardware_overview.memory", Some("details.hardware_overview.memory")),
        ("memory", Some("details.hardware_overview.memory")),
        ("details.volumes.capacity", Some("details.volumes[0].capacity")),
        ("details.volumes[2].capacty", Some("details.volumes[0].capacity")),
        ("tag", Some("tags")),
        ("zzzzzz", None),
    ] {
        assert_eq!(known::nearest(wrong).as_deref(), right, "{wrong}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let name =
        prop_oneof!["[a-z_]{1,6}", Just("user".to_owned()), Just("email".to_owned()), Just("0".to_owned())];
    scalar.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn evaluating_never_panics_and_never_gives_a_blank_value(user in any_json(), volumes in any_json(), known in any::<bool>()) {
        let (device, details) = (json!({"user": user, "tags": volumes}), json!({"volumes": volumes, "user": user}));
        for written in [
            "user", "user.email", "user[0].email", "tags", "details.volumes[0].email",
            "{{ user.email }}", "{{ user }}{{ user.email }}{{ tags[0] }}", "{{ user.email | upper }}",
            "{% for v in details.volumes %}{{ v.email }}{% endfor %}", "{{ user ~ tags }}", "{{ user.email + 1 }}",
        ] {
            match evaluate(written, &device, known.then_some(&details)) {
                Evaluated::Value(value) => prop_assert!(!is_blank(&value), "{written}: {value}"),
                Evaluated::Unknown => prop_assert!(!known && written.contains("details.")),
                Evaluated::Blank | Evaluated::Failed(_) => {}
            }
        }
    }

    #[test]
    fn reading_a_mapping_never_panics(written in "\\PC{0,40}") {
        for text in [written.clone(), format!("{{{{ {written} }}}}"), format!("details.{written}")] {
            if let Ok(source) = FieldSource::parse(&text) {
                let value = json!({"a": [1, null]});
                let _ = source.evaluate(&|_| Known::Known(&value));
            }
        }
    }

    #[test]
    fn a_path_reads_back_what_it_writes(names in prop::collection::vec("[a-z_]{1,5}|[0-9]{1,3}", 1..5)) {
        if let Ok(path) = PropertyPath::parse(&names.join(".")) {
            prop_assert_eq!(PropertyPath::parse(&path.to_string()), Ok(path));
        }
    }
}

/// Whatever a template does, it ends, and what it makes is small: loops in loops, texts that are doubled, repeated, padded
/// or replaced by themselves.
#[test]
fn a_template_that_does_too_much_fails_and_takes_neither_time_nor_memory() {
    let many =
        json!({ "tags": (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>(), "model": "x".repeat(1_000) });
    let again = "{% set m = m ~ m %}".repeat(60);
    for text in [
        "{% for a in tags %}{% for b in tags %}{% for c in tags %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in tags %}{% for b in tags %}{{ model }}{% endfor %}{% endfor %}",
        &format!("{{% set m = model %}}{again}{{{{ m }}}}"),
        &format!("{{% set m = tags %}}{}{{{{ m }}}}", "{% set m = m + m %}".repeat(30)),
        "{{ model * 1000000000 }}",
        "{{ model * 60000 }}",
        "{{ [model] * 100000000 }}",
        "{{ [none] * 100000000 }}",
        "{{ tags * 9999 * 9999 }}",
        "{{ tags * 9999 }}",
        "{{ (tags + tags) * 9999 }}",
        "{{ model|replace('x', model)|replace('x', model)|replace('x', model)|replace('x', model) }}",
        "{{ tags|join(model)|replace('x', model) }}",
        "{{ '%999999999s'|format(model) }}",
        "{{ model|indent(900000000, true, true) }}",
        "{{ model|center(900000000) }}",
        "{% macro a(b) %}{{ a(b ~ b) }}{% endmacro %}{{ a(model) }}",
        "{% for a in tags recursive %}{{ loop(tags) }}{% endfor %}",
        "{{ model ~ tags|join(model) }}",
        "{% filter replace('x', model) %}{{ model }}{{ model }}{% endfilter %}",
    ] {
        let Ok(source) = FieldSource::parse(text) else { continue };
        let made = source.evaluate(&|path| Known::Known(path.lookup(&many).unwrap_or(&Value::Null)));
        let shown: String = format!("{made:?}").chars().take(99).collect();
        assert!(matches!(made, Evaluated::Failed(_)), "{text}: {shown}");
        let Evaluated::Failed(why) = made else { continue };
        assert!(why.len() < 400, "{text}: {why}");
    }
    // What people write takes a fraction of that.
    let made = evaluate("{% for tag in tags %}{{ tag|upper }};{% endfor %}{{ model }}", &many, None);
    assert!(matches!(made, Evaluated::Value(_)), "{made:?}");
}

#[test]
fn a_value_can_be_made_plain() {
    let device = json!({ "model": "=1+<b>*Air*</b>", "tags": ["+a", "{b}"], "user": null });
    assert_eq!(evaluate("{{ model | plain }}", &device, None), text("1 Air"));
    assert_eq!(evaluate("{{ tags | plain }}", &device, None), text("a, b"));
    assert_eq!(evaluate("{{ user.name | plain }}", &device, None), Evaluated::Blank);
    assert_eq!(evaluate("{{ user.name | default('=x') | plain }}", &device, None), text("x"));
}
