//! x
pub mod kandji;
