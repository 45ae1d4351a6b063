//! An integration with nothing special about it, for tests that are about other sections.

/// Its section; both tokens are in the variable `T`.
pub(crate) const INTEGRATION: &str = r#"
[[integration]]
id = "acme"
mode = "plan"
[integration.kandji]
api_url = "https://acme.api.kandji.io"
token = { env = "T" }
[integration.amfj]
api_url = "https://amfj.example/v1"
token = { env = "T" }
[integration.sync]
default_asset_type = "Laptop"
"#;
