//! `link --from FILE.csv`: many decisions of a person at once.
//!
//! All lines are looked at before anything is decided, and all that is wrong is told at once: a table is corrected in one go.
//! What is decided then stays decided, so whatever ends it early says how far it came; the same table goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{DeviceEntry, OperatorOrder};
use amfj_sync_projection::Verdict;
use amfj_sync_projection::rows::DeviceRow;
use amfj_sync_security::screen::{sanitize, say_error, say_line};
use amfj_sync_service::worker::{CommonArgs, Exit};

use super::table::{self, Pair, Wrong};
use super::{announce, refuse_taken, what_follows};
use crate::lookup::{self, Found, Hints};
use crate::{CommandContext, format};

/// More than a table of all devices takes.
const LARGEST: u64 = 32 << 20;

/// Wrong lines that say what is near; the rest is as wrong, and would take long.
const HINTED: usize = 20;

/// A line that can be carried out.
struct Link {
    line: u64,
    integration: IntegrationId,
    device: DeviceEntry,
    asset: Asset,
}

/// Each device of the table is the asset beside it.
pub(crate) async fn link_all(common: &CommonArgs, file: &Path) -> Result<(), Exit> {
    let (pairs, wrong) = read(file)?;
    let context = CommandContext::read("link", common).await?;
    let done = make_all(&context, file, &pairs, wrong).await;
    context.done(done).await
}

fn read(file: &Path) -> Result<(Vec<Pair>, Vec<Wrong>), Exit> {
    let said = |why: String| Exit::Configuration(format!("{}: {}", file.display(), sanitize(&why)));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| said(error.to_string()))?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| said(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(said(format!("it is larger than {} MB", LARGEST >> 20)));
    }
    let (pairs, wrong) = table::read(&bytes).map_err(said)?;
    if pairs.is_empty() && wrong.is_empty() {
        return Err(said("it has no line but the first".to_owned()));
    }
    Ok((pairs, wrong))
}

async fn make_all(
    context: &CommandContext,
    file: &Path,
    pairs: &[Pair],
    wrong: Vec<Wrong>,
) -> Result<(), Exit> {
    let in_all = pairs.len() + wrong.len();
    let links = look_up(context, pairs, wrong).map_err(|wrong| refusal(file, in_all, &wrong))?;
    let mut refused = 0_usize;
    for (at, link) in links.iter().enumerate() {
        let stopped = context.worker.shutdown.soft.is_cancelled();
        let decided = if stopped { Err(Exit::Failed("stopped".into())) } else { link.make(context).await };
        match decided {
            Ok(Verdict::Accepted) => say_line(&link.said()),
            Ok(Verdict::Rejected(reason)) => {
                say_error(&format!("line {}: {}", link.line, sanitize(&reason)));
                refused += 1;
            }
            Err(exit) => return Err(broken_off(&links, at, refused, &exit)),
        }
    }
    for id in links.iter().map(|link| &link.integration).collect::<BTreeSet<_>>() {
        let (integration, _) = context.integration(id)?;
        say_line(&what_follows(context, integration, "their mapped fields are compared").await?);
    }
    match refused {
        0 => Ok(()),
        _ => Err(Exit::Failed(format!(
            "{} of {} are linked; {refused} could not be, as said above",
            links.len() - refused,
            links.len()
        ))),
    }
}

impl Link {
    async fn make(&self, context: &CommandContext) -> Result<Verdict, Exit> {
        let (_, state) = context.integration(&self.integration)?;
        let (device, asset) = (self.device.device_id.clone(), self.asset.id.clone());
        announce(state, OperatorOrder::Link { device, asset }).await
    }

    fn said(&self) -> String {
        let (device, asset) = (format::device(&self.device), format::asset(&self.asset));
        format!("line {}: {device} is linked to asset {asset} from now on.", self.line)
    }
}

/// What each line means; else everything that is wrong with any of them, in the order of the lines.
fn look_up(context: &CommandContext, pairs: &[Pair], mut wrong: Vec<Wrong>) -> Result<Vec<Link>, Vec<Wrong>> {
    let texts: Vec<&str> = pairs.iter().map(|pair| pair.device.as_str()).collect();
    let mut links = Vec::new();
    for (pair, found) in pairs.iter().zip(lookup::devices(context, &texts)) {
        let hints = if wrong.len() < HINTED { Hints::Near } else { Hints::None };
        match link(context, pair, found, hints) {
            Ok(link) => links.push(link),
            Err(exit) => wrong.push(Wrong { line: pair.line, why: exit.to_string() }),
        }
    }
    wrong.extend(named_twice(context, &links));
    if wrong.is_empty() {
        return Ok(links);
    }
    wrong.sort_by_key(|one| one.line);
    Err(wrong)
}

fn link(
    context: &CommandContext,
    pair: &Pair,
    found: Vec<Found<DeviceRow>>,
    hints: Hints,
) -> Result<Link, Exit> {
    let Found { integration, what: row } = lookup::one_device(context, found, &pair.device, hints)?;
    let (config, state) = context.integration(&integration)?;
    let asset = lookup::asset_with(state, &pair.asset, hints)?;
    refuse_taken(context, config, state, &row.entry, &asset)?;
    Ok(Link { line: pair.line, integration, device: row.entry, asset })
}

/// A device has one asset, and an asset of a site one device (P4): the last line would win, whichever was meant.
fn named_twice(context: &CommandContext, links: &[Link]) -> Vec<Wrong> {
    let (mut devices, mut assets) = (BTreeMap::new(), BTreeMap::new());
    let mut wrong = Vec::new();
    for link in links {
        let site =
            context.worker.config.integration(&link.integration).map(|one| one.amfj.api_url.to_string());
        let device = (&link.integration, &link.device.device_id);
        if let Some(before) = devices.insert(device, link.line) {
            let name = format::device(&link.device);
            wrong.push(Wrong {
                line: link.line,
                why: format!("device {name} stands on line {before} as well"),
            });
        }
        if let Some(before) = assets.insert((site, &link.asset.id), link.line) {
            let name = format::asset(&link.asset);
            wrong.push(Wrong {
                line: link.line,
                why: format!("asset {name} stands on line {before} as well"),
            });
        }
    }
    wrong
}

fn refusal(file: &Path, in_all: usize, wrong: &[Wrong]) -> Exit {
    let file = sanitize(&file.display().to_string());
    let mut text = format!("nothing was linked: of {in_all} lines in {file}, these are wrong");
    for one in wrong {
        let _ = write!(text, "\n  line {}: {}", one.line, one.why.replace('\n', "\n    "));
    }
    Exit::Failed(text)
}

/// What is decided and what is not, once it cannot go on.
fn broken_off(links: &[Link], at: usize, refused: usize, exit: &Exit) -> Exit {
    let line = links.get(at).map_or(0, |link| link.line);
    Exit::Failed(format!(
        "{exit}; {} of {} are linked, those before line {line}. That of line {line} may be, the others are not: the same table \
         does the rest.",
        at - refused,
        links.len()
    ))
}
