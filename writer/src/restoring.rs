//! Making a past change again, where AMFJ still holds what that change found or wrote (P29).
//!
//! What the view says does not count here: AMFJ may have been restored from an old backup since it was
//! listed. So the record is read first, and each value is compared on its own.

use std::collections::BTreeMap;

use amfj_sync_amfj::client::{AssetPatch, UserPatch};
use amfj_sync_model::amfj::{Asset, Holder, UserRecord};
use amfj_sync_model::ids::RecordId;
use amfj_sync_model::mapping::is_blank;
use amfj_sync_model::messages::{Catalogue, Edit, Outcome, Past};
use amfj_sync_model::names::email_key;
use amfj_sync_projection::Projection;
use serde_json::Value;

use crate::context::IntegrationContext;

/// What is to be written again, and which fields stay because they hold something else by now.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Again<P> {
    pub(crate) patch: P,
    pub(crate) edits: BTreeMap<String, Edit>,
    pub(crate) stay: Vec<String>,
}

impl<P> Again<P> {
    /// Whether AMFJ holds everything as it was written.
    pub(crate) fn is_done(&self) -> bool {
        self.edits.is_empty() && self.stay.is_empty()
    }

    /// Which values stay as somebody set them since; none where all are as they were written.
    pub(crate) fn why_not(&self) -> Option<String> {
        let fields = self.stay.join(", ");
        (!self.stay.is_empty()).then(|| format!("AMFJ holds another value by now, which stays: {fields}"))
    }
}

/// How a value of the past compares with the present one.
enum Standing {
    /// The value that was written is there.
    Done,
    /// The value that was found is there again.
    Reverted,
    /// Somebody changed it since.
    Changed,
}

fn standing(past: &Past, held: &Value) -> Standing {
    let same = |one: &Value| one == held || (is_blank(one) && is_blank(held));
    if same(&past.written) || past.stored.as_ref().is_some_and(same) {
        Standing::Done
    } else if same(&past.found) {
        Standing::Reverted
    } else {
        Standing::Changed
    }
}

fn compare<P: Default>(
    fields: &BTreeMap<String, Past>,
    held: impl Fn(&str) -> Value,
    mut write: impl FnMut(&mut P, &str, &Value) -> bool,
) -> Again<P> {
    let mut again = Again { patch: P::default(), edits: BTreeMap::new(), stay: Vec::new() };
    for (field, past) in fields {
        let held = held(field);
        match standing(past, &held) {
            Standing::Done => {}
            Standing::Reverted if write(&mut again.patch, field, &past.written) => {
                again.edits.insert(field.clone(), Edit { old: held, new: past.written.clone() });
            }
            Standing::Reverted | Standing::Changed => again.stay.push(field.clone()),
        }
    }
    again
}

/// What of these fields is to be written to an asset again.
pub(crate) fn asset_again(
    asset: &Asset,
    fields: &BTreeMap<String, Past>,
    catalogue: &Catalogue,
) -> Again<AssetPatch> {
    let held = |field: &str| Outcome::shown_by_asset(asset, field);
    compare(fields, held, |patch: &mut AssetPatch, field, value| match field {
        Outcome::NAME => {
            patch.name = value.as_str().map(str::to_owned);
            patch.name.is_some()
        }
        Outcome::LOCATION => {
            let place = value.as_str().and_then(|name| catalogue.location_named(name));
            patch.location_id = place.map(|place| place.id.clone());
            patch.location_id.is_some()
        }
        field => {
            patch.fields.insert(field.to_owned(), value.clone());
            true
        }
    })
}

/// What of these fields is to be written to a user record again.
pub(crate) fn record_again(record: &UserRecord, fields: &BTreeMap<String, Past>) -> Again<UserPatch> {
    let held = |field: &str| Outcome::shown_by_record(record, field);
    compare(fields, held, |patch: &mut UserPatch, field, value| match field {
        Outcome::NAME => {
            patch.name = value.as_str().map(str::to_owned);
            patch.name.is_some()
        }
        Outcome::EMAIL => {
            patch.email = value.as_str().map(str::to_owned);
            patch.email.is_some()
        }
        field => {
            patch.fields.insert(field.to_owned(), value.clone());
            true
        }
    })
}

/// Whether an assignment of the past is to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HolderAgain {
    /// The holder of then has it.
    Done,
    /// Whoever had it before has it again.
    Reverted,
    /// Somebody else, or by now nobody.
    Changed,
}

