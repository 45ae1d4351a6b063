//! What a person wants of changes that stepped aside (`amfj-sync stopped retry`, `amfj-sync stopped drop`) comes through the
//! state stream, as every decision does; whichever writer has the change in hand obeys.

use std::sync::Arc;

use amfj_sync_model::messages::{Fact, Order, Payload, PersonDecision};
use amfj_sync_projection::Verdict;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::blame::Ordered;
use crate::site::Site;

/// Obeys until the worker stops.
pub(crate) async fn obey(site: Arc<Site>, stop: CancellationToken) {
    let mut facts = site.state.listen();
    loop {
        match stop.run_until_cancelled(facts.recv()).await {
            Some(Ok(folded)) => {
                if folded.verdict == Verdict::Accepted
                    && let Payload::Fact(Fact::PersonDecided { decision, .. }) = &folded.event.payload
                {
                    obey_one(&site, decision);
                }
            }
            // What was missed is typed again by whoever sees that nothing happened.
            Some(Err(RecvError::Lagged(_))) => {}
            Some(Err(RecvError::Closed)) | None => return,
        }
    }
}

fn obey_one(site: &Site, decision: &PersonDecision) {
    match &decision.order {
        Order::TryStopped { key } => {
            site.blame.order(key.as_ref(), &Ordered::TryNow);
            if key.is_none() {
                site.circuit.try_now();
            }
        }
        Order::DropStopped { key } => {
            site.blame.order(key.as_ref(), &Ordered::GiveUp { by: decision.by.clone() });
        }
        _ => {}
    }
}
