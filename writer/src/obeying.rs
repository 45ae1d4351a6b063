//! What a person wants of changes that stepped aside (`amfj-sync stopped retry`, `amfj-sync stopped drop`) comes through the
//! state stream, as every decision does; whichever writer has the change in hand obeys.

use std::sync::Arc;

use amfj_sync_model::messages::{Fact, OperatorDecision, OperatorOrder, Payload};
use amfj_sync_projection::Verdict;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::blame::Ordered;
use crate::context::IntegrationContext;

/// Obeys until the worker stops.
pub(crate) async fn obey(context: Arc<IntegrationContext>, stop: CancellationToken) {
    let mut facts = context.state.listen();
    loop {
        match stop.run_until_cancelled(facts.recv()).await {
            Some(Ok(folded)) => {
                if folded.verdict == Verdict::Accepted
                    && let Payload::Fact(Fact::OperatorDecided { decision, .. }) = &folded.event.payload
                {
                    obey_one(&context, decision);
                }
            }
            // What was missed is typed again by whoever sees that nothing happened.
            Some(Err(RecvError::Lagged(_))) => {}
            Some(Err(RecvError::Closed)) | None => return,
        }
    }
}

fn obey_one(context: &IntegrationContext, decision: &OperatorDecision) {
    match &decision.order {
        OperatorOrder::TryStopped { key } => {
            context.blame.order(key.as_ref(), &Ordered::TryNow);
            if key.is_none() {
                context.circuit.try_now();
            }
        }
        OperatorOrder::DropStopped { key } => {
            context.blame.order(key.as_ref(), &Ordered::GiveUp { by: decision.by.clone() });
        }
        _ => {}
    }
}
