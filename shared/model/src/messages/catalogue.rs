//! What an AMFJ site has, and how it is looked up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amfj::{AssetType, Field, Named};

/// What kinds of assets, places and fields the AMFJ site has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Catalogue {
    /// Asset types with their fields.
    pub asset_types: Vec<AssetType>,
    /// Locations.
    pub locations: Vec<Named>,
    /// Fields of user records.
    pub user_fields: Vec<Field>,
}

impl Catalogue {
    /// The asset type of that name; spaces around it do not count.
    #[must_use]
    pub fn asset_type_named(&self, name: &str) -> Option<&AssetType> {
        let name = name.trim();
        self.asset_types.iter().find(|asset_type| asset_type.name.trim() == name)
    }

    /// The asset type of that id.
    #[must_use]
    pub fn asset_type(&self, id: &str) -> Option<&AssetType> {
        self.asset_types.iter().find(|asset_type| asset_type.id == id)
    }

    /// The location of that name; spaces around it do not count.
    #[must_use]
    pub fn location_named(&self, name: &str) -> Option<&Named> {
        let name = name.trim();
        self.locations.iter().find(|location| location.name.trim() == name)
    }
}
