//! Assets that are created and looked for.

use amfj_sync_amfj::client::{NewAsset, Page};
use amfj_sync_amfj::profile::Op;
use amfj_sync_http::CallError;
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::names::{NameKey, serial_in};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::IntentRow;
use amfj_sync_service::worker::serial_field;
use jiff::SignedDuration;

use super::resembling::{both_are_cut, name_resembles, same_value};
use super::{Creatable, Walks};
use crate::context::IntegrationContext;

/// How far AMFJ's clock may be behind the writer's before its own record looks too old.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

fn serial_of(context: &IntegrationContext, asset: &Asset) -> Option<String> {
    serial_in(asset.fields.get(serial_field(&context.integration)?)?)
}

fn serial_sent(context: &IntegrationContext, asset: &NewAsset) -> Option<String> {
    serial_in(asset.fields.get(serial_field(&context.integration)?)?)
}

impl Creatable for NewAsset {
    type Record = Asset;

    const WHAT: &'static str = "asset";
    const LIST: &'static str = "list assets";

    async fn create(&self, context: &IntegrationContext) -> Result<Asset, CallError> {
        context.client.create_asset(self).await
    }

    fn id(found: &Asset) -> &str {
        found.id.as_str()
    }

    async fn search(&self, context: &IntegrationContext) -> Result<Option<Vec<Asset>>, CallError> {
        if !context.client.can(Op::FindAssetsByName) {
            return Ok(None);
        }
        context.client.find_assets_by_name(&self.name).await.map(Some)
    }

    async fn again(context: &IntegrationContext, found: &Asset) -> Result<Option<Asset>, CallError> {
        context.client.asset(&found.id).await
    }

    async fn page(context: &IntegrationContext, cursor: Option<String>) -> Result<Page<Asset>, CallError> {
        context.client.assets_page(cursor.as_deref()).await
    }

    fn walks(context: &IntegrationContext) -> &Walks<Asset> {
        &context.asset_walks
    }

    fn expected(view: &Projection) -> (u64, u64) {
        let counts = view.meta().in_force.as_ref().and_then(|run| run.counts).unwrap_or_default();
        let links = view.count_links() as u64;
        let mut known = 0;
        view.each_asset_id(&mut |_| {
            known += 1;
            true
        });
        (counts.in_scope.saturating_sub(links), counts.assets.max(known))
    }

    fn is_unknown(context: &IntegrationContext, view: &Projection, found: &Asset) -> bool {
        view.asset(&found.id).is_none_or(|row| {
            NameKey::of(&row.asset.name) != NameKey::of(&found.name)
                || serial_of(context, &row.asset) != serial_of(context, found)
        })
    }

    fn is_namesake(&self, context: &IntegrationContext, found: &Asset) -> bool {
        let serial = serial_sent(context, self);
        NameKey::of(&found.name) == NameKey::of(&self.name)
            || (serial.is_some() && serial == serial_of(context, found))
    }

    fn is_young_and_free(context: &IntegrationContext, found: &Asset, first: &IntentRow) -> bool {
        let young =
            found.created_at.is_none_or(|created| first.intent.at.duration_since(created) <= CLOCK_TOLERANCE);
        let (known_before, claimed) = context.state.read(|view| {
            let before = view.asset(&found.id).is_some_and(|row| row.age.offset < first.offset);
            let claimed = view.linked_device(&found.id).is_some()
                || view
                    .claims(&format!("asset/{}", found.id))
                    .iter()
                    .any(|row| row.intent.change != first.intent.change);
            (before, claimed)
        });
        let linked = |view: &Projection| view.linked_device(&found.id).is_some();
        young && !known_before && !claimed && !context.siblings.iter().any(|other| other.read(linked))
    }

    fn holds_what_was_sent(&self, found: &Asset) -> bool {
        found.asset_type.id == self.asset_type_id
            && NameKey::of(&found.name) == NameKey::of(&self.name)
            && self.fields.iter().all(|(field, sent)| same_value(sent, found.fields.get(field)))
    }

    /// An asset with another serial is another device's, whatever it is called, unless AMFJ cuts what it stores.
    fn resembles(&self, context: &IntegrationContext, found: &Asset) -> bool {
        if found.asset_type.id != self.asset_type_id {
            return false;
        }
        match (serial_sent(context, self), serial_of(context, found)) {
            (Some(sent), Some(held)) => {
                sent == held || both_are_cut((&self.name, &sent), (&found.name, &held))
            }
            _ => name_resembles(&self.name, &found.name),
        }
    }
}
