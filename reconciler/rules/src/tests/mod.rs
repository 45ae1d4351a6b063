//! The rules on small worlds: a test for every rule and case, and properties of random worlds.

mod checkout;
mod creating;
mod doubtful_people;
mod gone;
mod left;
mod matching;
mod near_and_silent;
mod oddities;
mod plan;
mod properties;
mod relinking;
mod updating;
mod users;
mod values;
pub(crate) mod world;

pub(crate) use world::World;
