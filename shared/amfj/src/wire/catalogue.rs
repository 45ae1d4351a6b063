//! Asset types, definitions of fields, and locations.

use amfj_sync_http::CallError;
use amfj_sync_model::amfj::{AssetType, Field, Named};

use super::definitions::{Definition, Definitions, Directory};
use super::records::described::{definition, definitions_of, tree};
use super::records::{self, Lens, Row};
use crate::client::AmfjClient;
use crate::lenient::{Page, Record, of_members};
use crate::profile::{Names, Op};

impl AmfjClient {
    /// The asset types, and the definitions that stand in them.
    pub(crate) async fn read_types_alone(&self) -> Result<(Page<AssetType>, Definitions), CallError> {
        if self.plain().types && self.is_plain_op(Op::ListAssetTypes) {
            return Ok((self.whole_plainly(Op::ListAssetTypes).await?, Definitions::new()));
        }
        let nothing = (Definitions::new(), Directory::new());
        let lens = Lens { profile: self.profile(), definitions: &nothing.0, people: &nothing.1 };
        let mut definitions = Definitions::new();
        let page = self
            .whole(Op::ListAssetTypes, &Names::new(), AssetType::WHAT, |key, value| {
                let row = Row { value, key };
                let (asset_type, odd): (AssetType, _) = records::read(&lens, &row)?;
                definitions.extend(definitions_of(&lens, &asset_type, &row));
                Ok((asset_type, odd))
            })
            .await?;
        Ok((page, definitions))
    }

    /// Definitions of custom fields, as an operation lists them.
    pub(crate) async fn read_definitions(
        &self,
        op: Op,
        names: &Names,
    ) -> Result<Page<Definition>, CallError> {
        let nothing = (Definitions::new(), Directory::new());
        let lens = Lens { profile: self.profile(), definitions: &nothing.0, people: &nothing.1 };
        self.whole(op, names, Field::WHAT, |key, value| {
            let row = Row { value, key };
            let (field, odd): (Field, _) = records::read(&lens, &row)?;
            Ok((definition(&lens, field, &row), odd))
        })
        .await
    }

    pub(crate) async fn read_locations(&self) -> Result<Page<Named>, CallError> {
        let op = Op::ListLocations;
        if self.plain().locations && self.is_plain_op(op) {
            return self.whole_plainly(op).await;
        }
        let nothing = (Definitions::new(), Directory::new());
        let lens = Lens { profile: self.profile(), definitions: &nothing.0, people: &nothing.1 };
        let page = self
            .whole(op, &Names::new(), Named::WHAT, |key, value| {
                let mut found: Vec<Named> = Vec::new();
                let mut odd = Vec::new();
                for (members, at) in tree(&lens, value, key) {
                    let (location, more) = if at.is_object() {
                        of_members::<Named>(members, &[], false)?
                    } else {
                        records::read::<Named>(&lens, &Row { value: at, key: None })?
                    };
                    found.push(location);
                    odd.extend(more);
                }
                Ok((found, odd))
            })
            .await?;
        Ok(Page {
            results: page.results.into_iter().flatten().collect(),
            next: None,
            rows: page.rows,
            lost: page.lost,
            odd: page.odd,
        })
    }
}
