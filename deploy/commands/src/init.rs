//! `amfj-sync init`: asks what the set-up guide asks, in its words and its order, tries both services, and writes the
//! configuration at the end, with `mode = "plan"`. Called again it changes an answer: what the file says is the default then.

use std::path::{Path, PathBuf};

use amfj_sync_config::{self as config, Tokens, parse, process_environment};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::Catalogue;
use amfj_sync_security::screen::{Style, StyledText, for_a_shell, sanitize, say};
use amfj_sync_service::worker::{CommonArgs, Exit, Shutdown};
use amfj_sync_telemetry::{Verbosity, start_logs};
use nix::unistd::{AccessFlags, access};
use tokio_util::sync::CancellationToken;

mod args;
mod asking;
mod choices;
mod document;
mod mapping;
mod questions;
mod reaching;
mod trial;
mod writing;

pub use args::InitArgs;

use asking::{Asker, stopped};
use document::{Document, Settings};
use mapping::Fleet;
use reaching::{Access, Service};
use trial::Trial;

/// What an editor reads, where a package put it.
const PACKAGED_SCHEMA: &str = "/usr/share/amfj-sync/configuration.schema.json";
/// The unit that a package brings.
const PACKAGED_TARGET: &str = "/usr/lib/systemd/system/amfj-sync.target";

/// Asks, tries, and writes at the very end.
pub(crate) async fn run(common: &CommonArgs, given: &InitArgs, shutdown: Shutdown) -> Result<(), Exit> {
    start_logs(common.log_format, Verbosity { quiet: common.quiet, verbose: common.verbose });
    let asker = Asker::new(given.yes, shutdown.soft.clone());
    if !given.yes && !asker.asks() {
        return Err(Exit::Configuration(
            "standard input is no terminal, so nobody can be asked; with --yes the answers are the options (`amfj-sync init \
             --help` lists them), then what the file says, then what is proposed"
                .into(),
        ));
    }
    let set_up = SetUp { path: place(common)?, asker, given, stop: shutdown.soft };
    set_up.run(common.integration.as_deref()).await
}

/// Where the configuration is, or shall be: with a package installed, in its folder.
fn place(common: &CommonArgs) -> Result<PathBuf, Exit> {
    let found = config::find(common.config.as_deref(), &process_environment());
    let system = Path::new(config::SYSTEM_PATH);
    let is_nowhere = found == Path::new(config::DEFAULT_PATH) && !found.exists();
    let is_packaged = system.parent().is_some_and(Path::is_dir);
    let path = if is_nowhere && is_packaged { system } else { &found };
    std::path::absolute(path).map_err(|error| Exit::Configuration(error.to_string()))
}

struct SetUp<'a> {
    path: PathBuf,
    asker: Asker,
    given: &'a InitArgs,
    stop: CancellationToken,
}

/// What both services showed.
struct Shown {
    fleet: Fleet,
    catalogue: Catalogue,
}

