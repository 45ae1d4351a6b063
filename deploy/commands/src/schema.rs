//! `amfj-sync schema`: the JSON Schema of the configuration, by which editors complete and check it while it is typed.
//!
//! It stands in `docs/configuration.schema.json`, made of [`tables`] by the test of this module. What it cannot tell (does this
//! file exist, is there such an asset type?) is told when the configuration is read, and by `amfj-sync check`.

use amfj_sync_security::screen::say;

#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;

const SCHEMA: &str = include_str!("../../../docs/configuration.schema.json");

/// Prints it.
pub(crate) fn show() {
    say(SCHEMA);
}
