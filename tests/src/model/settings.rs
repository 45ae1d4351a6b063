//! The settings that the rules depend on, and how they are written in a configuration.

use std::collections::BTreeMap;

use crate::harness::IntegrationBuilder;

/// When assets are created (P7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CreateDevices {
    Never,
    FirstSync,
    Always,
}

/// For whom user records are created (P11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CreateUsers {
    Linked,
    All,
    Never,
}

/// The settings of one integration.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting with two words")]
pub struct Settings {
    /// `mode = "apply"` (P25).
    pub apply: bool,
    /// P7.
    pub create_devices: CreateDevices,
    /// `name_matching = "until-linked"` (P5).
    pub until_linked: bool,
    /// P11.
    pub create_users: CreateUsers,
    /// P20, P21.
    pub auto_checkout: bool,
    /// `first_assignment = "keep"` (P20).
    pub keep_first_holder: bool,
    /// `assignment = "enforce"` (P21).
    pub enforce: bool,
    /// P10.
    pub name_beats_email: bool,
    /// P20.
    pub no_checkout_users: Vec<String>,
    /// `on_empty = "clear"` (P14).
    pub clear_on_empty: bool,
    /// `when_gone = "check-in"` (P22).
    pub check_in_gone: bool,
    /// P12.
    pub default_asset_type: String,
    /// P12, P13.
    pub default_location: Option<String>,
    /// By platform (P12).
    pub asset_types: BTreeMap<String, String>,
    /// Platforms out of scope (P19).
    pub excluded_platforms: Vec<String>,
    /// P16.
    pub fields: BTreeMap<String, String>,
    /// P16.
    pub user_fields: BTreeMap<String, String>,
}

impl Default for Settings {
    /// The product's defaults, with `mode = "apply"`, type Laptop and no mapping.
    fn default() -> Self {
        Self {
            apply: true,
            create_devices: CreateDevices::Never,
            until_linked: false,
            create_users: CreateUsers::Linked,
            auto_checkout: false,
            keep_first_holder: false,
            enforce: false,
            name_beats_email: false,
            no_checkout_users: Vec::new(),
            clear_on_empty: false,
            check_in_gone: false,
            default_asset_type: "Laptop".to_owned(),
            default_location: None,
            asset_types: BTreeMap::new(),
            excluded_platforms: Vec::new(),
            fields: BTreeMap::new(),
            user_fields: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The same with a mapped field.
    #[must_use]
    pub fn field(mut self, amfj_field: &str, property: &str) -> Self {
        self.fields.insert(amfj_field.to_owned(), property.to_owned());
        self
    }

    /// The same with a mapped field of user records.
    #[must_use]
    pub fn user_field(mut self, amfj_field: &str, property: &str) -> Self {
        self.user_fields.insert(amfj_field.to_owned(), property.to_owned());
        self
    }

    /// The AMFJ fields that hold the serial number.
    pub(super) fn serial_fields(&self) -> impl Iterator<Item = &String> {
        self.fields.iter().filter(|(_, property)| *property == "serial_number").map(|(field, _)| field)
    }

    /// Whether people are matched by name (P10).
    pub(super) fn matches_people_by_name(&self) -> bool {
        self.user_fields.get("Name").is_some_and(|property| is_user_name(property))
    }

    /// Writes the settings into a configuration.
    #[must_use]
    pub fn configure(&self, builder: IntegrationBuilder) -> IntegrationBuilder {
        let texts = |list: &[String]| toml::Value::from(list.to_vec());
        let either = |first: bool, yes: &'static str, no: &'static str| if first { yes } else { no };
        let create_devices = match self.create_devices {
            CreateDevices::Never => "never",
            CreateDevices::FirstSync => "first-sync",
            CreateDevices::Always => "always",
        };
        let create_users = match self.create_users {
            CreateUsers::Linked => "linked",
            CreateUsers::All => "all",
            CreateUsers::Never => "never",
        };
        let mut builder = builder
            .set("mode", either(self.apply, "apply", "plan"))
            .set("sync.create_devices", create_devices)
            .set("sync.name_matching", either(self.until_linked, "until-linked", "first-sync"))
            .set("sync.create_users", create_users)
            .set("sync.auto_checkout", self.auto_checkout)
            .set("sync.first_assignment", either(self.keep_first_holder, "keep", "take-over"))
            .set("sync.assignment", either(self.enforce, "enforce", "on-change"))
            .set("sync.name_beats_email", self.name_beats_email)
            .set("sync.no_checkout_users", texts(&self.no_checkout_users))
            .set("sync.on_empty", either(self.clear_on_empty, "clear", "keep"))
            .set("sync.when_gone", either(self.check_in_gone, "check-in", "report"))
            .set("sync.default_asset_type", self.default_asset_type.as_str())
            // The model knows no held runs (P23).
            .set("sync.gone_limit", "100%")
            .set("sync.change_limit", "100%");
        if let Some(location) = &self.default_location {
            builder = builder.set("sync.default_location", location.as_str());
        }
        if !self.excluded_platforms.is_empty() {
            builder = builder.set("scope.exclude.platform", texts(&self.excluded_platforms));
        }
        for (platform, asset_type) in &self.asset_types {
            builder = builder.asset_type(platform, asset_type);
        }
        for (field, property) in &self.fields {
            builder = builder.field(field, property);
        }
        for (field, property) in &self.user_fields {
            builder = builder.user_field(field, property);
        }
        builder
    }
}

/// The user's name, or a template that is nothing but it (P10).
fn is_user_name(property: &str) -> bool {
    let inner = property.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.unwrap_or(property).trim() == "user.name"
}
