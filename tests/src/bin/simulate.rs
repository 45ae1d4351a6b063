//! Serves a simulated Kandji tenant and a simulated AMFJ site that fits it, until it is told to stop.
//!
//! Prints one line of JSON: `{"kandji":{"url","token"},"amfj":{"url","token"},"devices","traps"}`.

use std::time::Duration;

use amfj_sync_tests::sim::{
    amfj::{AmfjOptions, AmfjSim, Dialect, EventIds, EventOptions},
    fleet::{Fleet, FleetSpec, Traps},
    kandji::{KandjiOptions, KandjiSim},
};
use anyhow::Context;
use clap::{Parser, ValueEnum};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Simulated Kandji and AMFJ on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How many devices the fleet has.
    #[arg(long, default_value_t = 300)]
    devices: usize,
    /// Same seed, same fleet.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Whether the fleet holds what breaks naive importers.
    #[arg(long, value_enum, default_value_t = TrapsArgument::Realistic)]
    traps: TrapsArgument,
    /// Serve the committed sample payloads instead of a made-up fleet.
    #[arg(long)]
    replay_samples: bool,
    /// Port of Kandji; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    kandji_port: u16,
    /// Port of AMFJ; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    amfj_port: u16,
    /// Token of Kandji.
    #[arg(long, default_value_t = KandjiOptions::default().token)]
    kandji_token: String,
    /// Token of AMFJ.
    #[arg(long, default_value_t = AmfjOptions::default().token)]
    amfj_token: String,
    /// How long every request takes at least, for instance 20ms.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    latency: Duration,
    /// How late a write shows in the lists of AMFJ, for instance 2s.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    list_lag: Duration,
    /// How AMFJ is spoken to.
    #[arg(long, value_enum, default_value = "assumed-v1")]
    dialect: Dialect,
    /// Where AMFJ sends its events, for instance `http://127.0.0.1:9467/events/acme/KEY`.
    #[arg(long)]
    events_url: Option<String>,
    /// Whether events have the id of their asset.
    #[arg(long, value_enum, default_value = "at-top")]
    event_ids: EventIds,
    /// Requests a second that Kandji answers; 0 for no limit.
    #[arg(long, default_value_t = 50)]
    per_second: u32,
    /// Requests an hour that Kandji answers; 0 for no limit.
    #[arg(long, default_value_t = 10_000)]
    per_hour: u32,
    /// Rows that a page of Kandji has at most.
    #[arg(long, default_value_t = 300)]
    page_limit: usize,
    /// Let the Kandji token read users too.
    #[arg(long)]
    permit_users: bool,
    /// Let the Kandji token read Prism's device information too.
    #[arg(long)]
    permit_prism: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TrapsArgument {
    None,
    Realistic,
}

/// `20ms`, `2s` or a bare number of milliseconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no duration; write 20ms or 2s"))?;
    match unit {
        "" | "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        _ => Err(format!("{unit:?} is no unit of time; write ms, s or m")),
    }
}

impl Arguments {
    fn fleet(&self) -> anyhow::Result<Fleet> {
        if self.replay_samples {
            return Fleet::from_samples();
        }
        let traps = match self.traps {
            TrapsArgument::None => Traps::None,
            TrapsArgument::Realistic => Traps::Realistic,
        };
        Ok(Fleet::generate(FleetSpec { devices: self.devices, seed: self.seed, traps }))
    }

    fn kandji(&self) -> KandjiOptions {
        KandjiOptions {
            port: self.kandji_port,
            token: self.kandji_token.clone(),
            seed: self.seed,
            per_second: (self.per_second > 0).then_some(self.per_second),
            per_hour: (self.per_hour > 0).then_some(self.per_hour),
            page_limit: self.page_limit,
            permit_users: self.permit_users,
            permit_details: true,
            permit_prism: self.permit_prism,
            latency: self.latency,
        }
    }

    fn amfj(&self) -> AmfjOptions {
        AmfjOptions {
            port: self.amfj_port,
            token: self.amfj_token.clone(),
            seed: self.seed,
            list_lag: self.list_lag,
            latency: self.latency,
            dialect: self.dialect,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let fleet = arguments.fleet()?;
    // Listen for the signals before anybody can know that there is something to stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let kandji = KandjiSim::start(&fleet, arguments.kandji()).await.context("Kandji's port")?;
    let amfj = AmfjSim::start(&fleet.site, arguments.amfj()).await.context("AMFJ's port")?;
    let events = arguments.events_url.as_ref().map(|url| {
        let ids = arguments.event_ids;
        amfj.send_events(EventOptions { ids, ..EventOptions::to(url) })
    });
    let _events = events.transpose()?;
    println!(
        "{}",
        json!({
            "kandji": { "url": kandji.url(), "token": kandji.token(), "control": kandji.control_url() },
            "amfj": { "url": amfj.url(), "token": amfj.token(), "control": amfj.control_url() },
            "devices": fleet.devices.len(),
            "assets": fleet.site.assets.len(),
            "users": fleet.site.users.len(),
            "traps": fleet.trap_counts(),
        })
    );
    drop(fleet);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
