//! What is known of an integration, as rows that mean the same in another stream: for exports and imports.
//!
//! The rows are those of a view, and so those of a checkpoint. Where a row tells a place in the stream it is 0: the stream
//! that the rows come into says which place they get. What hangs on a place (a value that a person had tried again since, a
//! settled user that was forgotten) is decided before it is left out.

use std::collections::BTreeSet;

use amfj_sync_model::ids::{DeviceId, KandjiUserId, Key};
use amfj_sync_model::mapping::fingerprint::until_rematch;
use amfj_sync_model::messages::Standing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::keys::table;
use super::rows::{
    Age, AssetRow, DeviceRow, Doubt, IntentRow, LinkRow, Memory, Meta, PersonRow, RecordRow, SettledRow,
    UserLinkRow, UserRow,
};
use super::view::{Projection, Unreadable};

/// A row that goes from one stream to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarriedRow {
    /// What it is a row of.
    pub table: String,
    /// Of whom.
    pub id: String,
    /// What is known.
    pub row: Value,
}

impl CarriedRow {
    fn of<T: Serialize>(table: &str, id: &str, row: &T) -> Self {
        // Our own rows always serialise.
        let row = serde_json::to_value(row).unwrap_or_default();
        Self { table: table.to_owned(), id: id.to_owned(), row }
    }

    /// The key of the row in a view.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.table, self.id)
    }

    /// The same row as this release writes it.
    ///
    /// # Errors
    /// What is wrong, in a few words, if it is no row that can be taken.
    pub fn checked(self) -> Result<Self, String> {
        let row = Arrival::of(&self.key(), &self.row)?;
        Ok(match &row {
            Arrival::Asset(row) => Self::of(&self.table, &self.id, row),
            Arrival::Record(row) => Self::of(&self.table, &self.id, row),
            Arrival::Device(row) => Self::of(&self.table, &self.id, row),
            Arrival::User(row) => Self::of(&self.table, &self.id, row),
            Arrival::Link(_, row) => Self::of(&self.table, &self.id, row),
            Arrival::UserLink(_, row) => Self::of(&self.table, &self.id, row),
            Arrival::Memory(_, row) => Self::of(&self.table, &self.id, row),
            Arrival::Person(_, row) => Self::of(&self.table, &self.id, row),
            Arrival::Said(_, row) => Self::of(&self.table, &self.id, row),
        })
    }

    /// The asset that a device is linked to, if it is the row of a link.
    #[must_use]
    pub fn linked_asset(&self) -> Option<&str> {
        (self.table == table::LINK).then(|| self.row["asset"].as_str()).flatten()
    }
}

/// A row that comes into a view.
pub(super) enum Arrival {
    Asset(AssetRow),
    Record(RecordRow),
    Device(DeviceRow),
    User(UserRow),
    Link(DeviceId, LinkRow),
    UserLink(KandjiUserId, UserLinkRow),
    Memory(Key, Memory),
    Person(String, PersonRow),
    Said(Uuid, Timestamp),
}

impl Arrival {
    pub(super) fn of(key: &str, row: &Value) -> Result<Self, String> {
        let (table, id) = key.split_once('/').ok_or_else(|| "it is a row of nothing".to_owned())?;
        let of_nobody = || format!("a row of `{table}` has no id that could be one");
        let of_another = |is: &str| if is == id { Ok(()) } else { Err(of_nobody()) };
        Ok(match table {
            table::ASSET => {
                let row: AssetRow = read(table, row)?;
                of_another(row.asset.id.as_str())?;
                Self::Asset(row)
            }
            table::RECORD => {
                let row: RecordRow = read(table, row)?;
                of_another(row.record.id.as_str())?;
                Self::Record(row)
            }
            table::DEVICE => {
                let row: DeviceRow = read(table, row)?;
                of_another(row.entry.device_id.as_str())?;
                Self::Device(row)
            }
            table::USER => {
                let row: UserRow = read(table, row)?;
                of_another(row.entry.key.as_str())?;
                Self::User(row)
            }
            table::LINK => Self::Link(DeviceId::new(id).map_err(|_| of_nobody())?, read(table, row)?),
            table::USER_LINK => {
                Self::UserLink(KandjiUserId::new(id).map_err(|_| of_nobody())?, read(table, row)?)
            }
            table::MEMORY => Self::Memory(Key::parse(id).ok_or_else(of_nobody)?, read(table, row)?),
            table::PERSON => {
                let known = id.strip_prefix("device/").or_else(|| id.strip_prefix("kandji-user/"));
                known.filter(|id| !id.trim().is_empty()).ok_or_else(of_nobody)?;
                Self::Person(id.to_owned(), read(table, row)?)
            }
            table::SAID => Self::Said(id.parse().map_err(|_| of_nobody())?, read(table, row)?),
            _ => return Err("it is a row of nothing that this release takes".to_owned()),
        })
    }
}