impl SetUp<'_> {
    async fn run(&self, named: Option<&str>) -> Result<(), Exit> {
        self.refuse_a_folder_that_cannot_be_written()?;
        let document = Document::open(&self.path)?;
        if !document.is_new {
            self.refuse_what_is_wrong(&document, "is there already and is not right; correct it first")?;
        }
        self.asker.explain(&format!(
            "This writes {}, and nothing before the end. Enter takes what stands in [ ]; Control-C leaves everything as it is.",
            self.path.display()
        ));
        let known = self.known_id(&document, named).await?;
        let before = known.as_deref().map(|id| document.settings(id)).unwrap_or_default();
        self.refuse_what_is_missing(&before)?;

        self.asker.heading("Kandji");
        questions::explain_kandji(&self.asker);
        let mut of_kandji = Service::Kandji.access(&self.asker, self.given, &before).await?;
        self.asker.heading("Asset Management for Jira (AMFJ)");
        questions::explain_amfj(&self.asker);
        let mut of_amfj = Service::Amfj.access(&self.asker, self.given, &before).await?;
        let id = match known {
            Some(id) => id,
            None => self.new_id(&document, &of_kandji.url).await?,
        };

        self.asker.title("Test");
        let mut settings = Settings { amfj_profile: self.profile(&before)?, ..before.clone() };
        let shown = self.test(&document, &id, &settings, [&mut of_kandji, &mut of_amfj]).await?;
        questions::ask(&self.asker, self.given, &shown.catalogue, &mut settings).await?;
        questions::map(&self.asker, self.given, &shown.catalogue, &shown.fleet, &mut settings).await?;

        let place = |service, access, before| writing::place_of(service, access, before, &self.path, &id);
        let (kandji_token, first) = place(Service::Kandji, &of_kandji, before.kandji_token.as_ref());
        let (amfj_token, second) = place(Service::Amfj, &of_amfj, before.amfj_token.as_ref());
        let tokens: Vec<_> = first.into_iter().chain(second).collect();
        settings.kandji_url = Some(of_kandji.url);
        settings.kandji_token = Some(kandji_token);
        settings.amfj_url = Some(of_amfj.url);
        settings.amfj_token = Some(amfj_token);
        let mut new = document.with(&id, &settings)?;
        if document.is_new && Path::new(PACKAGED_SCHEMA).exists() {
            new.name_schema(&format!("file://{PACKAGED_SCHEMA}"))?;
        }
        self.finish(&document, &new, &id, &shown.catalogue, &settings, &tokens).await
    }

    /// The last look, the last question, and the files.
    async fn finish(
        &self,
        before: &Document,
        new: &Document,
        id: &str,
        catalogue: &Catalogue,
        settings: &Settings,
        tokens: &[writing::NewToken],
    ) -> Result<(), Exit> {
        let text = new.text();
        let integrations = self.refuse_what_is_wrong(new, "would not be right")?;
        let integration = integrations.iter().find(|one| one.id.as_str() == id);
        let problems = integration.map(|one| config::catalogue::problems(one, catalogue)).unwrap_or_default();
        if !problems.is_empty() && !self.asker.asks() {
            return Err(Exit::Failed(format!("{}\nnothing was written", problems.join("\n"))));
        }
        self.asker.title("Summary");
        self.show_answers(id, settings);
        for problem in &problems {
            self.asker.complain(&format!("a run would fail: {problem}"));
        }
        if !before.is_new && text == before.text() && tokens.is_empty() {
            self.asker.tell(&format!("Nothing has changed, so {} stays as it is.", self.path.display()));
            return Ok(());
        }
        if new.mode(id) == Some("apply") {
            self.asker.tell(
                "Its mode is \"apply\" and stays so: what has changed here is written to AMFJ from the next run on. Set \
                 mode = \"plan\" first to see it beforehand.",
            );
        }
        let question = format!("Write {}?", self.path.display());
        if self.asker.asks() && !self.asker.yes(&question, true).await? {
            return Err(Exit::Failed("nothing was written".into()));
        }
        if self.stop.is_cancelled() {
            return Err(stopped());
        }
        writing::write(&self.path, &text, tokens)?;
        self.say_what_is_next(!tokens.is_empty());
        Ok(())
    }

    /// Before anything is asked: whoever has answered everything wants it to be written.
    fn refuse_a_folder_that_cannot_be_written(&self) -> Result<(), Exit> {
        let folder = writing::folder_of(&self.path);
        access(folder, AccessFlags::W_OK).map_err(|error| {
            Exit::Configuration(format!(
                "{} cannot be written to: {}; call this as a user who may, or name another file with --config PATH",
                folder.display(),
                error.desc()
            ))
        })
    }

    /// The integrations of a document, where all of it can be used.
    fn refuse_what_is_wrong(
        &self,
        document: &Document,
        what: &str,
    ) -> Result<Vec<config::Integration>, Exit> {
        let read = parse(&self.path, document.text(), &process_environment(), Tokens::None);
        read.map(|loaded| loaded.config.integrations).or_else(|errors| {
            // A file may be there with everything but an integration.
            if document.has_integrations() {
                let path = self.path.display();
                return Err(Exit::Configuration(format!(
                    "{path} {what}, and nothing was written:\n{errors}"
                )));
            }
            Ok(Vec::new())
        })
    }

    /// Which integration is meant; none for a new one whose name is not known yet.
    async fn known_id(&self, document: &Document, named: Option<&str>) -> Result<Option<String>, Exit> {
        if let Some(named) = named {
            return read_id(named).map(Some).map_err(Exit::Configuration);
        }
        let ids = document.ids();
        match ids.as_slice() {
            [] => Ok(None),
            [only] => {
                self.asker.tell(&format!(
                    "This changes the integration \"{only}\"; another one is added with `amfj-sync init NAME`."
                ));
                Ok(Some(only.clone()))
            }
            several if self.asker.asks() => {
                self.asker.tell(&format!("There are the integrations {}.", several.join(", ")));
                let question = "Which one is to be changed? The name of a new one adds it";
                self.asker.line(question, several.first().map(String::as_str), read_id).await.map(Some)
            }
            several => Err(Exit::Configuration(format!(
                "say which integration: amfj-sync init ID; there are {}",
                several.join(", ")
            ))),
        }
    }

    async fn new_id(&self, document: &Document, kandji_url: &str) -> Result<String, Exit> {
        let proposed = questions::id_for(kandji_url);
        if !self.asker.asks() {
            return Ok(proposed);
        }
        self.asker.heading("Name");
        self.asker
            .explain("Links belong to this integration by its name, so it never changes: a-z, 0-9 and '-'.");
        let taken = document.ids();
        let read = |typed: &str| {
            let id = read_id(typed)?;
            if taken.contains(&id) {
                Err(format!("there is an integration \"{id}\" already"))
            } else {
                Ok(id)
            }
        };
        self.asker.line("Name of this integration", Some(&proposed), read).await
    }

    fn profile(&self, before: &Settings) -> Result<Option<String>, Exit> {
        let Some(given) = &self.given.amfj_profile else { return Ok(before.amfj_profile.clone()) };
        if config::BUILT_IN_PROFILES.contains(&given.as_str()) {
            return Ok(Some(given.clone()));
        }
        // A path of the configuration is one from its folder.
        let whole = std::path::absolute(given).map_err(|error| Exit::Configuration(error.to_string()))?;
        Ok(Some(whole.display().to_string()))
    }

    fn refuse_what_is_missing(&self, before: &Settings) -> Result<(), Exit> {
        if self.asker.asks() {
            return Ok(());
        }
        let mut missing = Service::Kandji.missing(self.given, before)?;
        missing.extend(Service::Amfj.missing(self.given, before)?);
        if missing.is_empty() {
            return Ok(());
        }
        Err(Exit::Configuration(format!("nobody is asked, so these are needed: {}", missing.join(", "))))
    }

    /// Tries both services until both answer; without anybody to ask, once.
    async fn test(
        &self,
        document: &Document,
        id: &str,
        settings: &Settings,
        [of_kandji, of_amfj]: [&mut Access; 2],
    ) -> Result<Shown, Exit> {
        let (mut sample, mut catalogue) = (None, None);
        loop {
            let both = [&*of_kandji, &*of_amfj];
            let trial = Trial::new(&self.path, document, id, settings, both, self.stop.clone())?;
            let asked = async {
                tokio::try_join!(
                    async { if sample.is_some() { Ok(None) } else { trial.kandji().await.map(Some) } },
                    async { if catalogue.is_some() { Ok(None) } else { trial.amfj().await.map(Some) } },
                )
            };
            let (kandji, amfj) =
                self.stop.run_until_cancelled(Box::pin(asked)).await.ok_or_else(stopped)??;
            if let Some((found, report)) = kandji {
                report.say(self.asker.screen());
                sample = found;
            }
            if let Some((found, report)) = amfj {
                report.say(self.asker.screen());
                catalogue = found;
            }
            if !self.asker.asks() && (sample.is_none() || catalogue.is_none()) {
                return Err(Exit::Failed(
                    "a service cannot be read, as said above; nothing was written".into(),
                ));
            }
            match (sample, catalogue) {
                (Some(sample), Some(catalogue)) => {
                    return Ok(Shown { fleet: Fleet::of(sample), catalogue });
                }
                (found, known) => (sample, catalogue) = (found, known),
            }
            self.asker.tell("Once more, with another address or token:");
            if sample.is_none() {
                *of_kandji = Service::Kandji.again(&self.asker, of_kandji).await?;
            }
            if catalogue.is_none() {
                *of_amfj = Service::Amfj.again(&self.asker, of_amfj).await?;
            }
        }
    }

    fn show_answers(&self, id: &str, settings: &Settings) {
        let shown = |text: &Option<String>| text.as_deref().map_or_else(|| "none".to_owned(), sanitize);
        let fields = settings.fields.as_ref().map_or(0, std::collections::BTreeMap::len);
        let rows = [
            ("Integration", id.to_owned()),
            ("Kandji API URL", shown(&settings.kandji_url)),
            ("AMFJ API URL", shown(&settings.amfj_url)),
            ("Default Asset Type", shown(&settings.default_asset_type)),
            ("Default Location", shown(&settings.default_location)),
            ("Auto-checkout", if settings.auto_checkout == Some(true) { "yes" } else { "no" }.to_owned()),
            ("Device creation", shown(&settings.create_devices)),
            (
                "Field mapping",
                match fields {
                    0 => "nothing".to_owned(),
                    1 => "1 field".to_owned(),
                    some => format!("{some} fields"),
                },
            ),
        ];
        let rows: Vec<Vec<StyledText>> = rows
            .into_iter()
            .map(|(what, answer)| {
                vec![StyledText::new(Style::Plain, what.to_owned()), StyledText::new(Style::Plain, answer)]
            })
            .collect();
        say(&self.asker.screen().table(2, &rows));
    }

    fn say_what_is_next(&self, wrote_tokens: bool) {
        let path = self.path.display();
        let tokens = if wrote_tokens { ", and the tokens beside it, in files of their own" } else { "" };
        self.asker.tell(&format!("Written: {path}{tokens}."));
        let is_found = config::find(None, &process_environment());
        let is_found = std::path::absolute(is_found).is_ok_and(|found| found == self.path);
        let named =
            if is_found { String::new() } else { format!(" --config {}", for_a_shell(&path.to_string())) };
        let start = if Path::new(PACKAGED_TARGET).exists() {
            "systemctl enable --now amfj-sync.target".to_owned()
        } else {
            ["fetcher", "reconciler", "writer"].map(|worker| format!("{worker} run{named}")).join("; ")
        };
        let row = |command: String, what: &str| {
            vec![StyledText::new(Style::Bold, command), StyledText::new(Style::Plain, what.to_owned())]
        };
        let rows = [
            row(format!("amfj-sync check{named}"), "tries RabbitMQ and all names against both services"),
            row(start, "starts the three workers"),
            row(format!("amfj-sync plan{named}"), "shows what would change; nothing is written yet"),
        ];
        self.asker.title("Next");
        say(&self.asker.screen().table(2, &rows));
    }
}

fn read_id(text: &str) -> Result<String, String> {
    if IntegrationId::is_one(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("a name has 1 to 63 of a-z, 0-9 and '-', unlike \"{}\"", sanitize(text)))
    }
}
