//! P25: what is shown and not made.

use amfj_sync_config::Mode;
use amfj_sync_model::messages::DeviceStatus;

use super::World;
use crate::withheld;

#[test]
fn p25_changes_are_withheld_by_mode_and_apply_only() {
    for (mode, only, made, user_made) in [
        (Mode::Apply, &[][..], true, true),
        (Mode::Apply, &["S1"], true, true),
        (Mode::Apply, &["S2"], false, false),
        (Mode::Plan, &[], false, false),
        (Mode::Plan, &["S1"], false, false),
    ] {
        let mut world = World::new("", "");
        world.config.mode = mode;
        world.config.apply_only = only.iter().map(ToString::to_string).collect();
        world.device("d1", "Mac 1", " S1 ");
        world.asset("a1", "Mac 1");
        world.person("k1", "Sam", Some("sam@x.com"));
        world.owns("k1", "d1");
        world.run();
        let change = world.decide("d1").changes.remove(0);
        assert_eq!(withheld(&world.config, &change).is_none(), made, "{mode} {only:?}");
        let change = world.decide_user("sam@x.com").changes.remove(0);
        assert_eq!(change.serials, ["S1"]);
        assert_eq!(withheld(&world.config, &change).is_none(), user_made, "{mode} {only:?}");
    }
}

#[test]
fn p25_a_device_that_waits_for_a_planned_user_is_plan_only() {
    for (mode, expected) in [(Mode::Apply, DeviceStatus::Pending), (Mode::Plan, DeviceStatus::PlanOnly)] {
        let mut world = World::new("auto_checkout = true", "");
        world.device("d1", "Mac 1", "S1");
        world.asset("a1", "Mac 1");
        world.person("k1", "Sam", Some("sam@x.com"));
        world.owns("k1", "d1");
        world.run();
        let link = world.decide("d1").changes.remove(0);
        world.make(&link);
        world.config.mode = mode;
        let decision = world.decide("d1").decision;
        assert_eq!((decision.state, decision.awaits.unwrap().as_str()), (expected, "sam@x.com"));
    }
}
