//! What a person decides: `link`, `unlink`, `link-user`, `unlink-user`, `release`, `rematch`. Each is a
//! fact like any other, and stands above every rule.

use std::fmt::Write as _;

use amfj_sync_config::{Integration, Mode};
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{DeviceEntry, Event, Fact, OperatorDecision, OperatorOrder, author};
use amfj_sync_projection::{Projection, Verdict};
use amfj_sync_rules as rules;
use amfj_sync_security::screen::{Screen, sanitize, say, say_line};
use amfj_sync_service::worker::{CommonArgs, Exit};
use amfj_sync_stream::StateHandle;
use jiff::Timestamp;
use uuid::Uuid;

use super::plan::{self, Hold, Vanished};
use super::{CommandContext, format, lookup};

mod from_table;
mod table;

pub(crate) use from_table::link_all;

/// This device is this asset.
pub(crate) async fn link(common: &CommonArgs, device: &str, asset: &str) -> Result<(), Exit> {
    let context = CommandContext::read("link", common).await?;
    let done = make_link(&context, device, asset).await;
    context.done(done).await
}

async fn make_link(context: &CommandContext, device: &str, asset: &str) -> Result<(), Exit> {
    let found = lookup::device(context, device)?;
    let (integration, state) = context.integration(&found.integration)?;
    let device = found.what.entry;
    let asset = lookup::asset(state, asset)?;
    refuse_taken(context, integration, state, &device, &asset)?;
    let before = state.read(|view| view.link(&device.device_id)).filter(|link| link.asset != asset.id);
    let order = OperatorOrder::Link { device: device.device_id.clone(), asset: asset.id.clone() };
    decide(state, order).await?;
    let instead = before.map(|link| format!(" instead of {}", link.asset)).unwrap_or_default();
    say_line(&format!(
        "{} is linked to asset {} from now on{instead}.",
        format::device(&device),
        format::asset(&asset)
    ));
    say_line(&what_follows(context, integration, "its mapped fields are compared").await?);
    Ok(())
}

/// A link is unique in an AMFJ site (P4). The state refuses what it can see; the device's name, and
/// other integrations, are seen here.
fn refuse_taken(
    context: &CommandContext,
    integration: &Integration,
    state: &StateHandle,
    device: &DeviceEntry,
    asset: &Asset,
) -> Result<(), Exit> {
    let own = state.read(|view| {
        let other = view.linked_device(&asset.id).filter(|other| *other != device.device_id)?;
        let name = view.device(&other).map_or_else(|| other.to_string(), |row| format::device(&row.entry));
        Some(format!("device {name}; type `amfj-sync unlink {}` first", sanitize(other.as_str())))
    });
    let theirs = || {
        context.with_siblings(integration, &mut |siblings| {
            let other = siblings.iter().find_map(|view| view.linked_device(&asset.id))?;
            let other = sanitize(other.as_str());
            Some(format!(
                "device {other} of another integration of this AMFJ site; type `amfj-sync unlink {other}` first"
            ))
        })
    };
    match own.or_else(theirs) {
        Some(taken) => Err(Exit::Failed(format!("asset {} is linked to {taken}", format::asset(asset)))),
        None => Ok(()),
    }
}

/// This device is no asset.
pub(crate) async fn unlink(common: &CommonArgs, device: &str) -> Result<(), Exit> {
    let context = CommandContext::read("unlink", common).await?;
    let done = break_link(&context, device).await;
    context.done(done).await
}

async fn break_link(context: &CommandContext, device: &str) -> Result<(), Exit> {
    let found = lookup::device(context, device)?;
    let (_, state) = context.integration(&found.integration)?;
    let device = found.what.entry;
    let linked = state.read(|view| {
        let link = view.link(&device.device_id)?;
        Some(view.asset(&link.asset).map_or_else(|| link.asset.to_string(), |row| format::asset(&row.asset)))
    });
    decide(state, OperatorOrder::Unlink { device: device.device_id.clone() }).await?;
    let (name, handle) = (format::device(&device), rules::handle(&device));
    match linked {
        Some(asset) => {
            say_line(&format!("{name} is no longer linked to asset {asset}; the asset stays as it is."));
        }
        None => say_line(&format!("{name} had no link.")),
    }
    say_line(&format!(
        "No rule links it or creates an asset for it; `amfj-sync link \"{handle}\" ASSET` does."
    ));
    Ok(())
}