fn read<T: for<'a> Deserialize<'a>>(table: &str, row: &Value) -> Result<T, String> {
    T::deserialize(row).map_err(|error| {
        let error: String = error.to_string().chars().take(200).collect();
        format!("it is no row of `{table}`: {error}")
    })
}

/// How far the integration is.
#[must_use]
pub fn standing(view: &Projection) -> Standing {
    let meta = view.meta();
    Standing {
        runs: meta.runs,
        first_sync_over: meta.first_sync_over,
        applied_mapping: meta.applied_mapping.clone(),
    }
}

/// Why nothing can be imported here; none where it can.
pub fn obstacle(view: &Projection) -> Result<Option<String>, Unreadable> {
    view.whole(|view| {
        let links = view.count_links();
        let (mut people, mut at_work, mut under_way) = (0_usize, false, false);
        view.each_user_link(&mut |_, _| {
            people += 1;
            true
        });
        view.each_intent(&mut |_, _| {
            at_work = true;
            false
        });
        if links + people == 0 && !at_work {
            view.each_decision(&mut |decision| {
                under_way = view.is_change_under_way(&decision.key);
                !under_way
            });
        }
        if links + people > 0 {
            Some(format!("it has links already ({links} of devices, {people} of people)"))
        } else if at_work || under_way {
            Some("changes of it are on their way to AMFJ".to_owned())
        } else {
            None
        }
    })
}

/// Whether this import took effect here.
#[must_use]
pub fn is_here(view: &Projection, import: Uuid) -> bool {
    let mut found = false;
    view.each(table::SAID, &mut |id, _: Timestamp| {
        found = id.parse() == Ok(import);
        !found
    });
    found
}

/// Shows every row that another stream needs to go on from here.
///
/// # Errors
/// If a row cannot be read: an export without it would make the loss good for ever.
pub fn each_row(view: &Projection, visit: &mut dyn FnMut(CarriedRow)) -> Result<(), Unreadable> {
    view.whole(|view| {
        let meta = view.meta();
        links(view, visit);
        memories(view, visit);
        view.each(table::PERSON, &mut |id, row: PersonRow| {
            visit(CarriedRow::of(table::PERSON, id, &row));
            true
        });
        view.each(table::SAID, &mut |id, at: Timestamp| {
            visit(CarriedRow::of(table::SAID, id, &at));
            true
        });
        view.each_asset(&mut |row| {
            let row = carried_asset(row, meta);
            visit(CarriedRow::of(table::ASSET, row.asset.id.as_str(), &row));
            true
        });
        view.each_record(&mut |row| {
            let row = carried_record(row, meta);
            visit(CarriedRow::of(table::RECORD, row.record.id.as_str(), &row));
            true
        });
        view.each_device(&mut |row| {
            visit(CarriedRow::of(table::DEVICE, row.entry.device_id.as_str(), &row));
            true
        });
        view.each_user(&mut |row| {
            visit(CarriedRow::of(table::USER, row.entry.key.as_str(), &row));
            true
        });
    })
}

fn links(view: &Projection, visit: &mut dyn FnMut(CarriedRow)) {
    view.each_link(&mut |device, row| {
        visit(CarriedRow::of(table::LINK, device.as_str(), &row));
        true
    });
    view.each_user_link(&mut |user, row| {
        visit(CarriedRow::of(table::USER_LINK, user.as_str(), &row));
        true
    });
}

