//! Looking at several states at once.

use amfj_sync_projection::View;

use crate::State;

/// Borrows the views of several states at once.
pub fn with_views<R>(states: &[&State], borrowed: &mut Vec<&View>, then: &mut dyn FnMut(&[&View]) -> R) -> R {
    match states.split_first() {
        None => then(borrowed),
        Some((first, rest)) => first.read(|view| {
            let mut borrowed: Vec<&View> = borrowed.iter().copied().chain([view]).collect();
            with_views(rest, &mut borrowed, then)
        }),
    }
}
