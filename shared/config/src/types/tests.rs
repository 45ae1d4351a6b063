use super::*;

fn rule(platform: &[&str], blueprint: &[&str], tag: &[&str]) -> ScopeRule {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    ScopeRule { platform: owned(platform), blueprint: owned(blueprint), tag: owned(tag) }
}

fn admits(scope: &Scope, tags: &[&str]) -> bool {
    scope.admits("Mac", "Main Blueprint", "0e4b1c2f", tags)
}

#[test]
fn p19_scope_includes_then_excludes() {
    let none = || rule(&[], &[], &[]);
    for (include, exclude, expected, what) in [
        (none(), none(), true, "empty include is everything"),
        (rule(&["mac "], &[], &[]), none(), true, "case and white space do not count"),
        (rule(&["iPad", "Mac"], &[], &[]), none(), true, "one of the list is enough"),
        (rule(&["iPad"], &[], &[]), none(), false, "another platform"),
        (rule(&["Mac"], &["Kiosks"], &[]), none(), false, "every given key must match to include"),
        (rule(&["Mac"], &["MAIN blueprint"], &["Loan"]), none(), true, "all keys match"),
        (rule(&[], &["0E4B1C2F"], &[]), none(), true, "a blueprint by its id"),
        (rule(&[], &[], &["other"]), none(), false, "no such tag"),
        (none(), rule(&["iPad"], &["Main Blueprint"], &[]), false, "any given key excludes"),
        (none(), rule(&[], &[], &["LOAN"]), false, "a tag excludes"),
        (none(), rule(&["iPad"], &["Kiosks"], &["x"]), true, "nothing excludes"),
        (rule(&["Mac"], &[], &[]), rule(&["Mac"], &[], &[]), false, "exclude comes last"),
    ] {
        assert_eq!(admits(&Scope { include, exclude }, &["loan", "x2"]), expected, "{what}");
    }
}

#[test]
fn p19_a_blank_property_is_named_by_nothing() {
    let scope = Scope { include: rule(&[], &[""], &[]), exclude: ScopeRule::default() };
    assert!(!scope.admits("Mac", " ", "", &[""; 0]));
}