fn memories(view: &Projection, visit: &mut dyn FnMut(CarriedRow)) {
    // What decisions say is decided anew, but for this.
    let mut in_first_sync = BTreeSet::new();
    view.each_decision(&mut |decision| {
        if decision.first_sync {
            in_first_sync.insert(decision.key.to_string());
        }
        true
    });
    let meta = view.meta();
    view.each(table::MEMORY, &mut |id, memory: Memory| {
        let mut memory = carried_memory(memory, meta);
        memory.first_sync |= in_first_sync.remove(id);
        if memory != Memory::default() {
            visit(CarriedRow::of(table::MEMORY, id, &memory));
        }
        true
    });
    for id in in_first_sync {
        visit(CarriedRow::of(table::MEMORY, &id, &Memory { first_sync: true, ..Memory::default() }));
    }
}

fn carried_asset(row: AssetRow, meta: &Meta) -> AssetRow {
    let confirmed = row.age.was_shown_by(meta.in_force.as_ref());
    AssetRow { claims: row.claims.carried(confirmed, meta.rematch), ..row }.at(0)
}

fn carried_record(row: RecordRow, meta: &Meta) -> RecordRow {
    let confirmed = row.age.was_shown_by(meta.in_force.as_ref());
    RecordRow { claims: row.claims.carried(confirmed, meta.rematch), ..row }.at(0)
}

fn carried_memory(mut memory: Memory, meta: &Meta) -> Memory {
    let rematch = meta.rematch;
    memory.settled = memory.settled.filter(|settled| settled.offset > meta.forgotten_until);
    // What a later `rematch` has tried again counts no more.
    memory.failed.retain(|_, failed| failed.rematch == rematch);
    for failed in memory.failed.values_mut() {
        failed.rematch = None;
    }
    memory.refused.retain(|_, refusal| {
        let until = refusal.fingerprint.as_deref().filter(|then| then.starts_with(&until_rematch(None)));
        match (&refusal.fingerprint, until) {
            (None, _) => rematch.is_none(),
            (_, Some(until)) => until == until_rematch(rematch),
            (_, None) => true,
        }
    });
    for refusal in memory.refused.values_mut() {
        refusal.fingerprint.take_if(|then| *then == until_rematch(rematch));
    }
    // Its message was in a queue.
    memory.handed_back = None;
    memory.at(0, None)
}

impl AssetRow {
    /// The same as of an offset of the stream that it comes into.
    pub(super) fn at(self, offset: u64) -> Self {
        let Self { asset, age, doubt, found, claims } = self;
        Self {
            asset,
            age: Age { offset, ..age },
            doubt: doubt.map(|doubt| Doubt { offset, ..doubt }),
            found: found.map(|_| offset),
            claims: claims.arrived(offset),
        }
    }
}

impl RecordRow {
    /// The same as of an offset of the stream that it comes into.
    pub(super) fn at(self, offset: u64) -> Self {
        let Self { record, age, ours, absent_since, found, claims } = self;
        let age = Age { offset, ..age };
        Self { record, age, ours, absent_since, found: found.map(|_| offset), claims: claims.arrived(offset) }
    }
}

impl Memory {
    /// The same as of an offset of the stream that it comes into, and of the latest `rematch` there.
    pub(super) fn at(mut self, offset: u64, rematch: Option<u64>) -> Self {
        self.settled = self.settled.map(|settled| SettledRow { offset, ..settled });
        for failed in self.failed.values_mut() {
            failed.rematch = rematch;
            failed.first_attempt = failed.first_attempt.take().map(|row| IntentRow { offset, ..row });
        }
        self
    }

    /// What was refused and says of no field until when, counts until the next `rematch`.
    pub(super) fn refused_until(mut self, rematch: Option<u64>) -> Self {
        for refusal in self.refused.values_mut() {
            refusal.fingerprint.get_or_insert_with(|| until_rematch(rematch));
        }
        self
    }
}
