//! Which faults strike in which episode: every family's faults in turn, in an order that the seed decides.

use anyhow::{Result, ensure};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::families::{ALL, Family, Fault};
use super::{Options, Stage};

/// The faults of one family, like a pack of cards.
struct Deck {
    family: &'static dyn Family,
    order: Vec<String>,
    next: usize,
    size: usize,
    drawn: usize,
    /// So many of the first are to open the campaign, whichever family is behind.
    opening: usize,
}

/// A fault that was drawn.
pub(super) struct Drawn {
    pub(super) family: &'static str,
    pub(super) name: String,
    pub(super) fault: Box<dyn Fault>,
}

/// What is drawn next.
pub(super) struct Plan {
    decks: Vec<Deck>,
    shuffling: StdRng,
}

impl Plan {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let mut shuffling = StdRng::seed_from_u64(options.seed);
        let named = |name: &str, wanted: &[String]| {
            wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()))
        };
        let playable = |family: &&&dyn Family| options.cluster || !family.needs_a_cluster();
        let mut decks = Vec::new();
        for family in ALL.iter().filter(|family| named(family.name(), &options.families)).filter(playable) {
            let mut order: Vec<String> =
                family.faults().into_iter().filter(|fault| named(fault, &options.faults)).collect();
            order.shuffle(&mut shuffling);
            order.sort_by_key(|fault| !options.opening.contains(fault));
            let opening = order.iter().filter(|fault| options.opening.contains(fault)).count();
            if !order.is_empty() {
                decks.push(Deck { family: *family, size: order.len(), order, next: 0, drawn: 0, opening });
            }
        }
        ensure!(!decks.is_empty(), "no fault of any family has such a name");
        Ok(Self { decks, shuffling })
    }

    /// One to three families, the one that is furthest behind first.
    pub(super) fn draw(&mut self, stage: &Stage, rng: &mut StdRng) -> Result<Vec<Drawn>> {
        let progress = |deck: &Deck| (deck.drawn * 1000).checked_div(deck.size).unwrap_or(0);
        self.decks.shuffle(&mut self.shuffling);
        self.decks.sort_by_key(|deck| (deck.next >= deck.opening, progress(deck)));
        let families = rng.random_range(1..=3.min(self.decks.len()));
        let mut drawn: Vec<Drawn> = Vec::new();
        for deck in self.decks.iter_mut().take(families) {
            for _ in 0..deck.family.at_once().min(deck.size) {
                let card = deck.peek(&mut self.shuffling);
                let alone = !deck.family.goes_with_others(&card);
                if alone && !drawn.is_empty() {
                    break;
                }
                deck.next += 1;
                deck.drawn += 1;
                let fault = deck.family.draw(&card, stage, rng)?;
                drawn.push(Drawn { family: deck.family.name(), name: card, fault });
                if alone {
                    return Ok(drawn);
                }
            }
        }
        Ok(drawn)
    }

    /// A fault that did not strike comes again sooner.
    pub(super) fn put_back(&mut self, family: &str, fault: &str) {
        if let Some(deck) = self.decks.iter_mut().find(|deck| deck.family.name() == family) {
            deck.order.push(fault.to_owned());
        }
    }

    /// All faults that may be drawn.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let of_deck = |deck: &Deck| {
            let name = deck.family.name().to_owned();
            let mut faults = deck.order.clone();
            faults.sort();
            faults.dedup();
            faults.into_iter().map(move |fault| (name.clone(), fault)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.decks.iter().flat_map(of_deck).collect();
        all.sort();
        all
    }
}

impl Deck {
    /// The next card, from a freshly shuffled pack where the last one is used up.
    fn peek(&mut self, shuffling: &mut StdRng) -> String {
        if self.next >= self.order.len() {
            self.order.sort();
            self.order.dedup();
            self.order.shuffle(shuffling);
            self.next = 0;
        }
        self.order[self.next].clone()
    }
}
