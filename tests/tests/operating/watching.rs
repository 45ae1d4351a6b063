//! On a terminal: colour, pages, and the live view.

use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Result, ensure};

use crate::calling::{call, ensure_says};
use crate::terminal::Terminal;

const OTHER_SCREEN: &str = "\u{1b}[?1049h";
const OWN_SCREEN: &str = "\u{1b}[?1049l";
const CURSOR: &str = "\u{1b}[?25h";

/// The live view follows what happens, and leaves the terminal as it was, whichever key ends it.
#[tokio::test]
async fn status_is_watched_until_q_and_the_terminal_is_left_as_it_was() -> Result<()> {
    let services = Services::plain(4, 51).await?;
    let pipeline =
        Pipeline::start(vec![("acme", services.integration("acme").field("Model", "model"))]).await?;
    let mut watching = Terminal::start(&pipeline.config, &["status", "--watch"], &[])?;
    watching.shows("none yet").await?;
    watching.shows("q ends").await?;
    pipeline.run().await?;
    watching.shows("4 in sync").await?;
    watching.press(b"q")?;
    ensure!(watching.ends().await?.success());
    let seen = watching.seen();
    ensure!(seen.contains(OTHER_SCREEN), "it has a screen of its own");
    let after = seen.rsplit(OTHER_SCREEN).next().unwrap_or_default();
    ensure!(after.contains(OWN_SCREEN) && after.contains(CURSOR), "the screen is not given back: {after:?}");

    // In raw mode Control-C is a key like any other.
    let mut watching = Terminal::start(&pipeline.config, &["status", "--watch"], &[])?;
    watching.shows("4 in sync").await?;
    watching.press(b"\x03")?;
    ensure!(watching.ends().await?.success());
    ensure!(watching.seen().contains(OWN_SCREEN));

    let piped = call(&pipeline, &["status", "--watch"]).await?;
    ensure!(piped.status.code() == Some(2) && piped.stderr.contains("needs a terminal"), "{}", piped.stderr);
    Ok(())
}

/// P25: on a terminal a plan has colours and comes through the pager, unless that is not wanted.
#[tokio::test]
async fn a_plan_is_paged_and_coloured_on_a_terminal_only() -> Result<()> {
    let services = Services::plain(40, 52).await?;
    let integration = services.integration("acme").field("Model", "model").set("mode", "plan");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let pager = [("PAGER", "sed s/^/paged:/")];
    let mut by_pages = Terminal::start(&pipeline.config, &["plan"], &pager)?;
    ensure!(by_pages.ends().await?.success());
    ensure_says(&by_pages.seen(), &["paged:  ", "\u{1b}[1m", "Links to be made"])?;

    let mut whole = Terminal::start(&pipeline.config, &["plan", "--no-pager"], &pager)?;
    ensure!(whole.ends().await?.success());
    ensure!(!whole.seen().contains("paged:") && whole.seen().contains("\u{1b}[32m="), "{}", whole.seen());

    let plain = [("NO_COLOR", "1"), ("PAGER", "cat")];
    let mut plain = Terminal::start(&pipeline.config, &["plan"], &plain)?;
    ensure!(plain.ends().await?.success());
    ensure_says(&plain.seen(), &["Links to be made"])?;
    ensure!(!plain.seen().contains("\u{1b}["), "NO_COLOR is not honoured");
    Ok(())
}
