//! The reconciler: decides what AMFJ shall hold, as pure functions between two queues.

pub mod rules;
