//! The file of an export: JSON lines. The first says what it is of, the last how much there is, so that a file that was cut off
//! or changed is noticed before anything of it is taken.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _, Write};

use amfj_sync_broker::MAX_BYTES;
use amfj_sync_http::json::has_too_many_values;
use amfj_sync_model::messages::{Event, Fact, Payload, Standing};
use amfj_sync_projection::transfer::CarriedRow;
use amfj_sync_security::screen::escaped_json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The format of the file: raised when an older release would misunderstand it.
pub(crate) const EDITION: u32 = 1;

/// Where the sum over the lines begins.
const SUM: Uuid = Uuid::from_u128(0x2f1d_9b43_7c0a_5c7e_8d54_11f0_6a3e_90b2);

/// What counts as applied changes in [`End::counts`].
pub(crate) const HISTORY: &str = "history";

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The format of the file.
    pub(crate) edition: u32,
    /// The format of its rows.
    pub(crate) rows: u32,
    /// The integration.
    pub(crate) integration: String,
    /// Where its AMFJ is.
    pub(crate) amfj: String,
    /// Where its Kandji is.
    pub(crate) kandji: String,
    /// When.
    pub(crate) exported: Timestamp,
    /// By which release.
    pub(crate) version: String,
    /// By whom.
    pub(crate) by: String,
    /// How far the integration was.
    pub(crate) standing: Standing,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// How many of what.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Made of all lines before this one, in their order.
    pub(crate) sum: Uuid,
}

/// A line as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Written<'a> {
    Export(&'a Head),
    Row(&'a CarriedRow),
    History(&'a RawValue),
    End(&'a End),
}

/// A line as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Export(Box<Head>),
    Row(CarriedRow),
    History(Box<RawValue>),
    End(End),
}

/// What a line in the middle says.
#[derive(Debug)]
pub(crate) enum Content {
    /// A row of what is known.
    Row(CarriedRow),
    /// An applied change.
    Change(Box<Event>),
}

/// What was written or read so far.
#[derive(Debug)]
struct Sum {
    counts: BTreeMap<String, u64>,
    sum: Uuid,
}

impl Sum {
    fn new() -> Self {
        Self { counts: BTreeMap::new(), sum: SUM }
    }

    fn add(&mut self, line: &[u8], of: Option<&str>) {
        self.sum = Uuid::new_v5(&self.sum, line);
        if let Some(of) = of {
            *self.counts.entry(of.to_owned()).or_default() += 1;
        }
    }

    fn end(&self) -> End {
        End { counts: self.counts.clone(), sum: self.sum }
    }
}

/// Writes the lines.
pub(crate) struct Writer<W> {
    out: W,
    sum: Sum,
}

impl<W: Write> Writer<W> {
    pub(crate) fn begin(out: W, head: &Head) -> std::io::Result<Self> {
        let mut writer = Self { out, sum: Sum::new() };
        writer.line(&Written::Export(head), None)?;
        Ok(writer)
    }

    pub(crate) fn row(&mut self, row: &CarriedRow) -> std::io::Result<()> {
        self.line(&Written::Row(row), Some(&row.table))
    }

    pub(crate) fn change(&mut self, event: &Event) -> std::io::Result<()> {
        let event = String::from_utf8(event.encode()).map_err(std::io::Error::other)?;
        let event = RawValue::from_string(event)?;
        self.line(&Written::History(&event), Some(HISTORY))
    }

    /// Writes the last line.
    pub(crate) fn end(mut self) -> std::io::Result<End> {
        let end = self.sum.end();
        self.line(&Written::End(&end), None)?;
        self.out.flush()?;
        Ok(end)
    }

    fn line(&mut self, line: &Written<'_>, of: Option<&str>) -> std::io::Result<()> {
        // Somebody may look at it on a terminal.
        let line = escaped_json(&serde_json::to_string(line)?);
        self.sum.add(line.as_bytes(), of);
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")
    }
}

/// Reads the lines. What it refuses is told with the number of the line.
pub(crate) struct Reader<R> {
    input: R,
    sum: Sum,
    lines: u64,
    line: Vec<u8>,
    /// Of whom the changes have to be.
    integration: String,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn begin(input: R) -> Result<(Head, Self), String> {
        let mut reader =
            Self { input, sum: Sum::new(), lines: 0, line: Vec::new(), integration: String::new() };
        if !reader.next_line()? {
            return Err("the file is empty".to_owned());
        }
        let Ok(Line::Export(head)) = reader.parsed() else {
            return Err("this is no export of amfj-sync: its first line does not say so".to_owned());
        };
        reader.sum.add(&reader.line, None);
        reader.integration.clone_from(&head.integration);
        Ok((*head, reader))
    }

    /// What the next line says; none at the end, which says that nothing is missing.
    pub(crate) fn next(&mut self) -> Result<Option<Content>, String> {
        if !self.next_line()? {
            return Err(format!("the file was cut off after line {}: its last line is missing", self.lines));
        }
        let (content, of) = match self.parsed()? {
            Line::Export(_) => return Err(self.wrong("a second export begins there")),
            Line::Row(row) => {
                let row = row.checked().map_err(|why| self.wrong(&why))?;
                let of = row.table.clone();
                (Content::Row(row), of)
            }
            Line::History(event) => (self.change(event.get())?, HISTORY.to_owned()),
            Line::End(end) => {
                if end != self.sum.end() {
                    return Err(
                        "the file is not as it was written: its last line says so, by counts and by a sum over \
                         all lines"
                            .to_owned(),
                    );
                }
                if self.next_line()? {
                    return Err(self.wrong("something stands behind its last line"));
                }
                return Ok(None);
            }
        };
        self.sum.add(&self.line, Some(&of));
        Ok(Some(content))
    }

    /// What was read so far.
    pub(crate) fn so_far(&self) -> End {
        self.sum.end()
    }

    fn change(&self, event: &str) -> Result<Content, String> {
        let event = Event::decode(event.as_bytes()).map_err(|error| self.wrong(&error.to_string()))?;
        if !matches!(event.payload, Payload::Fact(Fact::ChangeEnded(_))) {
            return Err(self.wrong("it is no applied change"));
        }
        if event.integration.as_str() != self.integration {
            return Err(self.wrong("it is a change of another integration"));
        }
        Ok(Content::Change(Box::new(event)))
    }

    /// The next line without its end; none is longer than a message may be.
    fn next_line(&mut self) -> Result<bool, String> {
        self.line.clear();
        let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.input.by_ref().take(most).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| format!("the file cannot be read: {error}"))?;
        if read == 0 {
            return Ok(false);
        }
        self.lines += 1;
        if self.line.pop_if(|last| *last == b'\n').is_none() {
            let why = if self.line.len() > MAX_BYTES {
                "it is longer than any line of an export"
            } else {
                "the file was cut off in it"
            };
            return Err(self.wrong(why));
        }
        Ok(true)
    }

    fn parsed(&self) -> Result<Line, String> {
        let text = std::str::from_utf8(&self.line).map_err(|_| self.wrong("it is no text in UTF-8"))?;
        if has_too_many_values(text.as_bytes()) {
            return Err(self.wrong("it has more values than any line of an export"));
        }
        serde_json::from_str(text).map_err(|error| {
            let error: String = error.to_string().chars().take(200).collect();
            self.wrong(&format!("it is no line of an export: {error}"))
        })
    }

    fn wrong(&self, why: &str) -> String {
        format!("line {}: {why}", self.lines)
    }
}

#[cfg(test)]
mod tests;
