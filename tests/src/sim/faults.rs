//! Misbehaviour on demand: rules that say which requests are answered badly, and how.
//!
//! ```
//! use amfj_sync_tests::sim::faults::{Action, Rule};
//! // The next POST to /assets is carried out, and its answer is lost.
//! let rule = Rule::new(Action::LoseAnswer).on("POST", "/assets").times(1);
//! # let _ = rule;
//! ```
//! Over HTTP the same rule is
//! `POST /_sim/fault {"method":"POST","path":"/assets","times":1,"action":"lose_answer"}`.

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The request is carried out, then the connection closes without an answer.
    LoseAnswer,
    /// The connection closes before anything is done.
    DropBefore,
    /// The request is carried out this much later, even if the client no longer waits.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// 429 without doing anything.
    TooManyRequests {
        /// `Retry-After`, in seconds from now; without it the header is missing.
        #[serde(default)]
        retry_after: Option<u64>,
        /// Write the header as an HTTP date instead of a number.
        #[serde(default)]
        http_date: bool,
    },
    /// This status without doing anything.
    Status {
        /// HTTP status.
        code: u16,
        /// The body; without it the service's own error shape.
        #[serde(default)]
        body: Option<String>,
    },
    /// The request is carried out, and this status is answered all the same.
    StatusAfter {
        /// HTTP status.
        code: u16,
    },
    /// 200 with a page of HTML, nothing is done: a console host, or a proxy's log-in page.
    Html,
    /// The request is carried out, and the answer is 200 with no body.
    EmptyBody,
    /// The request is carried out, and the connection breaks in the middle of the body.
    TruncatedBody,
    /// The request is carried out, and the answer comes one byte at a time.
    Drip {
        /// Milliseconds from one byte to the next; a second if not given.
        #[serde(default = "a_second")]
        ms: u64,
    },
    /// 200 with a body that never ends, as fast as it is read.
    EndlessBody,
    /// The request is carried out, and a header of so many bytes comes with the answer.
    GiantHeader {
        /// Bytes.
        bytes: usize,
    },
    /// 200 with a list of one row whose name has so many bytes.
    HugeRow {
        /// Bytes.
        bytes: usize,
    },
    /// 200 with a compressed body (`Content-Encoding: gzip`), which nobody had asked for.
    Compressed,
    /// A list that does not end: ever new rows, and ever new cursors.
    EndlessList,
    /// Nothing is said for this long, then the connection closes.
    Silence {
        /// Milliseconds; 30,000 if not given.
        #[serde(default = "half_a_minute")]
        ms: u64,
        /// Whether the request is carried out before the silence.
        #[serde(default)]
        applied: bool,
    },
    /// From this request on the token is refused, until it is restored.
    RevokeToken,
    /// A list that is empty although there are records.
    EmptyList,
    /// This many devices enrol before the request is answered, ahead of all others in the order of
    /// their ids, so that the rows of the next page move back and some are repeated (Kandji only).
    Enroll {
        /// How many.
        count: usize,
    },
    /// The first devices in the order of ids unenrol before the request is answered, so that the
    /// rows of the next page move forward and some are skipped (Kandji only).
    Unenroll {
        /// How many.
        count: usize,
    },
}

fn a_second() -> u64 {
    1_000
}

fn half_a_minute() -> u64 {
    30_000
}

impl Action {
    /// Whether the rule leaves the answer as it is, so that another rule may spoil it.
    fn goes_on(&self) -> bool {
        matches!(self, Self::Delay { .. } | Self::RevokeToken | Self::Enroll { .. } | Self::Unenroll { .. })
    }
}

/// Which requests are hit, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Method; every one if not given.
    #[serde(default)]
    pub method: Option<String>,
    /// Path, with or without the version prefix (`/v1`, `/api/v1`); `*` stands for any characters.
    /// Every path if not given.
    #[serde(default)]
    pub path: Option<String>,
    /// A piece of the query, for instance `offset=300`.
    #[serde(default)]
    pub query: Option<String>,
    /// How many matching requests are let through first.
    #[serde(default)]
    pub after: u32,
    /// How many are hit then; all if not given.
    #[serde(default)]
    pub times: Option<u32>,
    /// The chance that a matching request is hit, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// What happens.
    pub action: Action,
}

fn always() -> f64 {
    1.0
}

