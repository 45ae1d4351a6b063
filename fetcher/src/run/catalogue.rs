//! What the settings name in AMFJ: asset types, locations, fields (P18). Each list is read for what needs it: where that
//! is nothing, or what it said last is enough, a list that cannot be read stops nothing.

use amfj_sync_amfj::client::Page;
use amfj_sync_backoff::Stopped;
use amfj_sync_config::catalogue::{Before, Examined, examine, maps_user_fields, narrowed_to};
use amfj_sync_config::{CreateUsers, Integration};
use amfj_sync_http::CallError;
use amfj_sync_model::messages::{Catalogue, Fact, Unusable};
use amfj_sync_projection::Projection;

use super::unusable::{Lost, is_of_service, last};
use super::{Halt, Run};

/// How much depends on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// Something that what is known of it is enough for.
    Known,
    /// Something that nothing is known of yet: without the list the run fails.
    Must,
}

impl Need {
    fn of_locations(config: &Integration, known: &Catalogue) -> Self {
        match &config.sync.default_location {
            None => Self::Nothing,
            Some(name) if known.location_named(name).is_some() => Self::Known,
            Some(_) => Self::Must,
        }
    }

    fn of_user_fields(config: &Integration, known: &Catalogue) -> Self {
        let mut mapped = maps_user_fields(config).peekable();
        if mapped.peek().is_none() {
            // Required ones matter to creations, and are not known to be there.
            return if config.sync.create_users == CreateUsers::Never { Self::Nothing } else { Self::Known };
        }
        let is_known = |name: &str| known.user_fields.iter().any(|field| field.name == name);
        if mapped.all(is_known) { Self::Known } else { Self::Must }
    }
}

impl Run<'_> {
    /// The configuration is checked against the site before anything is written (P18).
    pub(super) async fn read_catalogue(&self) -> Result<(), Halt> {
        let leader = self.leader;
        let (amfj, config) = (&leader.amfj, &leader.config);
        let (known, in_use) =
            leader.state.read(|view: &Projection| (view.catalogue().clone(), view.reading_report().in_use));
        let locations = Need::of_locations(config, &known);
        let user_fields = Need::of_user_fields(config, &known);
        let (asset_types, locations, user_fields) = tokio::try_join!(
            self.read_part("asset types", Need::Must, &known.asset_types, || amfj.asset_types()),
            self.read_part("locations", locations, &known.locations, || amfj.locations()),
            self.read_part("user fields", user_fields, &known.user_fields, || amfj.user_fields())
        )?;
        let mut catalogue = Catalogue { asset_types, locations, user_fields };
        if catalogue.asset_types.is_empty() && !known.asset_types.is_empty() {
            let why = "AMFJ lists none at all, where it had some; that is not believed, and they stay as they were known";
            self.report(Unusable::new("list of asset types", None, None, why));
            catalogue.asset_types.clone_from(&known.asset_types);
        }
        let before = Before { catalogue: &known, in_use: in_use.as_ref() };
        let Examined { problems, missing, in_use } = examine(config, &catalogue, &before);
        if !problems.is_empty() {
            return Err(Halt::configuration(&problems));
        }
        for one in missing {
            self.report(one);
        }
        self.report.lock().in_use = Some(in_use);
        // Narrowed, where the broker takes no message with all of it.
        if known != catalogue && known != narrowed_to(&catalogue, config) {
            let number = self.started.number;
            self.keep_aside(&[Fact::CatalogueListed { number, catalogue }])?;
        }
        Ok(())
    }

    async fn read_part<T, F>(
        &self,
        what: &'static str,
        need: Need,
        known: &[T],
        mut attempt: impl FnMut() -> F,
    ) -> Result<Vec<T>, Halt>
    where
        T: Clone,
        F: Future<Output = Result<Page<T>, CallError>>,
    {
        let leader = self.leader;
        let read = match need {
            Need::Must => self.read_with(&leader.reads, attempt).await,
            Need::Known => self.read_with(&leader.details, attempt).await,
            Need::Nothing => match leader.stop.run_until_cancelled(attempt()).await {
                Some(read) => read.map_err(Stopped::Failed),
                None => Err(Stopped::Cancelled),
            },
        };
        match read {
            Ok(page) => {
                let mut lost = Lost::default();
                lost.take(self, page.lost, page.odd);
                lost.judge(what, page.rows)?;
                Ok(page.results)
            }
            Err(stopped) => match last(&stopped) {
                Some(error) if need != Need::Must && !is_of_service(error) => {
                    let why = format!("it cannot be read ({error}); what is known of it is enough");
                    self.report(Unusable::new(&format!("list of {what}"), None, None, &why));
                    Ok(known.to_vec())
                }
                _ => Err(stopped.into()),
            },
        }
    }
}
