//! What an interface can be asked for.

/// What an interface can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Op {
    ListAssets,
    FindAssetsByName,
    ReadAsset,
    CreateAsset,
    UpdateAsset,
    SetAssetField,
    ClearAssetField,
    CheckOut,
    CheckIn,
    ListUsers,
    ReadUser,
    FindUsersByEmail,
    CreateUser,
    UpdateUser,
    SetUserField,
    ClearUserField,
    ListAssetTypes,
    ListLocations,
    ListAssetFields,
    ListUserFields,
    Probe,
}

impl Op {
    /// All of them, as a profile names them.
    pub const ALL: [Self; 21] = [
        Self::ListAssets,
        Self::FindAssetsByName,
        Self::ReadAsset,
        Self::CreateAsset,
        Self::UpdateAsset,
        Self::SetAssetField,
        Self::ClearAssetField,
        Self::CheckOut,
        Self::CheckIn,
        Self::ListUsers,
        Self::ReadUser,
        Self::FindUsersByEmail,
        Self::CreateUser,
        Self::UpdateUser,
        Self::SetUserField,
        Self::ClearUserField,
        Self::ListAssetTypes,
        Self::ListLocations,
        Self::ListAssetFields,
        Self::ListUserFields,
        Self::Probe,
    ];

    /// As it is called in a profile.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::ListAssets => "list_assets",
            Self::FindAssetsByName => "find_assets_by_name",
            Self::ReadAsset => "read_asset",
            Self::CreateAsset => "create_asset",
            Self::UpdateAsset => "update_asset",
            Self::SetAssetField => "set_asset_field",
            Self::ClearAssetField => "clear_asset_field",
            Self::CheckOut => "check_out",
            Self::CheckIn => "check_in",
            Self::ListUsers => "list_users",
            Self::ReadUser => "read_user",
            Self::FindUsersByEmail => "find_users_by_email",
            Self::CreateUser => "create_user",
            Self::UpdateUser => "update_user",
            Self::SetUserField => "set_user_field",
            Self::ClearUserField => "clear_user_field",
            Self::ListAssetTypes => "list_asset_types",
            Self::ListLocations => "list_locations",
            Self::ListAssetFields => "list_asset_fields",
            Self::ListUserFields => "list_user_fields",
            Self::Probe => "probe",
        }
    }

    /// As it is called in errors and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ListAssets => "list assets",
            Self::FindAssetsByName => "find assets by name",
            Self::ReadAsset => "read asset",
            Self::CreateAsset => "create asset",
            Self::UpdateAsset => "update asset",
            Self::SetAssetField => "set asset field",
            Self::ClearAssetField => "clear asset field",
            Self::CheckOut => "check out",
            Self::CheckIn => "check in",
            Self::ListUsers => "list users",
            Self::ReadUser => "read user",
            Self::FindUsersByEmail => "find users by email",
            Self::CreateUser => "create user",
            Self::UpdateUser => "update user",
            Self::SetUserField => "set user field",
            Self::ClearUserField => "clear user field",
            Self::ListAssetTypes => "list asset types",
            Self::ListLocations => "list locations",
            Self::ListAssetFields => "list asset fields",
            Self::ListUserFields => "list user fields",
            Self::Probe => "probe",
        }
    }

    /// The names that its templates may look up; one that ends with a dot stands for whatever is in it.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::ListAssets
            | Self::ListUsers
            | Self::ListAssetTypes
            | Self::ListLocations
            | Self::ListUserFields
            | Self::Probe => &[],
            Self::FindAssetsByName => &["name"],
            Self::ReadAsset | Self::UpdateAsset | Self::ReadUser | Self::UpdateUser => &["id"],
            Self::CreateAsset => &["name", "asset_type.id", "asset_type.name", "location.id"],
            Self::SetAssetField | Self::ClearAssetField | Self::SetUserField | Self::ClearUserField => {
                &["id", "field.name", "field.key", "value"]
            }
            Self::CheckOut => &["id", "note", "user.id", "user.email", "user.name", "record."],
            Self::CheckIn => &["id", "note", "record."],
            Self::FindUsersByEmail => &["email"],
            Self::CreateUser => &["name", "email"],
            Self::ListAssetFields => &["asset_type.id", "asset_type.name"],
        }
    }

    /// Whether nothing works without it.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::ListAssets | Self::ReadAsset | Self::UpdateAsset | Self::ListAssetTypes)
    }

    /// Whether it is a part of updating, which few interfaces have and which need not be named as absent.
    #[must_use]
    pub const fn is_extra(self) -> bool {
        matches!(
            self,
            Self::SetAssetField | Self::ClearAssetField | Self::SetUserField | Self::ClearUserField
        )
    }

    /// Whether it answers with a list.
    #[must_use]
    pub const fn lists(self) -> bool {
        matches!(
            self,
            Self::ListAssets
                | Self::FindAssetsByName
                | Self::ListUsers
                | Self::FindUsersByEmail
                | Self::ListAssetTypes
                | Self::ListLocations
                | Self::ListAssetFields
                | Self::ListUserFields
        )
    }

    /// Whether it writes.
    #[must_use]
    pub const fn writes(self) -> bool {
        !self.lists() && !matches!(self, Self::ReadAsset | Self::ReadUser | Self::Probe)
    }
}