impl Rule {
    /// A rule that hits every request.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { method: None, path: None, query: None, after: 0, times: None, probability: 1.0, action }
    }

    /// Only this method and path pattern; `*` as method is every method.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = (method != "*").then(|| method.to_owned());
        self.path = Some(path.to_owned());
        self
    }

    /// Only requests with this piece in their query.
    #[must_use]
    pub fn with_query(mut self, piece: &str) -> Self {
        self.query = Some(piece.to_owned());
        self
    }

    /// Lets the first matching requests through.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Hits this many, then never again.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }

    /// Hits by chance.
    #[must_use]
    pub fn probability(mut self, chance: f64) -> Self {
        self.probability = chance;
        self
    }

    fn matches(&self, method: &str, path: &str, query: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.query.as_deref().is_none_or(|piece| query.contains(piece))
            && self.path.as_deref().is_none_or(|pattern| {
                [path, path.trim_start_matches("/api").trim_start_matches("/v1")]
                    .iter()
                    .any(|candidate| fits(pattern, candidate))
            })
    }
}

/// Whether `text` fits a pattern in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Names a rule, to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleId(u64);

/// The rules of one simulator.
#[derive(Debug)]
pub struct Faults(Mutex<Rules>);

#[derive(Debug)]
struct Rules {
    active: Vec<(RuleId, Rule)>,
    next: u64,
    chance: StdRng,
}

impl Faults {
    /// No rules; the seed decides what rules with a probability hit.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Rules { active: Vec::new(), next: 1, chance: StdRng::seed_from_u64(seed) }))
    }

    /// Adds a rule after the others.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut rules = self.0.lock();
        let id = RuleId(rules.next);
        rules.next += 1;
        rules.active.push((id, rule));
        id
    }

    /// Takes a rule back; false if it was used up or never there.
    pub fn remove(&self, id: RuleId) -> bool {
        let mut rules = self.0.lock();
        let before = rules.active.len();
        rules.active.retain(|(known, _)| *known != id);
        rules.active.len() < before
    }

    /// Takes all rules back.
    pub fn clear(&self) {
        self.0.lock().active.clear();
    }

    /// The rules that may still hit.
    #[must_use]
    pub fn active(&self) -> Vec<(RuleId, Rule)> {
        self.0.lock().active.clone()
    }

    /// What befalls one request: in order of the rules, up to the first that decides the answer.
    pub(crate) fn strike(&self, method: &str, path: &str, query: &str) -> Vec<Action> {
        let mut rules = self.0.lock();
        let Rules { active, chance, .. } = &mut *rules;
        let mut actions = Vec::new();
        for (_, rule) in active.iter_mut() {
            if !rule.matches(method, path, query) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            if rule.probability < 1.0 && chance.random::<f64>() >= rule.probability {
                continue;
            }
            if let Some(times) = &mut rule.times {
                if *times == 0 {
                    continue;
                }
                *times -= 1;
            }
            actions.push(rule.action.clone());
            if !rule.action.goes_on() {
                break;
            }
        }
        active.retain(|(_, rule)| rule.times != Some(0));
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_with_and_without_the_version_prefix() {
        let rule = Rule::new(Action::Html).on("GET", "/assets/*/check-*");
        assert!(rule.matches("GET", "/v1/assets/7/check-out", ""));
        assert!(!rule.matches("POST", "/v1/assets/7/check-out", ""));
        assert!(!rule.matches("GET", "/v1/assets/7", ""));
        let exact = Rule::new(Action::Html).on("*", "/devices");
        assert!(exact.matches("GET", "/api/v1/devices", ""));
        assert!(!exact.matches("GET", "/api/v1/devices/1", ""));
    }

    #[test]
    fn a_rule_waits_hits_and_is_used_up() {
        let faults = Faults::new(1);
        faults.add(Rule::new(Action::Html).after(1).times(2));
        let hits: Vec<usize> = (0..5).map(|_| faults.strike("GET", "/", "").len()).collect();
        assert_eq!(hits, [0, 1, 1, 0, 0]);
        assert!(faults.active().is_empty());
    }

    #[test]
    fn a_probability_is_kept_and_repeats_with_the_seed() {
        let hits = |seed| {
            let faults = Faults::new(seed);
            faults.add(Rule::new(Action::Html).probability(0.3));
            (0..1000).map(|_| faults.strike("GET", "/", "").len()).collect::<Vec<_>>()
        };
        assert_eq!(hits(5), hits(5));
        let count: usize = hits(5).iter().sum();
        assert!((200..400).contains(&count), "{count} of 1000");
    }

    #[test]
    fn a_delay_goes_on_to_the_next_rule() {
        let faults = Faults::new(1);
        faults.add(Rule::new(Action::Delay { ms: 1 }));
        faults.add(Rule::new(Action::LoseAnswer).times(1));
        faults.add(Rule::new(Action::Html));
        assert_eq!(faults.strike("GET", "/", ""), [Action::Delay { ms: 1 }, Action::LoseAnswer]);
        assert_eq!(faults.strike("GET", "/", ""), [Action::Delay { ms: 1 }, Action::Html]);
    }
}