/// `halfway`: an earlier attempt of this very change may have checked it in and got no further.
pub(crate) fn holder_again(
    now: Option<&Holder>,
    found: Option<&Holder>,
    wanted: Option<&Holder>,
    halfway: bool,
) -> HolderAgain {
    let id = |holder: Option<&Holder>| holder.map(|holder| holder.id.clone());
    if id(now) == id(wanted) {
        HolderAgain::Done
    } else if id(now) == id(found) || (halfway && now.is_none()) {
        HolderAgain::Reverted
    } else {
        HolderAgain::Changed
    }
}

/// Why an asset is not checked out to this record now, whatever was right then (P20).
pub(crate) fn barred(context: &IntegrationContext, view: &Projection, record: &RecordId) -> Option<String> {
    let sync = &context.integration.sync;
    if !sync.auto_checkout {
        return Some("auto_checkout is off".to_owned());
    }
    let Some(row) = view.record(record) else {
        return Some("the user record no longer exists".to_owned());
    };
    let listed = |email: Option<&str>| {
        email.and_then(email_key).is_some_and(|email| sync.no_checkout_users.contains(&email))
    };
    let people = view.linked_users(record).into_iter().filter_map(|id| view.user_of(&id));
    let people: Vec<_> = people.filter_map(|key| view.user(&key)).collect();
    if people.iter().any(|person| person.entry.archived) {
        return Some(format!("{} is archived in Kandji", row.record.name));
    }
    let named = people.iter().any(|person| listed(person.entry.email.as_deref()));
    (named || listed(row.record.email.as_deref()))
        .then(|| format!("{} is listed in no_checkout_users", row.record.name))
}

#[cfg(test)]
mod tests {
    use amfj_sync_model::amfj::Named;
    use serde_json::json;

    use super::*;

    fn past(found: Value, written: Value) -> Past {
        Past { found, written, stored: None }
    }

    fn holder(id: &str) -> Holder {
        Holder { id: RecordId::new(id).unwrap(), name: id.to_owned() }
    }

    #[test]
    fn only_values_found_then_are_written_again() {
        let asset = Asset {
            id: amfj_sync_model::ids::AssetId::new("A1").unwrap(),
            name: "Lobby".into(),
            asset_type: Named { id: "T1".into(), name: "Laptop".into() },
            location: None,
            fields: BTreeMap::from([
                ("Reverted".into(), json!("old")),
                ("Done".into(), json!("new")),
                ("By hand".into(), json!("mine")),
                ("Trimmed".into(), json!("new")),
            ]),
            checked_out_to: None,
            created_at: None,
        };
        let mut catalogue = Catalogue::default();
        catalogue.locations.push(Named { id: "L1".into(), name: "HQ".into() });
        let fields = BTreeMap::from([
            ("Reverted".to_owned(), past(json!("old"), json!("new"))),
            ("Done".to_owned(), past(json!("old"), json!("new"))),
            ("By hand".to_owned(), past(json!("old"), json!("new"))),
            ("Trimmed".to_owned(), Past { stored: Some(json!("new")), ..past(json!("old"), json!(" new ")) }),
            ("Blank".to_owned(), past(json!(""), json!("new"))),
            (Outcome::NAME.to_owned(), past(json!("Lobby"), json!("Reception"))),
            (Outcome::LOCATION.to_owned(), past(Value::Null, json!("HQ"))),
        ]);
        let again = asset_again(&asset, &fields, &catalogue);
        let written: Vec<&String> = again.patch.fields.keys().collect();
        assert_eq!(written, ["Blank", "Reverted"]);
        assert_eq!(again.patch.name.as_deref(), Some("Reception"));
        assert_eq!(again.patch.location_id.as_deref(), Some("L1"));
        assert_eq!(again.stay, ["By hand"]);
        assert_eq!(again.edits["Reverted"], Edit { old: json!("old"), new: json!("new") });
    }

    #[test]
    fn an_asset_that_changed_hands_by_hand_stays_where_it_is() {
        let (ana, ben, cleo) = (holder("ana"), holder("ben"), holder("cleo"));
        let (found, wanted) = (Some(&ana), Some(&ben));
        let table = [
            (Some(&ana), false, HolderAgain::Reverted),
            (Some(&ben), false, HolderAgain::Done),
            (Some(&cleo), false, HolderAgain::Changed),
            (None, false, HolderAgain::Changed),
            (None, true, HolderAgain::Reverted),
        ];
        for (now, halfway, expected) in table {
            assert_eq!(holder_again(now, found, wanted, halfway), expected, "{now:?} {halfway}");
        }
    }
}