/// This Kandji user is this record.
pub(crate) async fn link_user(common: &CommonArgs, user: &str, record: &str) -> Result<(), Exit> {
    let context = CommandContext::read("link-user", common).await?;
    let done = make_user_link(&context, user, record).await;
    context.done(done).await
}

async fn make_user_link(context: &CommandContext, user: &str, record: &str) -> Result<(), Exit> {
    let found = lookup::user(context, user)?;
    let (integration, state) = context.integration(&found.integration)?;
    let user = found.what;
    let record = lookup::record(state, record)?;
    decide(state, OperatorOrder::LinkUser { ids: user.ids.clone(), record: record.id.clone() }).await?;
    say_line(&format!("{} is user record {} from now on.", user.key, format::record(&record)));
    say_line(&what_follows(context, integration, "their devices are decided again").await?);
    Ok(())
}

/// This Kandji user is no record.
pub(crate) async fn unlink_user(common: &CommonArgs, user: &str) -> Result<(), Exit> {
    let context = CommandContext::read("unlink-user", common).await?;
    let done = break_user_link(&context, user).await;
    context.done(done).await
}

async fn break_user_link(context: &CommandContext, user: &str) -> Result<(), Exit> {
    let found = lookup::user(context, user)?;
    let (_, state) = context.integration(&found.integration)?;
    let user = found.what;
    let linked = state.read(|view| user.ids.iter().find_map(|id| view.user_link(id)));
    decide(state, OperatorOrder::UnlinkUser { ids: user.ids.clone() }).await?;
    match linked {
        Some(link) => say_line(&format!(
            "{} is no longer linked to user record {}; the record, and the assets it has, stay as they are.",
            user.key, link.record
        )),
        None => say_line(&format!("{} had no link.", user.key)),
    }
    say_line(&format!(
        "No rule links or creates a record for them; `amfj-sync link-user {} RECORD` does.",
        user.key
    ));
    Ok(())
}

/// Lets a held run go on (P23).
pub(crate) async fn release(common: &CommonArgs) -> Result<(), Exit> {
    let context = CommandContext::read("release", common).await?;
    let done = each(&context, release_one).await;
    context.done(done).await
}

async fn release_one(
    context: &CommandContext,
    integration: &Integration,
    state: &StateHandle,
) -> Result<(), Exit> {
    let id = &integration.id;
    let held = context.with_siblings(integration, &mut |siblings| {
        state.read(|view| Held::of(integration, view, siblings))
    })?;
    let Some(held) = held else {
        return Err(Exit::Failed(format!("{id} is not held, so there is nothing to release")));
    };
    decide(state, OperatorOrder::Release).await?;
    say_line(&format!("{id} is released. It was held because: {}", held.reason));
    if !held.lines.is_empty() {
        say(&list_of(integration, &held));
    }
    say_line(&if held.before_publishing {
        let next = "The next run passes, whatever it finds of this; it was asked for, and starts at once";
        format!(
            "{next}{}.",
            absence_of(context, "fetcher", " as soon as a fetcher runs (`fetcher run`)").await?
        )
    } else {
        let absent = " as soon as a reconciler runs (`reconciler run`)";
        format!(
            "What was kept back goes to the writers now{}.",
            absence_of(context, "reconciler", absent).await?
        )
    });
    Ok(())
}

/// Lines of what was held that are shown when it is released; the plan has shown all of them before.
const MOST_LINES: usize = 100;

/// What a person lets go on.
struct Held {
    reason: String,
    before_publishing: bool,
    /// Devices that vanished, or changes that were kept back, one a line.
    lines: Vec<String>,
}

