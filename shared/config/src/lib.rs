//! The configuration: one TOML file for all three workers, with overrides from the environment.
//!
//! [`load`] finds the file, reads it, and either answers a [`Config`] in which every value is valid,
//! or **all** mistakes at once, each with file, line, the wrong word and the nearest right one.
//! Nothing here connects to anything: whether an asset type or a field exists is asked by the
//! fetcher, which then names the line through [`Integration::place_of`] (P18).

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod addresses;
pub mod catalogue;
mod doors;
pub mod enums;
mod events;
#[cfg(test)]
pub(crate) mod fixture;
mod folder;
mod integration;
mod keys;
mod load;
mod mask;
pub mod mode;
mod overrides;
mod problem;
mod profile;
mod reader;
pub mod reading;
pub mod secret;
mod sections;
mod settings;
mod source;
mod tls;
mod token;
mod tokens;
mod tree;
#[cfg(test)]
mod trust_tests;
pub mod types;
pub mod values;

pub use addresses::{kandji as kandji_address, service as service_address};
pub use doors::open_doors;
pub use enums::{
    Assignment, Bulk, CreateDevices, CreateUsers, FirstAssignment, Mode, NameMatching, OnEmpty, WhenGone,
};
pub use folder::{FileText, Files, Rejected};
pub use integration::FLOOR;
pub use load::{
    CONFIG_VARIABLE, DEFAULT_PATH, KEPT_VARIABLE, Loaded, SYSTEM_PATH, find, load, parse, process_environment,
};
pub use overrides::{PREFIX as OVERRIDE_PREFIX, in_environment};
pub use problem::{ConfigErrors, Problem, Warning};
pub use profile::{BUILT_IN_PROFILES, ProfileSource};
pub use secret::{BrokerUrl, Secret};
pub use token::{Token, fault_of as token_fault};
pub use tokens::{TokenVariables, Tokens};
pub use types::{
    AmfjConfig, BrokerConfig, BrokerTls, Config, EventsConfig, FetcherConfig, Integration, KandjiConfig,
    RetryConfig, Scope, ScopeRule, ServeConfig, SigningConfig, SyncConfig, TimingConfig, WorkerConfig,
    WriterConfig,
};
pub use values::Percent;
