//! `amfj-sync import`: what was exported of an integration, here.
//!
//! The file is read twice: once to see that all of it is right, and once to publish it. The history comes first, then the rows,
//! and nothing of the rows takes effect before the last of them: whatever ends it half-way, the same command does the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use amfj_sync_broker::{Outgoing, read_stream};
use amfj_sync_config::Integration;
use amfj_sync_model::ids::{AssetId, IntegrationId};
use amfj_sync_model::messages::{Event, FORMAT, Fact, Payload};
use amfj_sync_projection::{Verdict, transfer};
use amfj_sync_security::screen::{sanitize, say_line};
use amfj_sync_service::worker::{CommonArgs, Exit};
use amfj_sync_stream::StateHandle;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::carried::{Content, EDITION, End, Head, Reader};
use super::export::in_words;
use super::history::kept_since;
use super::{CommandContext, consent};

/// Rows in one record of the stream.
const ROWS_A_PART: usize = 100;

/// Bytes of rows after which a record is large enough.
const BYTES_A_PART: usize = 1 << 20;

/// Applied changes, or parts of rows, that are published together.
const TOGETHER: usize = 64;

/// What is imported, and as what.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The integration that was exported
    pub id: String,
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The integration of this configuration that it becomes, where that has another id
    #[arg(long = "as", value_name = "ID")]
    pub target: Option<String>,
    /// AMFJ has another address here, and is the same site: assets have the same ids
    #[arg(long)]
    pub other_address: bool,
    /// Say what would be imported, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

impl ImportArgs {
    /// The id of the integration in this configuration.
    pub(crate) fn here(&self) -> &String {
        self.target.as_ref().unwrap_or(&self.id)
    }
}

/// A file that was read to its end, and is right.
struct Checked {
    head: Head,
    end: End,
    /// Of the assets that are linked.
    linked: BTreeSet<String>,
}

/// Takes what was exported into the state and the history of the integration.
pub(crate) async fn import(common: &CommonArgs, asked: &ImportArgs) -> Result<(), Exit> {
    // Nothing is connected to for a file that is no export.
    let checked = check(&asked.file).map_err(|why| refusal(&asked.file, &why))?;
    is_meant(&checked.head, asked)?;
    let context = CommandContext::read("import", common).await?;
    let done = import_one(&context, asked, &checked).await;
    context.done(done).await
}

fn refusal(file: &Path, why: &str) -> Exit {
    let file = sanitize(&file.display().to_string());
    Exit::Failed(format!("nothing was imported from {file}: {}", sanitize(why)))
}

fn opened(file: &Path) -> Result<BufReader<File>, String> {
    let failed = |error: std::io::Error| format!("the file cannot be read: {error}");
    // It is read twice.
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err("this is no file".to_owned());
    }
    Ok(BufReader::new(File::open(file).map_err(failed)?))
}

fn check(file: &Path) -> Result<Checked, String> {
    let (head, mut reader) = Reader::begin(opened(file)?)?;
    if head.edition > EDITION || head.rows > FORMAT {
        return Err(format!("release {} wrote it in a format that this one does not know", head.version));
    }
    if !IntegrationId::is_one(&head.integration) {
        return Err("its first line names no integration".to_owned());
    }
    let mut linked = BTreeSet::new();
    while let Some(content) = reader.next()? {
        if let Content::Row(row) = content
            && let Some(asset) = row.linked_asset()
            && !linked.insert(asset.to_owned())
        {
            return Err(format!("it links asset {asset} to two devices"));
        }
    }
    Ok(Checked { head, end: reader.so_far(), linked })
}

/// Whether the file is of the integration that was named.
fn is_meant(head: &Head, asked: &ImportArgs) -> Result<(), Exit> {
    if head.integration == asked.id {
        return Ok(());
    }
    let (file, here) = (sanitize(&asked.file.display().to_string()), sanitize(asked.here()));
    let theirs = &head.integration;
    Err(Exit::Failed(format!(
        "{file} is an export of {theirs}; to make that {here} of this configuration, type `amfj-sync import {theirs} \
         {file} --as {here}`"
    )))
}

