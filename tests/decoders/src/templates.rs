//! Templates of a person over values of whoever enrols a device.

use amfj_sync_model::mapping::{Evaluated, FieldSource, Known, PropertyPath, is_blank};
use serde_json::Value;

use crate::{screen, separated};

/// Bytes of the longest text that a template may make.
const LONGEST: usize = 64 << 10;

/// The right side of a mapping, and a device as JSON.
pub(crate) fn mapped(input: &[u8]) {
    let mut parts = separated(input);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let device: Value = serde_json::from_slice(parts.next().unwrap_or_default()).unwrap_or_default();
    plain(&device);
    let source = match FieldSource::parse(&text) {
        Ok(source) => source,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(
        FieldSource::parse(&source.to_string()).ok().map(|again| again.properties()),
        Some(source.properties())
    );
    let evaluated = evaluate(&source, &device);
    assert_eq!(evaluate(&source, &device), evaluated, "the same twice");
    match &evaluated {
        Evaluated::Value(value) => {
            assert!(!is_blank(value));
            if let (Value::String(made), FieldSource::Template(_)) = (value, &source) {
                assert!(made.len() <= LONGEST && made.trim() == made, "{} bytes", made.len());
            }
        }
        Evaluated::Failed(why) => assert!(why.chars().count() < 400, "{why}"),
        Evaluated::Unknown => panic!("everything is known"),
        Evaluated::Blank => {}
    }
    let unknown = source.evaluate(&|_| Known::Unknown);
    assert!(source.properties().is_empty() || unknown == Evaluated::Unknown);
}

fn evaluate(source: &FieldSource, device: &Value) -> Evaluated {
    const NOTHING: &Value = &Value::Null;
    source.evaluate(&|path: &PropertyPath| Known::Known(path.lookup(device).unwrap_or(NOTHING)))
}

/// Whatever a name is, `plain` leaves nothing that a terminal obeys, that is a tag, or that begins a formula, and has
/// nothing more to do afterwards.
fn plain(device: &Value) {
    let Some(name) = device.get("device_name").and_then(Value::as_str) else { return };
    let made = made_plain(name);
    assert!(!made.chars().any(screen::steers), "{made:?}");
    assert!(!made.contains(['<', '>', '{', '}', '[', ']', '|']), "{made:?}");
    assert!(!made.starts_with(['=', '+', '-', '@']), "{made:?}");
    assert_eq!(made_plain(&made), made);
}

fn made_plain(name: &str) -> String {
    let Ok(source) = FieldSource::parse("{{ device_name | plain }}") else { panic!("it is a template") };
    let value = Value::from(name);
    match source.evaluate(&|_| Known::Known(&value)) {
        Evaluated::Value(Value::String(made)) => made,
        _ => String::new(),
    }
}