impl Held {
    /// None where nothing is held. A hold that the run after it has not said again yet is one (P23).
    fn of(
        integration: &Integration,
        view: &Projection,
        siblings: &[&Projection],
    ) -> Result<Option<Self>, Exit> {
        let vanished = Vanished::all(view);
        let is_released = view.meta().released.is_some();
        let hold = Hold::of(integration, view);
        let before_publishing = hold.as_ref().map_or(!vanished.is_empty(), |hold| hold.before_publishing);
        let reason = match hold {
            Some(hold) => hold.reason,
            None if vanished.is_empty() || is_released => return Ok(None),
            None => format!("{} linked devices vanished from Kandji at once", vanished.len()),
        };
        let lines = if before_publishing {
            vanished.iter().map(Vanished::line).collect()
        } else {
            plan::kept_back(integration, view, siblings)?
        };
        Ok(Some(Self { reason, before_publishing, lines }))
    }
}

fn list_of(integration: &Integration, held: &Held) -> String {
    let screen = Screen::stdout();
    let mut out = if held.before_publishing {
        format!("Vanished from Kandji, or listed as removed ({}):\n", held.lines.len())
    } else {
        format!("Kept back until now ({}):\n", held.lines.len())
    };
    for line in held.lines.iter().take(MOST_LINES) {
        let _ = writeln!(out, "  {}", screen.sentence(4, line));
    }
    if let Some(more) = held.lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        let _ = writeln!(out, "  and {more} more, which `amfj-sync plan {}` shows", integration.id);
    }
    if held.before_publishing {
        out.push_str(plan::fate(integration));
    }
    out
}

/// Makes the next run a first sync again (P5).
pub(crate) async fn rematch(common: &CommonArgs) -> Result<(), Exit> {
    let context = CommandContext::read("rematch", common).await?;
    let done = each(&context, rematch_one).await;
    context.done(done).await
}

async fn rematch_one(_: &CommandContext, integration: &Integration, state: &StateHandle) -> Result<(), Exit> {
    let id = &integration.id;
    let first = state.read(|view| !view.meta().first_sync_over);
    decide(state, OperatorOrder::Rematch).await?;
    let already = if first { " (it would have been one anyway)" } else { "" };
    say_line(&format!(
        "{id}: the next run is a first sync again{already}: devices without link are matched by name."
    ));
    say_line(&format!("`amfj-sync trigger {id}` starts it now. Links that exist stay."));
    Ok(())
}

/// One after the other; the first refusal ends it.
async fn each(
    context: &CommandContext,
    order: impl AsyncFn(&CommandContext, &Integration, &StateHandle) -> Result<(), Exit>,
) -> Result<(), Exit> {
    for (integration, state) in context.integrations() {
        order(context, integration, state).await?;
    }
    Ok(())
}

/// Publishes the decision and waits for what the order of the stream makes of it; whoever has to do with it reads it as
/// every other fact.
async fn announce(state: &StateHandle, order: OperatorOrder) -> Result<Verdict, Exit> {
    let decision = OperatorDecision { by: author(), order };
    let fact = Fact::OperatorDecided { token: Uuid::new_v4(), decision };
    Ok(state.publish_and_read_back(Event::fact(&state.origin(), Timestamp::now(), fact)).await?)
}

/// The same; what is rejected is an error.
pub(crate) async fn decide(state: &StateHandle, order: OperatorOrder) -> Result<(), Exit> {
    match announce(state, order).await? {
        Verdict::Accepted => Ok(()),
        Verdict::Rejected(reason) => Err(Exit::Failed(sanitize(&reason))),
    }
}

async fn what_follows(
    context: &CommandContext,
    integration: &Integration,
    what: &str,
) -> Result<String, Exit> {
    let absent = ", as soon as a reconciler runs (`reconciler run`)";
    let absent = absence_of(context, "reconciler", absent).await?;
    let id: &IntegrationId = &integration.id;
    Ok(match integration.mode {
        Mode::Plan => {
            format!("Next {what}{absent}. {id} only plans: `amfj-sync plan {id}` shows what would change.")
        }
        Mode::Apply => format!("Next {what}{absent}, and what differs is written to AMFJ."),
    })
}

/// The words for it where no worker of that role runs.
async fn absence_of(context: &CommandContext, role: &str, words: &'static str) -> Result<&'static str, Exit> {
    let broker = &context.worker.broker;
    let queue = broker.names().workers(role);
    let workers = broker.session().await?.inspect(&queue).await?.map_or(0, |depth| depth.consumers);
    Ok(if workers == 0 { words } else { "" })
}
