//! What both simulators have in common: the token, faults, the record of requests, and the control
//! endpoints under `/_sim/`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    disguise::{Disguise, Disguises},
    faults::{Action, Faults, Rule, RuleId},
    journal::{Journal, RequestRecord},
    personality::{self, Course, Oddity, Personalities, Personality, PersonalityId, Subject},
    wire::{Answer, Ask, Ending, Reply},
};

/// The page that a console host or a proxy answers with.
const HTML_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
    <body><div id=\"root\"></div><script src=\"/static/js/main.js\"></script></body></html>\n";

/// The part of a simulator that is the same for both services: where it listens, its token, its
/// faults and what it saw.
#[derive(Debug)]
pub struct Controls {
    address: SocketAddr,
    base: &'static str,
    token: String,
    revoked: AtomicBool,
    offline: AtomicBool,
    latency_micros: AtomicU64,
    faults: Faults,
    personalities: Personalities,
    disguises: Disguises,
    journal: Journal,
    /// Token rotations replace what is accepted without touching what was first handed out.
    accepted: Mutex<Option<String>>,
}

impl Controls {
    pub(crate) fn new(
        address: SocketAddr,
        base: &'static str,
        token: String,
        seed: u64,
        latency: Duration,
    ) -> Self {
        let controls = Self {
            address,
            base,
            token,
            revoked: AtomicBool::new(false),
            offline: AtomicBool::new(false),
            latency_micros: AtomicU64::new(0),
            faults: Faults::new(seed),
            personalities: Personalities::default(),
            disguises: Disguises::default(),
            journal: Journal::default(),
            accepted: Mutex::new(None),
        };
        controls.set_latency(latency);
        controls
    }

    /// The address to put into a configuration as `api_url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.base)
    }

    /// The address under which the control endpoints lie, without `/_sim`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The token that is accepted.
    #[must_use]
    pub fn token(&self) -> String {
        self.accepted.lock().clone().unwrap_or_else(|| self.token.clone())
    }

    /// From now on only this token is accepted.
    pub fn rotate_token(&self, token: &str) {
        *self.accepted.lock() = Some(token.to_owned());
    }

    /// Refuses the token with 401 until [`restore_token`](Self::restore_token).
    pub fn revoke_token(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }

    /// Accepts the token again.
    pub fn restore_token(&self) {
        self.revoked.store(false, Ordering::SeqCst);
    }

    /// While true, every connection is closed without a word, as when the service is down.
    pub fn set_offline(&self, offline: bool) {
        self.offline.store(offline, Ordering::SeqCst);
    }

    /// How long every request takes, at least.
    pub fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros, Ordering::SeqCst);
    }

    /// Adds a fault.
    pub fn fault(&self, rule: Rule) -> RuleId {
        self.faults.add(rule)
    }

    /// Shows a record (by its id) otherwise than it is held, or again as it is.
    pub fn disguise(&self, id: &str, disguise: impl Into<Option<Disguise>>) {
        self.disguises.put(id, disguise.into());
    }

    /// All faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// From now on the service is odd in this way too.
    pub fn personality(&self, personality: Personality) -> PersonalityId {
        self.personalities.add(personality)
    }

    /// All personalities.
    #[must_use]
    pub fn personalities(&self) -> &Personalities {
        &self.personalities
    }

    /// Every request answered so far, except those to `/_sim/`.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.journal.all()
    }

    /// How many there were.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.journal.len()
    }

    /// Forgets the requests, and with them the violations.
    pub fn clear_requests(&self) {
        self.journal.clear();
    }

    /// Breaches of the contract, one sentence each.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.journal.violations()
    }

    fn accepts(&self, authorization: &str) -> bool {
        !self.revoked.load(Ordering::SeqCst)
            && authorization.strip_prefix("Bearer ").is_some_and(|token| token == self.token())
    }
}

/// What a service answers, and how the request broke the contract, if it did.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) reply: Reply,
    pub(crate) violation: Option<String>,
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Self {
        Self { reply, violation: None }
    }
}