async fn import_one(context: &CommandContext, asked: &ImportArgs, checked: &Checked) -> Result<(), Exit> {
    let (integration, state) =
        context.integrations().next().ok_or_else(|| Exit::Configuration("name an integration".into()))?;
    let id = &integration.id;
    let import = Uuid::new_v5(&checked.end.sum, id.as_str().as_bytes());
    if state.read(|view| transfer::is_here(view, import)) {
        say_line(&format!("{id}: all of this file was imported before; nothing was changed."));
        return Ok(());
    }
    refuse_other_site(integration, asked, &checked.head)?;
    refuse_what_is_linked(context, integration, state, checked)?;
    let Head { exported, version, by, .. } = &checked.head;
    say_line(&format!("{} was exported at {exported} by {by} with amfj-sync {version}.", asked.id));
    say_line(&format!("For {id}: {}.", in_words(&checked.end)));
    if asked.dry_run {
        say_line("Nothing was imported (--dry-run).");
        return Ok(());
    }
    confirm(asked, id)?;
    let published = publish_history(context, integration, asked).await?;
    publish_rows(state, asked, checked, import).await?;
    say_line(&format!(
        "{id} is imported: {} links, and {published} applied changes that its history did not have.",
        checked.linked.len()
    ));
    say_line(&format!(
        "Next the fetcher starts a run; `amfj-sync plan {id}` shows what differs from what was known."
    ));
    Ok(())
}

fn refuse_other_site(integration: &Integration, asked: &ImportArgs, head: &Head) -> Result<(), Exit> {
    let here = integration.amfj.api_url.to_string();
    if head.amfj == here || asked.other_address {
        return Ok(());
    }
    Err(Exit::Failed(format!(
        "the export is of the AMFJ at {}, and {} has the one at {here}: ids of assets mean nothing in another site. If it is \
         the same site under another address, say --other-address",
        sanitize(&head.amfj),
        integration.id
    )))
}

/// No asset is linked twice, here or by another integration of the site (P4).
fn refuse_what_is_linked(
    context: &CommandContext,
    integration: &Integration,
    state: &StateHandle,
    checked: &Checked,
) -> Result<(), Exit> {
    let id = &integration.id;
    let unreadable = |error: amfj_sync_projection::Unreadable| Exit::Failed(error.to_string());
    let obstacle = state.try_read(transfer::obstacle).and_then(|read| read).map_err(unreadable)?;
    if let Some(obstacle) = obstacle {
        return Err(Exit::Failed(format!(
            "nothing was imported into {id}: {obstacle}. An import is for an integration that knows nothing yet"
        )));
    }
    let taken = context.with_siblings(integration, &mut |siblings| {
        let assets = checked.linked.iter().filter_map(|asset| AssetId::new(asset).ok());
        assets.filter(|asset| siblings.iter().any(|view| view.linked_device(asset).is_some())).count()
    });
    if taken > 0 {
        return Err(Exit::Failed(format!(
            "nothing was imported into {id}: {taken} of its assets are linked by another integration of this AMFJ site"
        )));
    }
    Ok(())
}

/// Asks on a terminal; elsewhere `--yes` has to say it.
fn confirm(asked: &ImportArgs, id: &IntegrationId) -> Result<(), Exit> {
    if asked.yes {
        return Ok(());
    }
    consent::ask(
        &format!("Import this into {id}? Type yes: "),
        "say with --yes that this is to be imported".to_owned(),
        "nothing was imported",
    )
}

/// Calls `take` with what every line says, once more.
async fn each_line(
    asked: &ImportArgs,
    mut take: impl AsyncFnMut(Option<Content>) -> Result<(), Exit>,
) -> Result<End, Exit> {
    let refused = |why: String| refusal(&asked.file, &why);
    let (_, mut reader) = Reader::begin(opened(&asked.file).map_err(refused)?).map_err(refused)?;
    loop {
        let content = reader.next().map_err(refused)?;
        let over = content.is_none();
        take(content).await?;
        if over {
            return Ok(reader.so_far());
        }
    }
}

