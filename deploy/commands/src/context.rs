//! What a command knows: the states of the integrations that it is about, read to their end.

use std::collections::BTreeSet;

use amfj_sync_config::{Integration, Tokens};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_projection::Projection;
use amfj_sync_service::command;
use amfj_sync_service::worker::{CommonArgs, Exit, Worker};
use amfj_sync_stream::{StateHandle, with_views};

/// What a command knows: the integrations that it is about, and those of the same AMFJ site.
pub(crate) struct CommandContext {
    pub(crate) worker: Worker,
    pub(crate) asked: BTreeSet<IntegrationId>,
}

impl CommandContext {
    /// Reads everything that the command needs, as of now.
    pub(crate) async fn read(name: &str, common: &CommonArgs) -> Result<Self, Exit> {
        let mut config = common.load(Tokens::None)?;
        let asked: BTreeSet<IntegrationId> = config.integrations.iter().map(|one| one.id.clone()).collect();
        // A command that looks at one follows the others of its site, too.
        config.integrations.append(&mut config.beside);
        let worker = command::follow(&format!("amfj-sync-{name}"), config).await?;
        Ok(Self { worker, asked })
    }

    /// The integrations that were asked for, in the order of the configuration.
    pub(crate) fn integrations(&self) -> impl Iterator<Item = (&Integration, &StateHandle)> {
        let asked = self.worker.config.integrations.iter().filter(|one| self.asked.contains(&one.id));
        asked.filter_map(|one| Some((one, self.worker.states.get(&one.id)?)))
    }

    pub(crate) fn integration(&self, id: &IntegrationId) -> Result<(&Integration, &StateHandle), Exit> {
        let found = self.worker.config.integration(id).zip(self.worker.states.get(id));
        found.ok_or_else(|| Exit::Failed(format!("integration {id} is not in the configuration")))
    }

    /// Looks at the integrations that feed the same AMFJ site: what is linked there is not free (P4).
    pub(crate) fn with_siblings<R>(&self, of: &Integration, look: &mut dyn FnMut(&[&Projection]) -> R) -> R {
        let siblings = self.worker.siblings(of);
        let siblings: Vec<&StateHandle> = siblings.iter().collect();
        with_views(&siblings, &mut Vec::new(), look)
    }

    /// Lets go of the broker, whatever became of the command.
    pub(crate) async fn done<T>(self, result: Result<T, Exit>) -> Result<T, Exit> {
        self.worker.finish().await;
        result
    }
}