/// One of the two services, without the network.
pub(crate) trait Service: Send + Sync + 'static {
    /// The request that is meant, in the words of the contract.
    fn hear(&self, ask: &Ask) -> Heard {
        Heard::Ask(ask.clone())
    }
    /// The answer to a request, in the words that it was asked in.
    fn say(&self, _asked: &Ask, _meant: &Ask, _met: &[Oddity], reply: Reply) -> Reply {
        reply
    }
    /// Makes one path of those that mean the same.
    fn tidy(&self, _path: &mut String) {}
    /// What a request is about.
    fn subject(&self, ask: &Ask) -> Option<Subject>;
    /// Carries out a request whose token is good, in the ways that these oddities say.
    fn carry_out(&self, ask: &Ask, met: &[Oddity]) -> Verdict;
    /// An error in the service's own shape.
    fn error(&self, status: u16, message: &str) -> Reply;
    /// A list without records.
    fn empty_list(&self, ask: &Ask) -> Reply;

    /// A page of these rows, with more to come.
    fn list_of(&self, ask: &Ask, rows: Vec<Value>) -> Reply;
    /// Devices come and go (no effect where there are none).
    fn move_rows(&self, enroll: usize, unenroll: usize);
    /// The whole content, for people and tests in another process.
    fn state(&self) -> Value;
    /// The writes that were carried out.
    fn writes(&self) -> Value;
    /// A change by hand.
    ///
    /// # Errors
    /// What is wrong with the mutation.
    fn mutate(&self, mutation: Value) -> Result<Value, String>;
}

/// A service with its controls, ready to be served.
#[derive(Debug)]
pub(crate) struct Core<S> {
    pub(crate) service: Arc<S>,
    pub(crate) controls: Arc<Controls>,
}

impl<S: Service> Answer for Core<S> {
    async fn answer(self: Arc<Self>, mut ask: Ask) -> Ending {
        let controls = &*self.controls;
        if let Some(name) = ask.path.strip_prefix("/_sim/") {
            return Ending::Send(control(&*self.service, controls, name, &ask));
        }
        let asked = ask.clone();
        ask = match self.service.hear(&asked) {
            Heard::Ask(meant) => meant,
            Heard::Answer(reply) => {
                controls.journal.add(RequestRecord::beside_the_contract(&asked, reply.status, None));
                return Ending::Send(reply);
            }
            Heard::Unknown(what) => return Ending::Send(not_heard(controls, &asked, &what)),
        };
        self.service.tidy(&mut ask.path);
        let actions = controls.faults.strike(&ask.method, &ask.path, &ask.query_text);
        pause(controls.latency_micros.load(Ordering::SeqCst)).await;
        for action in &actions {
            match action {
                Action::Delay { ms } => pause(ms * 1000).await,
                Action::RevokeToken => controls.revoke_token(),
                Action::Enroll { count } => self.service.move_rows(*count, 0),
                Action::Unenroll { count } => self.service.move_rows(0, *count),
                _ => {}
            }
        }
        let odd = Odd::meet(&*self.service, controls, &ask);
        pause(odd.delay_micros()).await;
        let made_up = ask.param("cursor").is_some_and(|cursor| cursor.starts_with(MADE_UP));
        let (mut verdict, ending) = spoil(&*self.service, controls, &ask, &odd, actions.last());
        controls.disguises.apply(&ask, &mut verdict.reply);
        verdict.reply = self.service.say(&asked, &ask, &odd.met, verdict.reply);
        controls.journal.add(RequestRecord {
            number: 0,
            time: Timestamp::now(),
            asked: RequestRecord::in_other_words(&asked, &ask),
            method: ask.method,
            path: ask.path,
            query: ask.query_text,
            body: serde_json::from_slice(&ask.body).ok(),
            status: verdict.reply.status,
            faults: actions
                .iter()
                .map(|action| format!("{action:?}"))
                .chain(odd.met.iter().map(|oddity| format!("{oddity:?}")))
                .collect(),
            // Whoever goes on with what it was given breaks nothing, also once the list has an end again.
            violation: verdict.violation.filter(|_| !made_up),
        });
        if let Some(Action::Silence { ms, .. }) = actions.last() {
            pause(ms * 1000).await;
        }
        match ending {
            Finish::Send => Ending::Send(verdict.reply),
            Finish::Half => Ending::Half(verdict.reply),
            Finish::Drip { ms } => Ending::Drip(verdict.reply, Duration::from_millis(ms)),
            Finish::Endless => Ending::Endless,
            Finish::Cut { after_ms } => {
                pause(after_ms * 1000).await;
                Ending::Cut
            }
        }
    }

