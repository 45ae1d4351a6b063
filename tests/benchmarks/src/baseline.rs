//! The way scripts in this field work: one request after the other, a search for every device and every
//! person, details of every device where one is mapped. Measured beside the pipeline, on the same
//! simulators with the same latency.

use std::time::{Duration, Instant};

use amfj_sync_benchmarks::figures::{machine, table};
use amfj_sync_tests::harness::http_client;
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::stage::Stage;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Devices
    #[arg(long, default_value_t = 1_000)]
    devices: usize,
    /// Latency of both services, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// Only amfj-sync: to compare two builds, with `AMFJ_SYNC_BIN_DIR` naming the folder of each in turn
    #[arg(long)]
    pipeline_only: bool,
    /// Only without details, which take as long as Kandji's rate has it
    #[arg(long)]
    without_details: bool,
}

/// One request after the other.
struct Script<'a> {
    http: reqwest::Client,
    services: &'a Services,
    details: bool,
}

impl Script<'_> {
    async fn get(&self, url: &str, token: &str) -> Result<Value> {
        Ok(self.http.get(url).bearer_auth(token).send().await?.error_for_status()?.json().await?)
    }

    async fn amfj(&self, path: &str) -> Result<Value> {
        self.get(&format!("{}{path}", self.services.amfj.url()), &self.services.amfj.token()).await
    }

    async fn create(&self, path: &str, body: &Value) -> Result<()> {
        let url = format!("{}{path}", self.services.amfj.url());
        let post = self.http.post(url).bearer_auth(self.services.amfj.token()).json(body);
        post.send().await?.error_for_status()?;
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        let types = self.amfj("/asset-types").await?;
        let laptop = types["results"].as_array().into_iter().flatten().find(|kind| kind["name"] == "Laptop");
        let laptop = laptop.context("a type Laptop")?["id"].clone();
        let mut offset = 0;
        loop {
            let page = format!("{}/api/v1/devices?limit=300&offset={offset}", self.services.kandji.url());
            let page = self.get(&page, &self.services.kandji.token()).await?;
            let devices = page.as_array().context("a page")?;
            if devices.is_empty() {
                return Ok(());
            }
            offset += devices.len();
            for device in devices {
                self.device(device, &laptop).await?;
            }
        }
    }

    async fn device(&self, device: &Value, laptop: &Value) -> Result<()> {
        let mut fields = json!({ "Model": device["model"], "OS Version": device["os_version"] });
        if self.details {
            let id = device["device_id"].as_str().unwrap_or_default();
            let url = format!("{}/api/v1/devices/{id}/details", self.services.kandji.url());
            let details = self.get(&url, &self.services.kandji.token()).await?;
            fields["Memory"] = details["hardware_overview"]["memory"].clone();
        }
        let search = |what: &str, text: &Value| {
            let text: String = url_encoded(text.as_str().unwrap_or_default());
            format!("/{what}={text}")
        };
        let found = self.amfj(&search("assets?name", &device["device_name"])).await?;
        if found["results"].as_array().is_none_or(Vec::is_empty) {
            let asset = json!({ "name": device["device_name"], "asset_type_id": laptop, "fields": fields });
            self.create("/assets", &asset).await?;
        }
        let user = &device["user"];
        if user["email"].is_string() {
            let found = self.amfj(&search("users?email", &user["email"])).await?;
            if found["results"].as_array().is_none_or(Vec::is_empty) {
                self.create("/users", &json!({ "name": user["name"], "email": user["email"] })).await?;
            }
        }
        Ok(())
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Time and requests of a first sync and of a run in which nothing changed.
struct Figures {
    first: Duration,
    idle: Duration,
    requests: usize,
    idle_requests: usize,
}

async fn services(options: &Options) -> Result<Services> {
    let mut fleet = Fleet::generate(spec(options.devices, 7));
    fleet.site = Site::empty();
    let services = Services::start(&fleet).await?;
    services.kandji.set_latency(Duration::from_millis(options.latency));
    services.amfj.set_latency(Duration::from_millis(options.latency));
    services.kandji.set_limits(Some(50), None);
    Ok(services)
}

fn requests(services: &Services) -> usize {
    let count = services.kandji.request_count() + services.amfj.request_count();
    services.kandji.clear_requests();
    services.amfj.clear_requests();
    count
}

async fn scripted(options: &Options, details: bool) -> Result<Figures> {
    let services = services(options).await?;
    let script = Script { http: http_client()?, services: &services, details };
    let begin = Instant::now();
    script.sync().await?;
    let (first, first_requests) = (begin.elapsed(), requests(&services));
    let begin = Instant::now();
    script.sync().await?;
    Ok(Figures { first, idle: begin.elapsed(), requests: first_requests, idle_requests: requests(&services) })
}

async fn piped(options: &Options, details: bool) -> Result<Figures> {
    let services = services(options).await?;
    let mut integration = services
        .integration("acme")
        .set("mode", "apply")
        .set("sync.create_devices", "always")
        .set("amfj.requests_per_second", 10_000)
        .field("Model", "model")
        .field("OS Version", "os_version");
    if details {
        integration = integration.field("Memory", "details.hardware_overview.memory");
    }
    let stage = Stage::set(vec![("acme", integration)], 1, 1).await?;
    let first = stage.run().await?.all;
    let first_requests = requests(&services);
    let idle = stage.run().await?.all;
    ensure!(services.amfj.write_count() > 0, "nothing was written at all");
    Ok(Figures { first, idle, requests: first_requests, idle_requests: requests(&services) })
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    println!(
        "{} devices, {} ms latency at both services, Kandji lets 50 requests a second pass",
        options.devices, options.latency
    );
    let mut shown = table(&["", "first sync", "requests", "idle run", "requests"]);
    for details in [false, true].into_iter().filter(|details| !details || !options.without_details) {
        let with = if details { "with details" } else { "without details" };
        let script = if options.pipeline_only { None } else { Some(scripted(options, details).await?) };
        let pipeline = piped(options, details).await?;
        let figures =
            script.iter().map(|script| ("one after the other", script)).chain([("amfj-sync", &pipeline)]);
        for (name, figures) in figures {
            shown.add_row([
                format!("{name}, {with}"),
                format!("{:.1} s", figures.first.as_secs_f64()),
                figures.requests.to_string(),
                format!("{:.1} s", figures.idle.as_secs_f64()),
                figures.idle_requests.to_string(),
            ]);
        }
        let Some(script) = script else { continue };
        println!(
            "{with}: first sync {:.1} times faster, idle run {:.1} times faster with {:.3} of the requests",
            script.first.as_secs_f64() / pipeline.first.as_secs_f64(),
            script.idle.as_secs_f64() / pipeline.idle.as_secs_f64(),
            ratio(pipeline.idle_requests, script.idle_requests)
        );
    }
    println!("{shown}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn ratio(one: usize, other: usize) -> f64 {
    one as f64 / other as f64
}
