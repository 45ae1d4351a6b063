//! What a value that AMFJ refused depends on besides itself: once that changes, it is tried again (P15).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{FieldSource, Mapping};
use crate::amfj::{Field, FieldType};
use crate::messages::{Catalogue, Outcome, Refusal};

/// Set apart from all other names that ids are made of.
const SPACE: Uuid = Uuid::from_u128(0x0b0f_5f5e_3f8d_4c57_9d1c_6e1d_7a4b_2c90);

/// Of the definition of a field, of what fills it (`source` is the text of the mapping, blank where none does), and of the
/// latest `rematch` (its offset in the state stream).
#[must_use]
pub fn fingerprint(field: &Field, source: &str, rematch: Option<u64>) -> String {
    // Our own types with text keys: they always serialise.
    let definition = serde_json::to_string(field).unwrap_or_default();
    let whole = serde_json::json!([definition, source, rematch]).to_string();
    Uuid::new_v5(&SPACE, whole.as_bytes()).simple().to_string()
}

/// What fills each field, as a short hash: enough to tell that it is another mapping (P23).
#[must_use]
pub fn hashes(mapping: &Mapping) -> BTreeMap<String, String> {
    mapping.iter().map(|(field, mapped)| (field.to_owned(), hash(&mapped.source))).collect()
}

/// The short hash of what fills a field.
#[must_use]
pub fn hash(source: &FieldSource) -> String {
    let whole = Uuid::new_v5(&SPACE, source.to_string().as_bytes()).simple().to_string();
    whole[..8].to_owned()
}

/// Of a refusal whose writer did not say what the field was like: it counts until the next `rematch`.
#[must_use]
pub fn until_rematch(rematch: Option<u64>) -> String {
    rematch.map_or_else(|| "until-rematch".to_owned(), |offset| format!("until-rematch-after-{offset}"))
}

impl Refusal {
    /// Whether the value is still not to be tried, where the field and its mapping are as this fingerprint says. A
    /// refusal of an earlier release, which has none, counts until somebody says `rematch`.
    #[must_use]
    pub fn counts(&self, fingerprint: &str, rematch: Option<u64>) -> bool {
        match &self.fingerprint {
            None => rematch.is_none(),
            Some(then) => then == fingerprint || *then == until_rematch(rematch),
        }
    }
}

/// The name or the email of a record as a field. It cannot be cleared.
#[must_use]
pub fn built_in(name: &str) -> Field {
    Field { name: name.to_owned(), field_type: FieldType::Text, required: true, options: Vec::new() }
}

/// [`fingerprint`] of a field of assets of one type; none where the type does not have it.
#[must_use]
pub fn of_asset_field(
    mapping: &Mapping,
    catalogue: &Catalogue,
    asset_type: &str,
    field: &str,
    rematch: Option<u64>,
) -> Option<String> {
    let source = mapping.get(field).map(|mapped| mapped.source.to_string()).unwrap_or_default();
    if field == Outcome::NAME {
        return Some(fingerprint(&built_in(field), &source, rematch));
    }
    let definition = catalogue.asset_type(asset_type)?.field(field)?;
    Some(fingerprint(definition, &source, rematch))
}

/// [`fingerprint`] of a field of user records; none where they do not have it.
#[must_use]
pub fn of_record_field(
    mapping: &Mapping,
    catalogue: &Catalogue,
    field: &str,
    rematch: Option<u64>,
) -> Option<String> {
    let source = mapping.get(field).map(|mapped| mapped.source.to_string()).unwrap_or_default();
    if field == Outcome::NAME || field == Outcome::EMAIL {
        return Some(fingerprint(&built_in(field), &source, rematch));
    }
    let definition = catalogue.user_fields.iter().find(|known| known.name == field)?;
    Some(fingerprint(definition, &source, rematch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_changes_with_the_definition_the_mapping_and_the_latest_rematch_and_with_nothing_else() {
        let field = Field {
            name: "Colour".into(),
            field_type: FieldType::Select,
            required: false,
            options: vec!["Silver".into()],
        };
        let was = fingerprint(&field, "details.colour", None);
        assert_eq!(was, fingerprint(&field.clone(), "details.colour", None));
        let with_option = Field { options: vec!["Silver".into(), "Gold".into()], ..field.clone() };
        let required = Field { required: true, ..field.clone() };
        let text = Field { field_type: FieldType::Text, ..field.clone() };
        for (what, now) in [
            ("options", fingerprint(&with_option, "details.colour", None)),
            ("required", fingerprint(&required, "details.colour", None)),
            ("type", fingerprint(&text, "details.colour", None)),
            ("mapping", fingerprint(&field, "colour", None)),
            ("rematch", fingerprint(&field, "details.colour", Some(7))),
        ] {
            assert_ne!(was, now, "{what}");
        }
    }

    #[test]
    fn a_refusal_without_fingerprint_counts_until_a_rematch() {
        let refusal = |fingerprint: Option<&str>| Refusal {
            value: json!("x"),
            reason: "no".into(),
            fingerprint: fingerprint.map(str::to_owned),
        };
        assert!(refusal(None).counts("now", None) && !refusal(None).counts("now", Some(3)));
        assert!(refusal(Some("now")).counts("now", None) && !refusal(Some("then")).counts("now", None));
        let unsaid = until_rematch(Some(3));
        assert!(refusal(Some(&unsaid)).counts("now", Some(3)));
        assert!(!refusal(Some(&unsaid)).counts("now", Some(9)));
    }
}