    fn offline(&self) -> bool {
        self.controls.offline.load(Ordering::SeqCst)
    }
}

/// What a request comes to that a service may be asked in another way than its contract's.
#[derive(Debug)]
pub(crate) enum Heard {
    /// That request of the contract.
    Ask(Ask),
    /// It is no matter of the contract, and answered with this.
    Answer(Reply),
    /// There is nothing of the kind.
    Unknown(String),
}

fn not_heard(controls: &Controls, asked: &Ask, what: &str) -> Reply {
    controls.journal.add(RequestRecord::beside_the_contract(asked, 400, Some(what.to_owned())));
    Reply::json(400, &json!({ "error": what }))
}

async fn pause(micros: u64) {
    if micros > 0 {
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

enum Finish {
    Send,
    Half,
    Drip { ms: u64 },
    Endless,
    Cut { after_ms: u64 },
}

/// Status 0 in the record: the client was told nothing and nothing was done.
fn nothing() -> Verdict {
    Reply { status: 0, headers: Vec::new(), body: Vec::new() }.into()
}

/// What a request is about, and the personalities that it met.
struct Odd {
    subject: Option<Subject>,
    met: Vec<Oddity>,
}

impl Odd {
    fn meet<S: Service>(service: &S, controls: &Controls, ask: &Ask) -> Self {
        let subject = service.subject(ask);
        let met = subject.as_ref().map(|subject| controls.personalities.strike(subject)).unwrap_or_default();
        Self { subject, met }
    }

    fn delay_micros(&self) -> u64 {
        let delay = |oddity: &Oddity| if let Oddity::Slow { ms } = oddity { *ms } else { 0 };
        self.met.iter().map(delay).sum::<u64>() * 1000
    }

    /// Answers a request as the personalities have it.
    fn answer<S: Service>(&self, service: &S, controls: &Controls, ask: &Ask) -> (Verdict, Finish) {
        let error = |status| service.error(status, "refused");
        let body = self.subject.as_ref().map_or(&Value::Null, |subject| &subject.body);
        match personality::decide(&self.met, body, error) {
            Course::Answer(reply) => return (reply.into(), Finish::Send),
            Course::Cut(after_ms) => return (nothing(), Finish::Cut { after_ms }),
            Course::CarryOut => {}
        }
        let Verdict { reply, violation } = self.carry_out(service, controls, ask);
        let status = reply.status;
        match personality::finish(&self.met, body, reply, error) {
            Ok(reply) => (Verdict { reply, violation }, Finish::Send),
            Err(after_ms) => {
                let reply = Reply { status, headers: Vec::new(), body: Vec::new() };
                (Verdict { reply, violation }, Finish::Cut { after_ms })
            }
        }
    }

    /// The token check, the request itself, and the shapes of what it answers.
    fn carry_out<S: Service>(&self, service: &S, controls: &Controls, ask: &Ask) -> Verdict {
        let mut verdict = admit(service, controls, ask, &self.met);
        if let Some(subject) = &self.subject {
            verdict.reply = personality::shape(&controls.personalities, subject, &self.met, verdict.reply);
        }
        verdict
    }
}

/// Answers a request under at most one fault that decides the answer; without one, as the personalities
/// have it.
fn spoil<S: Service>(
    service: &S,
    controls: &Controls,
    ask: &Ask,
    odd: &Odd,
    action: Option<&Action>,
) -> (Verdict, Finish) {
    let honest = || odd.carry_out(service, controls, ask);
    let cut = Finish::Cut { after_ms: 0 };
    match action {
        Some(Action::LoseAnswer | Action::Silence { applied: true, .. }) => (honest(), cut),
        Some(Action::DropBefore | Action::Silence { applied: false, .. }) => (nothing(), cut),
        Some(Action::TruncatedBody) => (honest(), Finish::Half),
        Some(Action::Drip { ms }) => (honest(), Finish::Drip { ms: *ms }),
        Some(Action::EndlessBody) => (nothing(), Finish::Endless),
        Some(Action::GiantHeader { bytes }) => {
            let mut verdict = honest();
            verdict.reply = verdict.reply.with("x-giant", "x".repeat(*bytes));
            (verdict, Finish::Send)
        }
        Some(Action::HugeRow { bytes }) => {
            (service.list_of(ask, vec![huge_row(*bytes)]).into(), Finish::Send)
        }
        Some(Action::Compressed) => {
            let reply = Reply::bytes(200, "application/json", ZEROS).with("content-encoding", "gzip");
            (reply.into(), Finish::Send)
        }
        Some(Action::EndlessList) => {
            let rows = (0..ROWS_OF_AN_ENDLESS_LIST).map(|_| invented_row("Invented"));
            (service.list_of(ask, rows.collect()).into(), Finish::Send)
        }
        Some(Action::EmptyBody) => {
            let mut verdict = honest();
            verdict.reply = Reply::bytes(200, "application/json", Vec::new());
            (verdict, Finish::Send)
        }
        Some(Action::StatusAfter { code }) => {
            let mut verdict = honest();
            verdict.reply = service.error(*code, "injected after the request was carried out");
            (verdict, Finish::Send)
        }
        Some(Action::Status { code, body: None }) => (service.error(*code, "injected").into(), Finish::Send),
        Some(Action::Status { code, body: Some(body) }) => {
            (Reply::bytes(*code, content_type_of(body), body.as_bytes()).into(), Finish::Send)
        }
        Some(Action::Html) => (Reply::bytes(200, "text/html; charset=utf-8", HTML_PAGE).into(), Finish::Send),
        Some(Action::TooManyRequests { retry_after, http_date }) => {
            let reply = service.error(429, "too many requests");
            (with_retry_after(reply, *retry_after, *http_date).into(), Finish::Send)
        }
        Some(Action::EmptyList) => (service.empty_list(ask).into(), Finish::Send),
        Some(
            Action::Delay { .. } | Action::RevokeToken | Action::Enroll { .. } | Action::Unenroll { .. },
        )
        | None => odd.answer(service, controls, ask),
    }
}

/// How a cursor begins that no list has ever had.
pub(crate) const MADE_UP: &str = "made-up-";

/// How many rows each page of a list has that does not end.
const ROWS_OF_AN_ENDLESS_LIST: usize = 50;

/// The beginning of a gzip file of a thousand zeros.
const ZEROS: [u8; 29] = [
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0x02, 0xff, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x0c, 0x77, 0, 0,
    0x8c, 0x0d, 0x16, 0xe2, 0xe8, 0x03, 0, 0,
];

/// What both services could have in a list.
fn invented_row(name: &str) -> Value {
    let id = uuid::Uuid::new_v4();
    json!({
        "device_id": id, "device_name": name, "serial_number": id, "platform": "Mac", "user": "", "tags": [],
        "id": id, "name": name, "email": format!("{id}@example.com"), "source": "local", "fields": {},
        "asset_type": { "id": "invented", "name": "Invented" }, "location": null, "checked_out_to": null,
    })
}

fn huge_row(bytes: usize) -> Value {
    invented_row(&"x".repeat(bytes))
}

fn content_type_of(body: &str) -> &'static str {
    if body.trim_start().starts_with('<') { "text/html" } else { "application/json" }
}

fn with_retry_after(reply: Reply, seconds: Option<u64>, http_date: bool) -> Reply {
    match seconds {
        None => reply,
        Some(seconds) if http_date => {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
            reply.with("retry-after", date)
        }
        Some(seconds) => reply.with("retry-after", seconds.to_string()),
    }
}

/// The token check of both services, then the request itself.
fn admit<S: Service>(service: &S, controls: &Controls, ask: &Ask, met: &[Oddity]) -> Verdict {
    match &ask.authorization {
        None => Verdict {
            reply: service.error(401, "Authentication credentials were not provided."),
            violation: Some("no Authorization header".to_owned()),
        },
        Some(value) if !controls.accepts(value) => service.error(401, "Invalid token.").into(),
        Some(_) => service.carry_out(ask, met),
    }
}

/// The control endpoints: no token, not recorded, never spoiled.
fn control<S: Service>(service: &S, controls: &Controls, name: &str, ask: &Ask) -> Reply {
    let bad = |message: String| Reply::json(400, &json!({ "error": message }));
    let body = || serde_json::from_slice::<Value>(&ask.body).map_err(|error| error.to_string());
    match (ask.method.as_str(), name) {
        ("GET", "state") => Reply::json(200, &service.state()),
        ("GET", "writes") => Reply::json(200, &service.writes()),
        ("GET", "requests") => Reply::json(200, &json!(controls.requests())),
        ("GET", "violations") => Reply::json(200, &json!(controls.violations())),
        ("GET", "faults") => Reply::json(200, &json!(controls.faults.active())),
        ("DELETE", "faults") => {
            controls.faults.clear();
            Reply::json(200, &json!({}))
        }
        ("DELETE", "requests") => {
            controls.clear_requests();
            Reply::json(200, &json!({}))
        }
        ("POST", "fault") => {
            match body().and_then(|b| serde_json::from_value(b).map_err(|e| e.to_string())) {
                Ok(rule) => Reply::json(200, &json!({ "id": controls.fault(rule) })),
                Err(message) => bad(message),
            }
        }
        ("GET", "personalities") => Reply::json(200, &json!(controls.personalities.active())),
        ("DELETE", "personalities") => {
            controls.personalities.clear();
            Reply::json(200, &json!({}))
        }
        ("POST", "personality") => {
            match body().and_then(|b| serde_json::from_value(b).map_err(|e| e.to_string())) {
                Ok(personality) => Reply::json(200, &json!({ "id": controls.personality(personality) })),
                Err(message) => bad(message),
            }
        }
        ("DELETE", "personality") => match ask.param("id").and_then(|id| id.parse().ok()) {
            Some(id) if controls.personalities.remove(PersonalityId(id)) => Reply::json(200, &json!({})),
            _ => bad("no personality in force has that id".to_owned()),
        },
        ("POST", "mutate") => match body().and_then(|body| mutate(service, controls, body)) {
            Ok(result) => Reply::json(200, &result),
            Err(message) => bad(message),
        },
        (method, name) => Reply::json(404, &json!({ "error": format!("no {method} /_sim/{name}") })),
    }
}

/// The mutations both services know; the rest is the service's.
fn mutate<S: Service>(service: &S, controls: &Controls, body: Value) -> Result<Value, String> {
    match body.get("op").and_then(Value::as_str) {
        Some("revoke_token") => controls.revoke_token(),
        Some("restore_token") => controls.restore_token(),
        Some("set_offline") => controls.set_offline(body.get("on").and_then(Value::as_bool).unwrap_or(true)),
        Some("set_latency") => {
            let ms = body.get("ms").and_then(Value::as_u64).ok_or("set_latency needs ms")?;
            controls.set_latency(Duration::from_millis(ms));
        }
        _ => return service.mutate(body),
    }
    Ok(json!({}))
}
