//! Reads what `/metrics` answers (the Prometheus text format), as far as tests need it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// One line of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// All samples of one look at `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct MetricsPage {
    samples: Vec<Sample>,
}

impl MetricsPage {
    /// Reads the text format; comments are left out.
    ///
    /// # Errors
    /// Names the first line that is not in the format.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines
            .map(|line| sample(line).with_context(|| format!("not a line of the Prometheus format: {line}")))
            .collect::<Result<_>>()?;
        Ok(Self { samples })
    }

    /// All samples.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The value of the first sample of that name with at least these labels.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.matching(name, labels).next().map(|sample| sample.value)
    }

    /// The sum over all samples of that name with at least these labels; 0 if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
        })
    }
}

fn sample(line: &str) -> Result<Sample> {
    let name_end = line.find(['{', ' ']).context("it has no value")?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => labels(inner)?,
        None => (BTreeMap::new(), rest),
    };
    // A time stamp may follow the value.
    let value = rest.split_whitespace().next().context("it has no value")?;
    let value = value.parse().with_context(|| format!("{value} is not a number"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads `a="x",b="y"}` and returns what follows the brace.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str)> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((found, after));
        }
        let (key, quoted) = rest.split_once("=\"").context("a label has no value")?;
        let (value, after) = unquote(quoted)?;
        found.insert(key.to_owned(), value);
        rest = after;
    }
}

/// Reads up to the closing quote and returns what follows it.
fn unquote(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next().context("a label ends in a backslash")?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    anyhow::bail!("a label is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP amfj_sync_held Held runs\n# TYPE amfj_sync_held gauge\n\
        amfj_sync_held{integration=\"acme\"} 1\namfj_sync_held{integration=\"beta\"} 0\n\
        amfj_sync_changes_total{integration=\"acme\",kind=\"update\",result=\"say \\\"no\\\", {twice}\"} 3 1700000000\n\
        amfj_sync_workers 2.5e1\n\namfj_sync_age +Inf\n";

    #[test]
    fn finds_samples_by_name_and_labels() {
        let page = MetricsPage::parse(PAGE).unwrap();
        assert_eq!(page.samples().len(), 5);
        assert_eq!(page.get("amfj_sync_held", &[("integration", "beta")]), Some(0.0));
        assert_eq!(page.get("amfj_sync_held", &[("integration", "gamma")]), None);
        assert!((page.sum("amfj_sync_held", &[]) - 1.0).abs() < f64::EPSILON);
        assert_eq!(page.get("amfj_sync_workers", &[]), Some(25.0));
        assert_eq!(page.get("amfj_sync_age", &[]), Some(f64::INFINITY));
        let refused = [("result", "say \"no\", {twice}"), ("kind", "update")];
        assert_eq!(page.get("amfj_sync_changes_total", &refused), Some(3.0));
    }

    #[test]
    fn names_the_line_it_cannot_read() {
        for bad in ["amfj_sync_held", "a{b=\"c} 1", "a{b} 1", "a x"] {
            let error = format!("{:#}", MetricsPage::parse(bad).unwrap_err());
            assert!(error.contains(bad), "{error}");
        }
    }
}
