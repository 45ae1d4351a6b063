//! Which dead letters somebody means.

use amfj_sync_security::screen::sanitize;
use amfj_sync_service::worker::{CommonArgs, Exit};
use clap::Args;
use jiff::Timestamp;

use super::letter::DeadLetter;
use crate::time_args;

/// Which dead letters; all of the conditions must hold.
#[derive(Debug, Clone, Default, Args)]
pub struct DeadFilter {
    /// Only this kind of change, for example `update-asset`
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only with this text in the reason
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only those that died at least that long ago, for example `2h`
    #[arg(long, value_name = "SPAN")]
    pub older_than: Option<String>,
    /// Only those that died since then: a time, or a span such as `2h`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

impl DeadFilter {
    /// Whether it lets everything through.
    pub(super) fn is_empty(&self) -> bool {
        self.kind.is_none() && self.reason.is_none() && self.older_than.is_none() && self.since.is_none()
    }
}

/// A filter with its moments worked out.
#[derive(Debug, Clone, Default)]
pub(super) struct Admits {
    integration: Option<String>,
    kind: Option<String>,
    reason: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// Beginnings of ids; none of them means all.
    ids: Vec<String>,
}

impl Admits {
    pub(super) fn of(common: &CommonArgs, filter: &DeadFilter) -> Result<Self, Exit> {
        let now = Timestamp::now();
        Ok(Self {
            integration: common.integration.clone(),
            kind: filter.kind.as_ref().map(|kind| kind.trim().to_lowercase()),
            reason: filter.reason.as_ref().map(|reason| reason.to_lowercase()),
            from: filter.since.as_deref().map(|text| time_args::since(text, now)).transpose()?,
            to: filter.older_than.as_deref().map(|text| time_args::ago(text, now)).transpose()?,
            ids: Vec::new(),
        })
    }

    /// The same, and the id begins with one of these.
    pub(super) fn with_ids(mut self, ids: &[String]) -> Result<Self, Exit> {
        self.ids = ids.iter().map(|id| id.trim().to_lowercase()).collect();
        if self.ids.iter().any(String::is_empty) {
            return Err(Exit::Configuration("a blank id names no dead letter".into()));
        }
        Ok(self)
    }

    pub(super) fn admits(&self, letter: &DeadLetter) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.integration, &letter.integration)
            && same(&self.kind, &letter.kind)
            && self.reason.as_ref().is_none_or(|text| letter.reason.to_lowercase().contains(text))
            && self.from.is_none_or(|from| letter.time.is_some_and(|time| time >= from))
            && self.to.is_none_or(|to| letter.time.is_some_and(|time| time <= to))
            && (self.ids.is_empty() || self.ids.iter().any(|id| letter.id.to_lowercase().starts_with(id)))
    }

    /// Ids that name none of these letters, or more than one of them.
    pub(super) fn unclear_ids(&self, found: &[String]) -> Result<(), Exit> {
        for id in &self.ids {
            let mut fitting: Vec<&String> =
                found.iter().filter(|one| one.to_lowercase().starts_with(id)).collect();
            // A letter that was written twice, by a worker that died in between, is one.
            fitting.sort_unstable();
            fitting.dedup();
            match fitting.as_slice() {
                [] => {
                    return Err(Exit::Failed(format!(
                        "there is no dead letter {}; `amfj-sync dead list` shows all",
                        sanitize(id)
                    )));
                }
                [_] => {}
                several => {
                    let ids: Vec<String> = several.iter().map(|id| sanitize(id)).collect();
                    let (id, ids) = (sanitize(id), ids.join("\n  "));
                    return Err(Exit::Failed(format!(
                        "several dead letters begin with {id}; give more of the id:\n  {ids}"
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::letter::tests::letter;

    #[test]
    fn all_conditions_of_a_filter_must_hold() {
        let letter = letter("acme", "update-asset", "AMFJ answered 500", "2026-11-30T12:00:00Z");
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let text = |text: &str| Some(text.to_owned());
        let every = Admits::default;
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let table = [
            (every(), true),
            (Admits { integration: text("acme"), ..every() }, true),
            (Admits { integration: text("other"), ..every() }, false),
            (Admits { kind: text("create-user"), ..every() }, false),
            (Admits { reason: text("amfj answered"), kind: text("update-asset"), ..every() }, true),
            (Admits { reason: text("refused"), ..every() }, false),
            (Admits { from: at("2026-11-30T11:00:00Z"), ..every() }, true),
            (Admits { from: at("2026-11-30T13:00:00Z"), ..every() }, false),
            (Admits { to: at("2026-11-30T11:00:00Z"), ..every() }, false),
            (Admits { ids: ids(&["ffff", "3f2a"]), ..every() }, true),
            (Admits { ids: ids(&["ffff"]), ..every() }, false),
        ];
        for (at, (admits, expected)) in table.into_iter().enumerate() {
            assert_eq!(admits.admits(&letter), expected, "row {at}");
        }
    }

    #[test]
    fn an_id_must_name_one_letter() {
        let found = ["aa11".to_owned(), "aa22".to_owned(), "aa22".to_owned()];
        let named = |id: &str| Admits::default().with_ids(&[id.to_owned()]).unwrap().unclear_ids(&found);
        assert!(named("aa1").is_ok());
        assert!(named("AA22").is_ok(), "the same letter twice is one");
        assert!(named("aa").unwrap_err().to_string().contains("several"));
        assert!(named("bb").unwrap_err().to_string().contains("no dead letter bb"));
        assert_eq!(Admits::default().with_ids(&[" ".to_owned()]).unwrap_err().code(), 2);
    }
}
