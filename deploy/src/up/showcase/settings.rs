//! The configuration of the showcase: an ordinary one, except for short pauses.

use std::path::Path;

use amfj_sync_config::{self as config, Loaded};
use amfj_sync_tests::harness::ports::free_ports;
use amfj_sync_tests::harness::{ConfigBuilder, IntegrationBuilder, WrittenConfig};
use anyhow::{Context as _, Result, bail};

use super::simulation::Simulation;

/// The only integration.
pub(super) const INTEGRATION: &str = "acme";

/// The AMFJ field that shows the email of the primary user; only the type `Laptop` has it.
pub(super) const OWNER_EMAIL: &str = "Owner Email";

/// The AMFJ field that shows the version of the operating system.
pub(super) const OS_VERSION: &str = "OS Version";

/// Writes the file and reads it as the workers will.
pub(super) fn write(folder: &Path, broker: &str, simulation: &Simulation) -> Result<(WrittenConfig, Loaded)> {
    let &[fetcher, reconciler, writer] = free_ports(3)?.as_slice() else {
        bail!("asked for three ports and got another number");
    };
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let written = ConfigBuilder::new(broker, "amfj-sync")
        .set("fetcher.listen", listen(fetcher))
        .set("reconciler.listen", listen(reconciler))
        .set("writer.listen", listen(writer))
        .integration(integration(simulation))
        .write_to(&folder.join("amfj-sync.toml"))?;
    let loaded = config::load(Some(&written.path), &written.environment, config::Tokens::Both)
        .context("the configuration that was written is wrong")?;
    Ok((written, loaded))
}

fn integration(simulation: &Simulation) -> IntegrationBuilder {
    let Simulation { kandji, amfj, .. } = simulation;
    IntegrationBuilder::new(INTEGRATION, &kandji.url, &amfj.url)
        .tokens(&kandji.token, &amfj.token)
        .set("interval", "1h")
        // The simulated tenant is nobody else's.
        .set("kandji.requests_per_hour", 10_000)
        .set("sync.default_location", "HQ")
        .set("sync.create_devices", "never")
        .set("sync.name_matching", "until-linked")
        .set("sync.create_users", "linked")
        .set("sync.auto_checkout", true)
        .field("Name", "device_name")
        .field("Serial Number", "serial_number")
        .field("Model", "{{ model }}, {{ blueprint_name }}")
        .field(OS_VERSION, "os_version")
        .field(OWNER_EMAIL, "user.email")
        .field("Memory", "details.hardware_overview.memory")
        .user_field("Name", "user.name")
        .user_field("Kandji User", "user.id")
}
