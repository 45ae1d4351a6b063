//! Names that would write on a terminal, turn its direction of writing, or have lines of their own: none of it leaves any
//! command, whether it goes well or not, nor a log that is read as text, nor a page.

use amfj_sync_tests::harness::Role;
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// What a device of somebody with ideas is called.
const NAME: &str = "Mac\u{1b}[31m\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{61c}\u{2028}\u{2066}\u{7f}\r\u{8}\u{e0041}\u{200f}\u{206e}\nerror: FORGED\nx";
/// The same in what has fewer letters.
const SERIAL: &str = "C02\u{1b}[2J\u{202e}\nFORGED";

/// Whether a terminal obeys a sign. Nothing of the product is used to tell.
fn is_obeyed(c: char) -> bool {
    let is_line_of_ours = matches!(c, '\n' | '\t');
    c.is_control() && !is_line_of_ours
        || matches!(u32::from(c), 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x206f | 0xe0000..=0xe007f)
}

fn ensure_harmless(place: &str, text: &str) -> Result<()> {
    // What a table of RFC 4180 ends its lines with.
    let text = text.replace("\r\n", "\n");
    let obeyed: Vec<char> = text.chars().filter(|c| is_obeyed(*c)).collect();
    ensure!(obeyed.is_empty(), "{place} passes {obeyed:?} on:\n{text}");
    // There a line within quotes is one cell.
    if place.contains("--csv") {
        return Ok(());
    }
    // Where a sentence is folded, its lines are indented.
    let forged = text.lines().find(|line| {
        let line = line.trim_start_matches(['"', '·']);
        line.starts_with("error: FORGED") || line.starts_with("FORGED")
    });
    ensure!(forged.is_none(), "{place} has a line of a name:\n{text}");
    Ok(())
}

#[tokio::test]
async fn no_name_writes_on_the_terminal_of_any_command() -> Result<()> {
    let services = Services::plain(4, 28).await?;
    let device = services.kandji.devices()[0].device_id.clone();
    services.kandji.set(&device, "device_name", json!(NAME))?;
    services.kandji.set(&device, "serial_number", json!(SERIAL))?;
    let body = Body::Text(json!({ "error": { "code": "no", "message": NAME } }).to_string());
    let refuse = Personality::new(Oddity::refuse(422).saying(body)).at(Kind::Writes).of(NAME.trim());
    services.amfj.personality(refuse);
    let settings = Settings { create_devices: CreateDevices::Always, ..Settings::default() };
    let integration = settings.field("Model", "model").configure(services.integration("acme"));
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config.set("retry.give_up_after", "1s")
    })
    .await?;
    let plan = pipeline.config.path.with_file_name("plan.csv").display().to_string();
    let fetched = pipeline.call(Role::Fetcher).log_format("text").args(["-v", "run", "--once"]);
    let fetched = fetched.finish(RUN_LIMIT).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    ensure_harmless("the log of the fetcher", &fetched.stderr)?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 1, "the refused creation is no dead letter");
    let letters = pipeline.said_as_json(&["dead", "list", "--json"]).await?;
    let letter = letters[0]["id"].as_str().unwrap_or_default();
    let asset = services.amfj.assets()[0].id.clone();
    let calls: [&[&str]; 25] = [
        &["check"],
        &["plan", "--no-pager"],
        &["plan", "--json"],
        &["plan", "--csv"],
        &["plan", "--csv", "--out", &plan],
        &["status"],
        &["status", "--json"],
        &["explain", &device],
        &["explain", NAME, "--json"],
        &["explain", "Mac"],
        &["explain", "no such thing\u{202e}\nerror: FORGED"],
        &["link", SERIAL, "no such asset\u{1b}[2J\nerror: FORGED"],
        &["link", NAME, &asset],
        &["link", &device, NAME],
        &["unlink", NAME],
        &["link-user", NAME, NAME],
        &["plan", NAME],
        &["release", "acme", "--integration", NAME],
        &[NAME],
        &["dead", "list"],
        &["dead", "show", letter],
        &["dead", "show", NAME],
        &["history"],
        &["history", NAME],
        &["stopped", "list"],
    ];
    for arguments in calls {
        let done = pipeline.command(arguments).log_format("text").finish(RUN_LIMIT).await?;
        let place = format!("amfj-sync {arguments:?}");
        ensure_harmless(&place, &done.stdout)?;
        ensure_harmless(&format!("{place}, its errors"), &done.stderr)?;
    }
    ensure_harmless("the file of plan --csv", &std::fs::read_to_string(&plan)?)?;
    let explained = pipeline.said_as_json(&["explain", &device, "--json"]).await?;
    ensure!(
        explained.to_string().contains(&Value::from(NAME.trim()).to_string()),
        "JSON stays the same value"
    );
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        ensure_harmless("a log", &worker.log())?;
        for page in ["/status", "/readyz", "/healthz", "/metrics"] {
            ensure_harmless(page, &worker.get(page).await?.1)?;
        }
    }
    Ok(())
}
