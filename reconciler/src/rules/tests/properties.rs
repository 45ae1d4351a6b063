//! Properties of random worlds, small enough that everything collides with everything.
