//! `amfj-sync pause` and `amfj-sync resume`: a person stops an integration for a while (P33).

use amfj_sync_config::Integration;
use amfj_sync_model::messages::OperatorOrder;
use amfj_sync_projection::rows::Pause;
use amfj_sync_security::screen::{sanitize, say, say_line};
use amfj_sync_service::worker::{CommonArgs, Exit};
use amfj_sync_stream::StateHandle;
use clap::Args;
use jiff::Timestamp;

use super::operator_decisions::decide;
use super::{CommandContext, format, time_args};

/// The longest reason, in characters: it is shown in one line of the status.
const LONGEST_REASON: usize = 300;

/// Why, and for how long.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// Why; whoever looks at the status reads it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// When it ends by itself: 2h, 2026-12-24, 2026-12-24T18:00:00Z (UTC); without it, `resume` ends it
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.chars().count() {
        0 => Err("say why, in a few words".to_owned()),
        length if length > LONGEST_REASON => {
            Err(format!("it has {length} characters; {LONGEST_REASON} are enough for a reason"))
        }
        _ => Ok(text),
    }
}

/// Stops the integration: nothing is read, decided or written for it until it is resumed.
pub(crate) async fn pause(common: &CommonArgs, asked: &PauseArgs) -> Result<(), Exit> {
    // Before anything is connected to.
    let until = asked.until.as_deref().map(|text| time_args::until(text, Timestamp::now())).transpose()?;
    let context = CommandContext::read("pause", common).await?;
    let done = pause_all(&context, &asked.reason, until).await;
    context.done(done).await
}

async fn pause_all(context: &CommandContext, reason: &str, until: Option<Timestamp>) -> Result<(), Exit> {
    for (integration, state) in context.integrations() {
        let id = &integration.id;
        let before = state.pause();
        decide(state, OperatorOrder::Pause { reason: reason.to_owned(), until }).await?;
        if let Some(before) = before {
            say(&sanitize(&format!("Until now: {}", sentence(integration, &before))));
        }
        let end = until.map_or_else(
            || format!("`amfj-sync resume {id}` ends it."),
            |until| format!("It ends at {}, or with `amfj-sync resume {id}`.", format::time(until)),
        );
        say_line(&format!(
            "{id} is paused: within seconds every worker ends what is under way and takes nothing more; what waits stays in \
             its queue. {end}"
        ));
    }
    Ok(())
}

/// Lets the integration go on.
pub(crate) async fn resume(common: &CommonArgs) -> Result<(), Exit> {
    let context = CommandContext::read("resume", common).await?;
    let done = resume_all(&context).await;
    context.done(done).await
}

async fn resume_all(context: &CommandContext) -> Result<(), Exit> {
    for (integration, state) in context.integrations() {
        resume_one(integration, state).await?;
    }
    Ok(())
}

async fn resume_one(integration: &Integration, state: &StateHandle) -> Result<(), Exit> {
    let id = &integration.id;
    let Some(before) = state.pause() else {
        return Err(Exit::Failed(format!("{id} is not paused, so there is nothing to resume")));
    };
    decide(state, OperatorOrder::Resume).await?;
    say_line(&format!(
        "{id} goes on: what waits is taken, and the next run begins when it is due. {}",
        sentence(integration, &before)
    ));
    Ok(())
}

/// Who paused an integration, since when, why and until when, for people.
pub(crate) fn sentence(integration: &Integration, pause: &Pause) -> String {
    format!("{} {}", integration.id, phrase(pause))
}

/// The same without whom it is about.
pub(crate) fn phrase(pause: &Pause) -> String {
    let until = pause.until.map(|until| format!(" until {}", format::time(until))).unwrap_or_default();
    let (by, reason) = (&pause.by, pause.reason.trim_end_matches('.'));
    format!("was paused by {by} at {}{until}: {reason}.", format::time(pause.since))
}

/// The same for whoever looks at something else of an integration that is paused.
pub(crate) fn note(integration: &Integration, state: &StateHandle) -> Option<String> {
    let pause = state.pause()?;
    Some(format!(
        "{} Nothing is read, decided or written until it is resumed (`amfj-sync resume {}`).",
        sentence(integration, &pause),
        integration.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_and_not_empty() {
        assert_eq!(reason("  AMFJ\n moves\t today ").as_deref(), Ok("AMFJ moves today"));
        assert!(reason(" \n ").is_err());
        assert!(reason(&"x".repeat(LONGEST_REASON)).is_ok());
        assert!(reason(&"x".repeat(LONGEST_REASON + 1)).unwrap_err().contains("301"));
    }

    #[test]
    fn a_pause_says_who_when_why_and_until_when() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let pause = Pause {
            by: "ana@mac".into(),
            reason: "AMFJ moves.".into(),
            since: at("2026-12-01T10:00:00Z"),
            until: None,
        };
        assert_eq!(phrase(&pause), "was paused by ana@mac at 2026-12-01 10:00:00 UTC: AMFJ moves.");
        let pause = Pause { until: Some(at("2026-12-02T00:00:00Z")), ..pause };
        assert!(phrase(&pause).contains(" until 2026-12-02 00:00:00 UTC: AMFJ moves."));
    }
}
