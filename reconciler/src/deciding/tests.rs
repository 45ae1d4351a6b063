//! Tests of giving changes their places.
