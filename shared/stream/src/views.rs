//! Looking at several states at once.

use amfj_sync_projection::Projection;

use crate::StateHandle;

/// Borrows the views of several states at once.
pub fn with_views<R>(
    states: &[&StateHandle],
    borrowed: &mut Vec<&Projection>,
    then: &mut dyn FnMut(&[&Projection]) -> R,
) -> R {
    match states.split_first() {
        None => then(borrowed),
        Some((first, rest)) => first.read(|view| {
            let mut borrowed: Vec<&Projection> = borrowed.iter().copied().chain([view]).collect();
            with_views(rest, &mut borrowed, then)
        }),
    }
}
