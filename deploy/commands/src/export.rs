//! `amfj-sync export`: what only amfj-sync knows of an integration, as a file.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use amfj_sync_broker::read_stream;
use amfj_sync_config::Integration;
use amfj_sync_model::messages::{Event, FORMAT, Fact, Payload, author};
use amfj_sync_projection::transfer;
use amfj_sync_security::private_files::make_file;
use amfj_sync_security::screen::{sanitize, say_error, say_line};
use amfj_sync_service::worker::{CommonArgs, Exit};
use amfj_sync_stream::StateHandle;
use clap::Args;
use jiff::Timestamp;

use super::CommandContext;
use super::carried::{End, HISTORY, Head, Writer};
use super::history::kept_since;

/// What is exported, and where to.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The integration; `--integration` names it as well
    pub id: Option<String>,
    /// Write to this file, which only its owner can read, instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes links, decisions of persons, what was learnt, and the history.
pub(crate) async fn export(common: &CommonArgs, asked: &ExportArgs) -> Result<(), Exit> {
    let context = CommandContext::read("export", common).await?;
    let done = export_one(&context, asked.output.as_deref()).await;
    context.done(done).await
}

async fn export_one(context: &CommandContext, output: Option<&Path>) -> Result<(), Exit> {
    let (integration, state) = context
        .integrations()
        .next()
        .ok_or_else(|| Exit::Configuration("say which integration: amfj-sync export ID".into()))?;
    let id = &integration.id;
    let Some(path) = output else {
        let end = write(context, integration, state, std::io::stdout()).await?;
        say_error(&format!("{id}: {}.", in_words(&end)));
        return Ok(());
    };
    // A file that is there stays as it is until the new one is whole.
    let mut part = path.file_name().unwrap_or_default().to_owned();
    part.push(".part");
    let part = path.with_file_name(part);
    let failed = |error: std::io::Error| {
        Exit::Failed(format!("{} cannot be written: {error}", sanitize(&path.display().to_string())))
    };
    let file = make_file(&part).map_err(failed)?;
    let end = match write(context, integration, state, file).await {
        Ok(end) => end,
        Err(error) => {
            drop(std::fs::remove_file(&part));
            return Err(error);
        }
    };
    std::fs::rename(&part, path).map_err(failed)?;
    say_line(&format!("{id} is in {}: {}.", path.display(), in_words(&end)));
    Ok(())
}

async fn write(
    context: &CommandContext,
    integration: &Integration,
    state: &StateHandle,
    out: impl Write + Send,
) -> Result<End, Exit> {
    let failed = |error: std::io::Error| Exit::Failed(format!("the export cannot be written: {error}"));
    let head = Head {
        edition: super::carried::EDITION,
        rows: FORMAT,
        integration: integration.id.to_string(),
        amfj: integration.amfj.api_url.to_string(),
        kandji: integration.kandji.api_url.to_string(),
        exported: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        by: author(),
        standing: state.read(transfer::standing),
    };
    let mut writer = Writer::begin(BufWriter::new(out), &head).map_err(failed)?;
    let mut written = Ok(());
    let read = state.try_read(|view| {
        transfer::each_row(view, &mut |row| {
            if written.is_ok() {
                written = writer.row(&row);
            }
        })
    });
    read.and_then(|read| read).map_err(|error| Exit::Failed(error.to_string()))?;
    written.map_err(failed)?;
    let mut written = Ok(());
    let kept = kept_since(integration);
    let mut seen = BTreeSet::new();
    let mut visit = |event: Event| {
        if let Payload::Fact(Fact::ChangeEnded(outcome)) = &event.payload
            && event.time >= kept
            && event.integration == integration.id
            && seen.insert(outcome.change)
            && written.is_ok()
        {
            written = writer.change(&event);
        }
    };
    let session = context.worker.broker.session().await?;
    let stream = context.worker.broker.names().history(&integration.id);
    read_stream(&session, &context.worker.publisher, &integration.id, &stream, &|_| true, &mut visit).await?;
    written.map_err(failed)?;
    writer.end().map_err(failed)
}

/// How many of what, for people.
pub(crate) fn in_words(end: &End) -> String {
    let of = |table: &str| end.counts.get(table).copied().unwrap_or_default();
    let words = [
        ("link", "links of devices"),
        ("user-link", "links of people"),
        ("person", "decisions of persons"),
        ("memory", "devices and people about whom something was learnt"),
        ("asset", "assets"),
        ("record", "user records"),
        ("device", "devices"),
        ("user", "people"),
        (HISTORY, "applied changes"),
    ];
    words.map(|(table, words)| format!("{} {words}", of(table))).join(", ")
}
