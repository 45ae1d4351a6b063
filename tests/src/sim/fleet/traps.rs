//! The traps: each a thing that was seen in the field and breaks naive importers.

use serde::Serialize;

/// One kind of trap, with its share in [`Trap::share`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trap {
    // Devices and their names against the assets.
    /// The device name is empty or white space.
    BlankName,
    /// Two devices of one name, with one asset of that name (both ids are listed).
    DuplicateName,
    /// The asset's name differs in case.
    AssetNameCase,
    /// The asset's name differs in white space.
    AssetNameSpace,
    /// The asset's name is decomposed (NFD) where the device's is composed.
    AssetNameNfd,
    /// The only asset of that name carries another serial.
    AssetOtherSerial,
    /// Two assets of that name, neither with a serial.
    TwoAssets,
    /// Two assets of that name, one with the device's serial.
    TwoAssetsOneSerial,
    /// The asset is checked out to somebody who is not the owner.
    CheckedOutToOther,
    /// No asset of that name.
    NoAsset,
    /// Two devices of one serial, as after a wipe (both ids are listed).
    SharedSerial,
    /// The serial is blank.
    BlankSerial,
    /// The asset's name is spelt with other signs, and in another full case folding.
    AssetNameSigns,
    /// The asset's name differs in nothing but a sign, so that it is near.
    AssetNameNear,
    /// Device and asset bear what makers write where there is no serial.
    PlaceholderSerial,
    /// More than two devices bear one serial.
    LotSerial,
    // The member `user` of devices.
    /// `"user": ""`.
    UserEmptyString,
    /// `"user": null`.
    UserNull,
    /// No member `user`.
    UserAbsent,
    // Kandji users; these list ids of Kandji users.
    /// The id is an integer.
    IntegerUserId,
    /// There is no id (lists emails).
    UserWithoutId,
    /// Two ids of one email (both are listed).
    SharedEmail,
    /// The email is `""` or null.
    BlankEmail,
    /// The name is `""`.
    BlankUserName,
    /// Archived.
    ArchivedUser,
    /// Two people of one name (both are listed).
    EqualUserNames,
    /// One owner of thirty devices.
    ManyDevices,
    /// The user record's email differs in case and white space.
    RecordEmailCase,
    /// The user record has the name and no email.
    RecordWithoutEmail,
    /// Two user records with the email.
    TwoRecords,
    /// The user record has the name and another email.
    RecordOtherEmail,
    // How devices are written.
    /// `"last_check_in": ""`.
    BlankCheckIn,
    /// No member `tags`.
    TagsAbsent,
    /// Listed as removed.
    Removed,
}

impl Trap {
    /// The traps of names and assets; no device is in two of them.
    pub(crate) const OF_NAMES: &[Self] = &[
        Self::BlankName,
        Self::DuplicateName,
        Self::AssetNameCase,
        Self::AssetNameSpace,
        Self::AssetNameNfd,
        Self::AssetOtherSerial,
        Self::TwoAssets,
        Self::TwoAssetsOneSerial,
        Self::CheckedOutToOther,
        Self::NoAsset,
        Self::SharedSerial,
        Self::BlankSerial,
        Self::AssetNameSigns,
        Self::AssetNameNear,
        Self::PlaceholderSerial,
        Self::LotSerial,
    ];

    /// The traps of the member `user`; no device is in two of them.
    pub(crate) const OF_OWNERS: &[Self] = &[Self::UserEmptyString, Self::UserNull, Self::UserAbsent];

    /// The traps of Kandji users; no user is in two of them.
    pub(crate) const OF_PEOPLE: &[Self] = &[
        Self::IntegerUserId,
        Self::UserWithoutId,
        Self::SharedEmail,
        Self::BlankEmail,
        Self::BlankUserName,
        Self::ArchivedUser,
        Self::EqualUserNames,
        Self::RecordEmailCase,
        Self::RecordWithoutEmail,
        Self::TwoRecords,
        Self::RecordOtherEmail,
    ];

    /// The traps of the notation; no device is in two of them.
    pub(crate) const OF_NOTATION: &[Self] = &[Self::BlankCheckIn, Self::TagsAbsent, Self::Removed];

    /// How many of a thousand devices (or Kandji users) are in this trap.
    #[must_use]
    pub fn share(self) -> usize {
        match self {
            Self::UserEmptyString => 120,
            Self::NoAsset => 80,
            Self::TagsAbsent | Self::IntegerUserId => 50,
            Self::CheckedOutToOther
            | Self::ArchivedUser
            | Self::RecordEmailCase
            | Self::RecordWithoutEmail => 30,
            Self::DuplicateName | Self::SharedEmail | Self::EqualUserNames => 20,
            Self::AssetNameCase
            | Self::AssetNameSpace
            | Self::AssetNameNfd
            | Self::AssetOtherSerial
            | Self::TwoAssets
            | Self::TwoAssetsOneSerial
            | Self::UserNull
            | Self::UserAbsent
            | Self::BlankEmail
            | Self::TwoRecords
            | Self::RecordOtherEmail
            | Self::AssetNameSigns
            | Self::AssetNameNear
            | Self::PlaceholderSerial
            | Self::BlankCheckIn => 10,
            Self::BlankName | Self::BlankSerial | Self::BlankUserName | Self::Removed => 5,
            Self::SharedSerial | Self::UserWithoutId => 4,
            Self::LotSerial => 3,
            Self::ManyDevices => 0,
        }
    }

    /// Whether the trap needs two of a kind.
    pub(crate) fn is_pair(self) -> bool {
        matches!(self, Self::DuplicateName | Self::SharedSerial | Self::SharedEmail | Self::EqualUserNames)
    }

    /// How many of `total` are caught: the share, rounded up, at least one; pairs come in twos.
    pub(crate) fn count(self, total: usize) -> usize {
        let least = if self == Self::LotSerial { 3 } else { 1 };
        let count = (total * self.share()).div_ceil(1000).max(least);
        if self.is_pair() { count.next_multiple_of(2) } else { count }
    }
}
