//! The answers of docs/development.md to *where is …*: each function is in the file that the page names.

use std::fs::read_to_string;
use std::path::Path;

/// The words between back quotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether the source defines this function, of the type before it where one is named.
fn defines(source: &str, function: &str) -> bool {
    let (owner, name) = function.rsplit_once("::").unwrap_or(("", function));
    let has_owner = owner.is_empty() || source.contains(&format!("impl {owner} "));
    has_owner && ["(", "<"].iter().any(|behind| source.contains(&format!("fn {name}{behind}")))
}

#[test]
fn each_question_of_a_reader_is_answered_where_the_page_says() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = read_to_string(workspace.join("docs/development.md")).unwrap();
    let (_, behind) = page.split_once("\n## Where is …\n").unwrap();
    let (section, _) = behind.split_once("\n## ").unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 20, "only {} questions", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let [_, question, file, functions, _] = row[..] else { panic!("no row of three cells: {row:?}") };
        let file = quoted(file).next().unwrap();
        let source = read_to_string(workspace.join(file)).unwrap_or_default();
        let missing = quoted(functions).filter(|function| !defines(&source, function));
        wrong.extend(missing.map(|function| format!("{question} {function} is not in {file}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_function_that_is_called_is_not_defined() {
    let source = "impl Lease {\n    fn is_over(&self) -> bool {\n        self.over()\n    }\n}\n";
    assert!(defines(source, "is_over") && defines(source, "Lease::is_over"));
    assert!(!defines(source, "over") && !defines(source, "State::is_over"));
}
