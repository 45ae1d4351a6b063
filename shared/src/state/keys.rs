//! Keys of rows and of index entries.

/// Names of the tables; a row's key is `table/…`.
pub(super) mod table {
    pub(in crate::state) const META: &str = "meta";
    pub(in crate::state) const CATALOGUE: &str = "catalogue";
    pub(in crate::state) const ASSET: &str = "asset";
    pub(in crate::state) const RECORD: &str = "record";
    pub(in crate::state) const DEVICE: &str = "device";
    pub(in crate::state) const USER: &str = "user";
    pub(in crate::state) const LINK: &str = "link";
    pub(in crate::state) const USER_LINK: &str = "user-link";
    pub(in crate::state) const MEMORY: &str = "memory";
    pub(in crate::state) const ANSWERED: &str = "answered";
    pub(in crate::state) const DECISION: &str = "decision";
    pub(in crate::state) const INTENT: &str = "intent";
    pub(in crate::state) const PERSON: &str = "person";
    /// Which decisions of persons took effect, by the id of their fact: none does twice.
    pub(in crate::state) const SAID: &str = "said";
    pub(in crate::state) const KANDJI: &str = "kandji-requests";
    /// What the run whose inventory is in force said about its reading.
    pub(in crate::state) const REPORT: &str = "report";
    /// Linked devices that the runs which are held do not see (P23).
    pub(in crate::state) const VANISHED: &str = "vanished";
    pub(in crate::state) const STAGED: &str = "staged";
    /// Indexes: derived from the tables above, never in a checkpoint.
    pub(in crate::state) const INDEX: &str = "ix";
}

/// Names of the indexes; a row's key is `ix/index/value NUL id`.
pub(super) mod index {
    pub(in crate::state) const ASSET_NAME: &str = "asset-name";
    pub(in crate::state) const ASSET_SERIAL: &str = "asset-serial";
    pub(in crate::state) const ASSET_LINK: &str = "asset-link";
    pub(in crate::state) const RECORD_NAME: &str = "record-name";
    pub(in crate::state) const RECORD_EMAIL: &str = "record-email";
    pub(in crate::state) const RECORD_LINK: &str = "record-link";
    pub(in crate::state) const DEVICE_NAME: &str = "device-name";
    pub(in crate::state) const DEVICE_SERIAL: &str = "device-serial";
    pub(in crate::state) const DEVICE_USER: &str = "device-user";
    pub(in crate::state) const DEVICE_MISSING: &str = "device-missing";
    pub(in crate::state) const DECISION_OPEN: &str = "decision-open";
    pub(in crate::state) const USER_NAME: &str = "user-name";
    pub(in crate::state) const USER_ID: &str = "user-id";
    pub(in crate::state) const CLAIM: &str = "claim";
    /// May hold more than is true: who reads it looks at the decision.
    pub(in crate::state) const PROMISE: &str = "promise";

    /// What only matching looks for.
    pub(in crate::state) const FOR_MATCHING: [&str; 8] = [
        ASSET_NAME,
        ASSET_SERIAL,
        RECORD_NAME,
        RECORD_EMAIL,
        DEVICE_NAME,
        DEVICE_SERIAL,
        DEVICE_USER,
        USER_NAME,
    ];
}

/// The key of a row.
pub(super) fn row_key(table: &str, id: &str) -> Vec<u8> {
    [table.as_bytes(), b"/", id.as_bytes()].concat()
}

/// The key of an index entry.
pub(super) fn index_key(index: &str, value: &str, id: &str) -> Vec<u8> {
    [table::INDEX.as_bytes(), b"/", index.as_bytes(), b"/", value.as_bytes(), b"\0", id.as_bytes()].concat()
}
