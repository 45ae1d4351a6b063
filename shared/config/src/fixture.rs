//! An integration with nothing special about it, for tests that are about other sections.

/// Its section; both tokens are in the variable `T`.
pub(crate) const INTEGRATION: &str = include_str!("fixture.toml");
