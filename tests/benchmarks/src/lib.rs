//! What the benchmarks have in common: a synthetic integration of any size, and tables of figures.

pub mod figures;
pub mod plot;
pub mod synthetic;