/// Publishes the applied changes that the history here lacks. Answers how many.
async fn publish_history(
    context: &CommandContext,
    integration: &Integration,
    asked: &ImportArgs,
) -> Result<u64, Exit> {
    let worker = &context.worker;
    let stream = worker.broker.names().history(&integration.id);
    let mut known = BTreeSet::new();
    let mut visit = |event: Event| {
        if let Payload::Fact(Fact::ChangeEnded(outcome)) = &event.payload {
            known.insert(outcome.change);
        }
    };
    let session = worker.broker.session().await?;
    read_stream(&session, &worker.publisher, &integration.id, &stream, &|_| true, &mut visit).await?;
    let kept = kept_since(integration);
    let (mut waiting, mut published) = (Vec::new(), 0);
    each_line(asked, async |content| {
        let is_over = content.is_none();
        if let Some(Content::Change(mut event)) = content
            && let Payload::Fact(Fact::ChangeEnded(outcome)) = &event.payload
            && event.time >= kept
            && known.insert(outcome.change)
        {
            event.integration = integration.id.clone();
            waiting.push(Outgoing::to_stream(stream.clone(), &event));
            published += 1;
        }
        if waiting.len() >= TOGETHER || is_over {
            worker.publisher.publish(std::mem::take(&mut waiting)).await?;
        }
        Ok(())
    })
    .await?;
    Ok(published)
}

/// Rows that wait to be published.
#[derive(Default)]
struct Parts {
    facts: Vec<Fact>,
    rows: BTreeMap<String, Value>,
    bytes: usize,
    count: u32,
}

impl Parts {
    fn add(&mut self, import: Uuid, key: String, row: Value) {
        let bytes = key.len() + row.to_string().len();
        if self.rows.len() >= ROWS_A_PART || self.bytes + bytes > BYTES_A_PART {
            self.close(import);
        }
        self.bytes += bytes;
        self.rows.insert(key, row);
    }

    fn close(&mut self, import: Uuid) {
        if !self.rows.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            self.facts.push(Fact::ImportRows { import, part: self.count, rows });
            self.count += 1;
            self.bytes = 0;
        }
    }
}

async fn publish_rows(
    state: &StateHandle,
    asked: &ImportArgs,
    checked: &Checked,
    import: Uuid,
) -> Result<(), Exit> {
    let event = |fact: Fact| Event::fact(&state.origin(), Timestamp::now(), fact);
    let begun = state.publish_and_read_back(event(Fact::ImportBegun { import, format: FORMAT })).await?;
    took_effect(begun)?;
    let mut parts = Parts::default();
    let end = each_line(asked, async |content| {
        let is_over = content.is_none();
        if let Some(Content::Row(row)) = content {
            parts.add(import, row.key(), row.row);
        }
        if is_over {
            parts.close(import);
        }
        if parts.facts.len() >= TOGETHER / 8 || is_over {
            let facts = std::mem::take(&mut parts.facts).into_iter().map(event).collect();
            state.publish_and_read_all_back(facts).await?;
        }
        Ok(())
    })
    .await?;
    if end != checked.end {
        return Err(refusal(&asked.file, "somebody changed the file meanwhile"));
    }
    let standing = checked.head.standing.clone();
    let ended = Fact::ImportEnded { import, parts: parts.count, standing };
    took_effect(state.publish_and_read_back(event(ended)).await?)
}

fn took_effect(verdict: Verdict) -> Result<(), Exit> {
    match verdict {
        Verdict::Accepted => Ok(()),
        Verdict::Rejected(why) => Err(Exit::Failed(format!("nothing of it took effect: {}", sanitize(&why)))),
    }
}
