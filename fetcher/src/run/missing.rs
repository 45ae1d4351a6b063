//! Devices that the walk did not show: asked for by id, then said to be missing (P22).

use std::collections::BTreeSet;

use amfj_sync_kandji::KandjiError;
use amfj_sync_model::ids::{DeviceId, UserKey};
use amfj_sync_model::messages::{Absence, Fact, PrimaryUser};
use futures::{FutureExt, StreamExt, stream};

use super::absence::{Inquiry, is_news, not_shown, shown_as_removed};
use super::details::AT_ONCE;
use super::walk::Fleet;
use super::{Halt, Leader, Run};

/// A device that is not there, as far as the list goes.
#[derive(Debug, Clone)]
struct Question {
    device: DeviceId,
    inquiry: Inquiry,
    /// Listed, but as removed.
    removed: bool,
    /// Whose it was, where this is the first walk that missed it.
    person: Option<UserKey>,
}

impl Run<'_> {
    /// Says which known devices are missing, and what their details say. Nothing here fails the run: what
    /// cannot be found out is unknown, and unknown is not gone.
    pub(super) async fn say_what_is_missing(&self, fleet: &Fleet) -> Result<(), Halt> {
        let questions = self.questions(fleet);
        let leader = self.leader;
        let mut answers =
            stream::iter(questions).map(|question| leader.answer(question).boxed()).buffer_unordered(AT_ONCE);
        let mut facts = Vec::new();
        let mut named = BTreeSet::new();
        while let Some((question, answer)) = answers.next().await {
            let answer = answer.ok_or(Halt::Stopping)?;
            facts.extend(self.fact_of(&question, answer)?);
            // One walk proves nothing: a row that moved was missed, and whoever has a linked one is still there.
            let is_there = question.inquiry == Inquiry::Ask && answer != Absence::NotFound;
            named.extend(question.person.filter(|_| is_there));
        }
        facts.extend(self.people_named_no_more(fleet, &named));
        leader.publish_budget().await;
        self.say(facts).await
    }

    fn questions(&self, fleet: &Fleet) -> Vec<Question> {
        let mut questions = Vec::new();
        self.leader.state.read(|view| {
            view.each_device_id(&mut |id| {
                let unseen = (!fleet.shows(id)).then(|| DeviceId::new(id).ok()).flatten();
                if let Some(row) = unseen.and_then(|id| view.device(&id)) {
                    let device = row.entry.device_id.clone();
                    let inquiry = not_shown(&row, view.link(&device).is_some());
                    if inquiry != Inquiry::Nothing {
                        let person = match row.entry.user {
                            PrimaryUser::Person { key } if row.missing.is_none() => Some(key),
                            _ => None,
                        };
                        questions.push(Question { device, inquiry, removed: false, person });
                    }
                }
                true
            });
            for device in fleet.removed.iter().filter(|device| view.link(device).is_some()) {
                let inquiry = shown_as_removed(view.device(device).as_ref());
                if inquiry != Inquiry::Nothing {
                    let device = device.clone();
                    questions.push(Question { device, inquiry, removed: true, person: None });
                }
            }
        });
        questions
    }

    fn fact_of(&self, question: &Question, absence: Absence) -> Result<Option<Fact>, Halt> {
        let number = self.started.number;
        let device = question.device.clone();
        let known = self.leader.state.read(|view| view.device(&device));
        if !question.removed {
            let news = is_news(known.as_ref(), absence);
            return Ok(news.then_some(Fact::DeviceMissing { number, device, absence }));
        }
        match absence {
            Absence::NotFound => Ok(Some(Fact::DeviceMissing { number, device, absence })),
            // It answers again, so it is not missing, only removed.
            Absence::Found if known.is_some_and(|row| row.missing.is_some()) => {
                let listed = self.leader.listed(&device)?;
                Ok(listed.map(|listed| Fact::DeviceListed { number, device: listed.entry }))
            }
            Absence::Found | Absence::Unknown => Ok(None),
        }
    }

    fn people_named_no_more(&self, fleet: &Fleet, named: &BTreeSet<UserKey>) -> Vec<Fact> {
        let number = self.started.number;
        let mut facts = Vec::new();
        self.leader.state.read(|view| {
            view.each_user_key(&mut |key| {
                let is_named = fleet.people.contains(key) || named.contains(key);
                let unnamed = (!is_named).then(|| UserKey::new(key).ok()).flatten();
                if let Some(row) = unnamed.and_then(|key| view.user(&key)).filter(|row| !row.missing) {
                    facts.push(Fact::UserMissing { number, user: row.entry.key });
                }
                true
            });
        });
        facts
    }
}

impl Leader {
    async fn answer(&self, question: Question) -> (Question, Option<Absence>) {
        let answer = match question.inquiry {
            Inquiry::Ask => self.ask(&question.device).await,
            Inquiry::SayMissing | Inquiry::Nothing => Some(Absence::Unknown),
        };
        (question, answer)
    }

    /// What the details of a missing device say; none when the worker is stopping.
    async fn ask(&self, device: &DeviceId) -> Option<Absence> {
        match self.details_of(device).await {
            Ok(None) => Some(Absence::NotFound),
            Ok(Some(_)) => Some(Absence::Found),
            Err(KandjiError::Cancelled) => None,
            Err(error) => {
                tracing::debug!(integration = %self.config.id, run = self.latest_run(), %device, %error,
                    "whether a missing device is gone could not be found out");
                Some(Absence::Unknown)
            }
        }
    }
}
