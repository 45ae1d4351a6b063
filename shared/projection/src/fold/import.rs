//! An import: what was known of the integration in another stream, staged part by part, in force all at once.

use std::collections::BTreeMap;

use amfj_sync_model::messages::{Decision, Outcome, Standing};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::super::keys::{index, index_key, table};
use super::super::rows::{Answered, AssetRow, Importing, Memory, PersonRow, RecordRow};
use super::super::store::StoreError;
use super::super::transfer::Arrival;
use super::super::view::parse_row;
use super::outcome::held_by_asset;
use super::{Projector, Verdict};

/// Rows that take effect at once while a large import does: what is in memory for it does not grow with the fleet.
const STEP: usize = 64;

impl Projector<'_, '_> {
    /// What an import that came to no end had staged is forgotten.
    pub(super) fn import_begun(&mut self, import: Uuid) -> Result<Verdict, StoreError> {
        if self.is_imported(import)? {
            return Ok(Verdict::Rejected("the import took effect before".into()));
        }
        self.forget_rows(table::IMPORT)?;
        self.meta.importing = Some(Importing { import, parts: 0, ending: false });
        Ok(Verdict::Accepted)
    }

    /// Parts come in their order. One that comes a second time says nothing new.
    pub(super) fn import_rows(&mut self, import: Uuid, part: u32, rows: &BTreeMap<String, Value>) -> Verdict {
        let Some(importing) = self.meta.importing.as_mut().filter(|under_way| under_way.import == import)
        else {
            return Verdict::Rejected("another import has begun, or none".into());
        };
        if part > importing.parts {
            return Verdict::Rejected("a part before it is missing".into());
        }
        if part == importing.parts {
            importing.parts += 1;
            for (key, row) in rows {
                self.batch.put(table::IMPORT, key, row);
            }
        }
        Verdict::Accepted
    }

    /// Everything that was staged takes effect, where nothing of it can contradict what is known here.
    pub(super) fn import_ended(
        &mut self,
        import: Uuid,
        parts: u32,
        standing: &Standing,
    ) -> Result<Verdict, StoreError> {
        let under_way = self.meta.importing.filter(|under_way| under_way.import == import);
        let Some(under_way) = under_way else {
            return Ok(Verdict::Rejected(
                "another import has begun, or none, or it took effect before".into(),
            ));
        };
        if !under_way.ending {
            let obstacle = if under_way.parts == parts {
                self.obstacle()?
            } else {
                Some("a part of it is missing; say it again")
            };
            if let Some(obstacle) = obstacle {
                self.forget_rows(table::IMPORT)?;
                self.meta.importing = None;
                return Ok(Verdict::Rejected(obstacle.into()));
            }
        }
        // After a crash in between, the end is read again and finds what is left.
        self.meta.importing = Some(Importing { ending: true, ..under_way });
        self.commit_so_far()?;
        let prefix = format!("{}/", table::IMPORT);
        loop {
            let rows = self.batch.first_rows(prefix.as_bytes(), STEP)?;
            if rows.is_empty() {
                break;
            }
            for (key, row) in rows {
                let row: Value = parse_row(table::IMPORT, &row)?;
                let name = std::str::from_utf8(&key[prefix.len()..]).unwrap_or_default();
                // Who wrote the import has looked at every row; what somebody else wrote is passed over.
                if let Ok(arrival) = Arrival::of(name, &row) {
                    self.take_in(arrival)?;
                }
                self.batch.delete_row(key);
            }
            self.commit_so_far()?;
        }
        self.meta.importing = None;
        self.meta.runs = self.meta.runs.max(standing.runs);
        self.meta.first_sync_over = standing.first_sync_over;
        self.meta.applied_mapping.clone_from(&standing.applied_mapping);
        self.meta.requested = Some(self.offset);
        self.batch.put(table::SAID, &import.to_string(), &self.event.time);
        Ok(Verdict::Accepted)
    }

    fn is_imported(&self, import: Uuid) -> Result<bool, StoreError> {
        Ok(self.batch.row::<Timestamp>(table::SAID, &import.to_string())?.is_some())
    }

