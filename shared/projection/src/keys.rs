//! Keys of rows and of index entries.

/// Names of the tables; a row's key is `table/…`.
pub(super) mod table {
    pub(crate) const META: &str = "meta";
    pub(crate) const CATALOGUE: &str = "catalogue";
    pub(crate) const ASSET: &str = "asset";
    pub(crate) const RECORD: &str = "record";
    pub(crate) const DEVICE: &str = "device";
    pub(crate) const USER: &str = "user";
    pub(crate) const LINK: &str = "link";
    pub(crate) const USER_LINK: &str = "user-link";
    pub(crate) const MEMORY: &str = "memory";
    pub(crate) const ANSWERED: &str = "answered";
    pub(crate) const DECISION: &str = "decision";
    pub(crate) const INTENT: &str = "intent";
    pub(crate) const PERSON: &str = "person";
    /// Which decisions of persons took effect, by the id of their fact: none does twice.
    pub(crate) const SAID: &str = "said";
    pub(crate) const KANDJI: &str = "kandji-requests";
    /// What the run whose inventory is in force said about its reading.
    pub(crate) const REPORT: &str = "report";
    /// Linked devices that the runs which are held do not see (P23).
    pub(crate) const VANISHED: &str = "vanished";
    pub(crate) const STAGED: &str = "staged";
    /// Rows of an import that has not ended.
    pub(crate) const IMPORT: &str = "import";
    /// Indexes: derived from the tables above, never in a checkpoint.
    pub(crate) const INDEX: &str = "ix";
}

/// Names of the indexes; a row's key is `ix/index/value NUL id`.
pub(super) mod index {
    pub(crate) const ASSET_NAME: &str = "asset-name";
    pub(crate) const ASSET_SERIAL: &str = "asset-serial";
    pub(crate) const ASSET_LINK: &str = "asset-link";
    pub(crate) const RECORD_NAME: &str = "record-name";
    pub(crate) const RECORD_EMAIL: &str = "record-email";
    pub(crate) const RECORD_LINK: &str = "record-link";
    pub(crate) const DEVICE_NAME: &str = "device-name";
    pub(crate) const DEVICE_SERIAL: &str = "device-serial";
    pub(crate) const DEVICE_USER: &str = "device-user";
    pub(crate) const DEVICE_MISSING: &str = "device-missing";
    pub(crate) const DECISION_OPEN: &str = "decision-open";
    pub(crate) const USER_NAME: &str = "user-name";
    pub(crate) const USER_ID: &str = "user-id";
    pub(crate) const CLAIM: &str = "claim";
    /// May hold more than is true: who reads it looks at the decision.
    pub(crate) const PENDING_LINK: &str = "promise";

    /// What only matching looks for.
    pub(crate) const FOR_MATCHING: [&str; 8] = [
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
