//! Kinds of records that are listed, found and written, and which of them are those of the assumed contract.

use amfj_sync_model::amfj::{Asset, UserRecord};

use super::records::Described;
use crate::client::answers::{asset_shows, user_shows};
use crate::profile::{Op, Profile};

/// Which records, and which bodies, are those of the assumed contract: they take the straight way, without anything in between.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is about records of its own")]
pub(crate) struct Plain {
    pub(crate) assets: bool,
    pub(crate) users: bool,
    pub(crate) types: bool,
    pub(crate) locations: bool,
    pub(crate) writes_assets: bool,
    pub(crate) writes_users: bool,
}

impl Plain {
    pub(crate) fn of(profile: &Profile) -> Self {
        let Ok(assumed) = crate::profile::assumed() else { return Self::default() };
        let values = profile.values == assumed.values && profile.ids == assumed.ids;
        let is_same = |op: Op| match (profile.operation(op), assumed.operation(op)) {
            (Some(one), Some(other)) => {
                (&one.update, &one.body, &one.answer, &one.record, &one.success, one.if_match)
                    == (
                        &other.update,
                        &other.body,
                        &other.answer,
                        &other.record,
                        &other.success,
                        other.if_match,
                    )
            }
            (None, _) => true,
            (_, None) => false,
        };
        let assets = values && profile.asset == assumed.asset && is_same(Op::ReadAsset);
        let users = values && profile.user == assumed.user;
        let fields = profile.field == assumed.field;
        let extra = |op| profile.has(op);
        Self {
            assets,
            users,
            // The straight way keeps no definitions, and values in another form are not understood without.
            types: values
                && fields
                && profile.asset_type == assumed.asset_type
                && !extra(Op::ListAssetFields),
            locations: values && profile.location == assumed.location,
            writes_assets: assets
                && is_same(Op::CreateAsset)
                && is_same(Op::UpdateAsset)
                && !extra(Op::SetAssetField)
                && !extra(Op::ClearAssetField),
            writes_users: users
                && is_same(Op::CreateUser)
                && is_same(Op::UpdateUser)
                && !extra(Op::SetUserField)
                && !extra(Op::ClearUserField),
        }
    }
}

/// Which definitions a kind of record is understood with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Assets,
    Users,
}

/// A record that is listed, found and written.
pub(crate) trait Kept: Described {
    const OF: Of;
    fn is_plain(plain: Plain) -> bool;
    /// The members that the answer to a write shows under the assumed contract.
    fn shows(op: Op) -> Box<dyn Iterator<Item = &'static str> + Send>;
}

impl Kept for Asset {
    const OF: Of = Of::Assets;

    fn is_plain(plain: Plain) -> bool {
        plain.assets
    }

    fn shows(op: Op) -> Box<dyn Iterator<Item = &'static str> + Send> {
        let holder = matches!(op, Op::CheckOut | Op::CheckIn).then_some("checked_out_to");
        Box::new(asset_shows().chain(holder))
    }
}

impl Kept for UserRecord {
    const OF: Of = Of::Users;

    fn is_plain(plain: Plain) -> bool {
        plain.users
    }

    fn shows(_: Op) -> Box<dyn Iterator<Item = &'static str> + Send> {
        Box::new(user_shows(false))
    }
}
