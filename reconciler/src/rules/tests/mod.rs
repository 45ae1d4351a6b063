//! The rules on small worlds: a test for every rule and case, and properties of random worlds.

mod checkout;
mod creating;
mod gone;
mod matching;
mod oddities;
mod plan;
mod properties;
mod relinking;
mod updating;
mod users;
mod values;
pub(crate) mod world;

pub(crate) use world::World;
