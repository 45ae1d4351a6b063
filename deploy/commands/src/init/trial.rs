//! *Test*: whether both services answer, and what they have to choose from.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amfj_sync_config::{Integration, OVERRIDE_PREFIX, Tokens, in_environment, parse, process_environment};
use amfj_sync_model::messages::Catalogue;
use amfj_sync_service::worker::Exit;
use tokio_util::sync::CancellationToken;

use super::document::{Document, Settings, TokenPlace};
use super::reaching::{Access, Service};
use crate::check::kandji::Sample;
use crate::check::report::Report;
use crate::check::{Asking, amfj, kandji};

/// How long the first answer of a service may take: somebody is waiting, and may be far away.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stands where only a name is missing.
const NOT_ANSWERED_YET: &str = "?";

/// An integration with all that is needed to ask its services.
#[derive(Debug)]
pub(crate) struct Trial {
    integration: Integration,
    asking: Asking,
}

impl Trial {
    /// Reads what would be written, with the tokens that were given.
    pub(crate) fn new(
        path: &Path,
        document: &Document,
        id: &str,
        settings: &Settings,
        [of_kandji, of_amfj]: [&Access; 2],
        stop: CancellationToken,
    ) -> Result<Self, Exit> {
        let somewhere = || Some(TokenPlace::Env("TOKEN".to_owned()));
        let settings = Settings {
            kandji_url: Some(of_kandji.url.clone()),
            amfj_url: Some(of_amfj.url.clone()),
            kandji_token: somewhere(),
            amfj_token: somewhere(),
            default_asset_type: Some(NOT_ANSWERED_YET.to_owned()),
            default_location: None,
            ..settings.clone()
        };
        let text = document.on_trial(id, &settings)?.text();
        let mut variables = without_settings(process_environment());
        for (service, access) in [(Service::Kandji, of_kandji), (Service::Amfj, of_amfj)] {
            let (own, section) = (in_environment(id), in_environment(service.section()));
            let name = format!("{OVERRIDE_PREFIX}INTEGRATION__{own}__{section}__TOKEN");
            variables.insert(name, access.token.expose().to_owned());
        }
        let loaded = parse(path, text, &variables, Tokens::Both)
            .map_err(|errors| Exit::Configuration(errors.to_string()))?;
        let asking = Asking::new(&loaded.config, PATIENCE, stop)?;
        let integration = loaded.config.integrations.into_iter().next();
        let integration = integration.ok_or_else(|| Exit::Failed("there is no integration to try".into()))?;
        Ok(Self { integration, asking })
    }

    /// A few devices with their details; none where Kandji does not answer, or not with what it takes. The report says so.
    pub(crate) async fn kandji(&self) -> Result<(Option<Sample>, Report), Exit> {
        let mut report = Report::shared();
        let nobody_knows = std::future::ready(None);
        let sample = kandji::look(&self.integration, &self.asking, nobody_knows, true, &mut report).await?;
        Ok((sample, report))
    }

    /// What AMFJ has; none where it does not answer.
    pub(crate) async fn amfj(&self) -> Result<(Option<Catalogue>, Report), Exit> {
        let mut report = Report::shared();
        let seen = amfj::look(&self.integration, &self.asking, &mut report).await?;
        Ok((seen.map(|seen| seen.catalogue), report))
    }
}

/// Settings from the environment are about what is served, not about what is tried.
fn without_settings(variables: BTreeMap<String, String>) -> BTreeMap<String, String> {
    variables.into_iter().filter(|(name, _)| !name.starts_with(OVERRIDE_PREFIX)).collect()
}
