//! One of the names that AMFJ has: an asset type, a location.

use std::collections::BTreeMap;

use amfj_sync_security::screen::{Style, sanitize, say};
use amfj_sync_service::worker::Exit;

use super::asking::Asker;

/// Names that are shown at once; of more, a part of one finds it.
const A_SCREEN: usize = 20;

/// What is chosen from.
#[derive(Debug)]
pub(crate) struct Names {
    /// "asset type".
    pub(crate) what: &'static str,
    /// Each once, in the order of AMFJ.
    all: Vec<String>,
    /// Those that several things have: the first of them is meant.
    shared: Vec<String>,
}

impl Names {
    /// Those that are not blank.
    pub(crate) fn new<'n>(what: &'static str, all: impl Iterator<Item = &'n str>) -> Self {
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names = Vec::new();
        for name in all.map(str::trim).filter(|name| !name.is_empty()) {
            let count = counted.entry(name).or_default();
            *count += 1;
            if *count == 1 {
                names.push(name.to_owned());
            }
        }
        let shared = counted.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name.to_owned());
        Self { what, all: names, shared: shared.collect() }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The only one, if there is one.
    pub(crate) fn only(&self) -> Option<&str> {
        if let [only] = self.all.as_slice() { Some(only) } else { None }
    }

    /// The first whose name has one of these words in it, the words before the names.
    pub(crate) fn like(&self, words: &[&str]) -> Option<&str> {
        let of = |word: &&str| self.all.iter().find(|name| name.to_lowercase().contains(*word));
        words.iter().find_map(of).map(String::as_str)
    }

    /// What to know of a name that several have.
    pub(crate) fn warning(&self, name: &str) -> Option<String> {
        let what = self.what;
        self.shared.iter().any(|shared| shared == name).then(|| {
            format!(
                "AMFJ has several {what}s of the name \"{}\"; the first that it lists is meant. Rename the others in AMFJ if \
                 that is wrong",
                sanitize(name)
            )
        })
    }

    /// Which one is meant by what was typed: a number of the list, a name, or a part of a name.
    pub(crate) fn meant(&self, typed: &str) -> Result<&str, String> {
        let what = self.what;
        if let Some(exact) = self.all.iter().find(|name| name.as_str() == typed) {
            return Ok(exact);
        }
        let number = typed.parse::<usize>().ok().filter(|number| *number <= A_SCREEN.min(self.all.len()));
        if let Some(name) = number.and_then(|number| self.all.get(number.checked_sub(1)?)) {
            return Ok(name);
        }
        let wanted = typed.to_lowercase();
        let same: Vec<&String> = self.all.iter().filter(|name| name.to_lowercase() == wanted).collect();
        if let [name] = same.as_slice() {
            return Ok(name);
        }
        let part: Vec<&String> =
            self.all.iter().filter(|name| name.to_lowercase().contains(&wanted)).collect();
        match part.as_slice() {
            [] => Err(format!("AMFJ has no {what} with \"{}\" in its name", sanitize(typed))),
            [name] => Ok(name),
            several => {
                let shown: Vec<String> = several.iter().take(A_SCREEN).map(|name| sanitize(name)).collect();
                let more = if several.len() > A_SCREEN { ", …" } else { "" };
                Err(format!("{} {what}s fit: {}{more}; type the whole name", several.len(), shown.join(", ")))
            }
        }
    }

    /// Shows the list and asks; `none` is what is typed for none of them, where that may be.
    pub(crate) async fn choose(
        &self,
        asker: &Asker,
        question: &str,
        proposed: Option<&str>,
        none: Option<&str>,
    ) -> Result<Option<String>, Exit> {
        let screen = asker.screen();
        for (at, name) in self.all.iter().take(A_SCREEN).enumerate() {
            let number = screen.ink(Style::Faint, &format!("{:>4} ", at + 1));
            say(&format!("{number} {}", screen.sentence(6, &sanitize(name))));
        }
        if self.all.len() > A_SCREEN {
            asker.tell(&format!(
                "and {} more; a part of the name finds each of them",
                self.all.len() - A_SCREEN
            ));
        }
        let default = proposed.or(none).map(sanitize);
        let chosen = asker.line(question, default.as_deref(), |typed| {
            if Some(typed) == none {
                return Ok(None);
            }
            // As it is shown: a name may hold signs that nobody can type.
            if let Some(proposed) = proposed.filter(|proposed| sanitize(proposed) == typed) {
                return Ok(Some(proposed.to_owned()));
            }
            self.meant(typed).map(|name| Some(name.to_owned()))
        });
        let chosen = chosen.await?;
        if let Some(warning) = chosen.as_deref().and_then(|name| self.warning(name)) {
            asker.tell(&warning);
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_number_itself_or_a_part_of_it() {
        let names = ["Laptop", "Phone", "Mac mini", "Mac Studio", "3", "laptop bag", "Phone", " "];
        let names = Names::new("asset type", names.into_iter());
        for (typed, meant) in [
            ("1", "Laptop"),
            ("Phone", "Phone"),
            ("phone", "Phone"),
            ("mini", "Mac mini"),
            ("3", "3"),
            ("LAPTOP", "Laptop"),
        ] {
            assert_eq!(names.meant(typed), Ok(meant), "{typed}");
        }
        for (typed, said) in [
            ("mac", "Mac mini, Mac Studio"),
            ("desk", "no asset type"),
            ("0", "no asset type"),
            ("99", "no asset type"),
        ] {
            assert!(names.meant(typed).unwrap_err().contains(said), "{typed}");
        }
        assert!(names.warning("Phone").unwrap().contains("several asset types"));
        assert_eq!(names.warning("Laptop"), None);
        assert_eq!(names.like(&["computer", "mac"]), Some("Mac mini"));
    }
}