    /// Why nothing can be imported: what is linked already would be linked twice, and what is on its way to AMFJ was decided
    /// without knowing of the import.
    fn obstacle(&mut self) -> Result<Option<&'static str>, StoreError> {
        // What is looked at is in the store.
        self.commit_so_far()?;
        for table in [table::LINK, table::USER_LINK] {
            if self.batch.has_keys(format!("{table}/").as_bytes())? {
                return Ok(Some("the integration has links already"));
            }
        }
        let is_on_its_way = "changes of the integration are on their way to AMFJ";
        if self.batch.has_keys(format!("{}/", table::INTENT).as_bytes())? {
            return Ok(Some(is_on_its_way));
        }
        let open = super::super::rows::Open::WithChanges.as_str();
        for key in self.batch.keys(&index_key(index::DECISION_OPEN, open, ""))? {
            let Some(decision) = self.batch.row::<Decision>(table::DECISION, &key)? else { continue };
            let answered: Answered = self.batch.row(table::ANSWERED, &key)?.unwrap_or_default();
            let waits = decision
                .changes
                .iter()
                .any(|change| change.published.is_some() && !answered.covers(change.sequence, change.id));
            if waits {
                return Ok(Some(is_on_its_way));
            }
        }
        Ok(None)
    }

    /// What was listed here is younger than what comes from elsewhere.
    fn take_in(&mut self, arrival: Arrival) -> Result<(), StoreError> {
        match arrival {
            Arrival::Asset(row) => self.take_in_asset(row.at(self.offset)),
            Arrival::Record(row) => self.take_in_record(row.at(self.offset)),
            Arrival::Device(row) => match self.device(&row.entry.device_id)? {
                Some(mut known) => {
                    known.entry.details = known.entry.details.or(row.entry.details);
                    self.put_device(&known)
                }
                None => self.put_device(&row),
            },
            Arrival::User(row) => match self.user(&row.entry.key)? {
                Some(_) => Ok(()),
                None => self.put_user(&row),
            },
            Arrival::Link(device, row) => {
                // A file that links an asset twice was made by hand: the first stands (P4).
                let others = self.devices_linked_to(&row.asset)?;
                if others.iter().all(|other| other == device.as_str()) {
                    self.put_link(&device, &row)?;
                }
                Ok(())
            }
            Arrival::UserLink(user, row) => self.put_user_link(&user, &row),
            Arrival::Memory(key, memory) => {
                let rematch = self.meta.rematch;
                let memory: Memory = memory.at(self.offset, rematch).refused_until(rematch);
                self.batch.put(table::MEMORY, &key.to_string(), &memory);
                Ok(())
            }
            Arrival::Person(subject, row) => {
                if self.batch.row::<PersonRow>(table::PERSON, &subject)?.is_none() {
                    self.batch.put(table::PERSON, &subject, &row);
                }
                Ok(())
            }
            Arrival::Said(id, at) => {
                self.batch.put(table::SAID, &id.to_string(), &at);
                Ok(())
            }
        }
    }

    fn take_in_asset(&mut self, row: AssetRow) -> Result<(), StoreError> {
        let Some(known) = self.asset(&row.asset.id)? else { return self.put_asset(&row) };
        let (was, is) = (&row.asset, &known.asset);
        let claims = row.claims.listed(
            false,
            self.offset,
            &|field| held_by_asset(was, field).unwrap_or_default(),
            &|field| held_by_asset(is, field).unwrap_or_default(),
        );
        self.put_asset(&AssetRow { claims, ..known })
    }

    fn take_in_record(&mut self, row: RecordRow) -> Result<(), StoreError> {
        let Some(known) = self.record(&row.record.id)? else { return self.put_record(&row) };
        let (was, is) = (&row.record, &known.record);
        let claims =
            row.claims.listed(false, self.offset, &|field| Outcome::shown_by_record(was, field), &|field| {
                Outcome::shown_by_record(is, field)
            });
        let ours = known.ours || row.ours;
        self.put_record(&RecordRow { ours, claims, ..known })
    }
}
