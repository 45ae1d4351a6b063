//! A table of devices and their assets, as spreadsheets save it: pure.

use csv::{ReaderBuilder, StringRecord, Trim};

/// What the first line has to name.
const COLUMNS: [&str; 2] = ["device", "asset"];

/// What stands between columns, by country and by what somebody chose.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// What spreadsheets put before a text that they might take for a formula, as `plan --csv` does.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// Its number in the file.
    pub(super) line: u64,
    /// What stands for the device.
    pub(super) device: String,
    /// What stands for the asset.
    pub(super) asset: String,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Its number in the file.
    pub(super) line: u64,
    /// In one sentence, or a list below one.
    pub(super) why: String,
}

/// The pairs of a table, and the lines that are none. Fails where it is no such table at all.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Pair>, Vec<Wrong>), String> {
    let text = text_of(bytes)?;
    let mut reader = ReaderBuilder::new()
        .delimiter(separator(&text))
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| error.to_string())?.clone();
    let [device, asset] = places(&head)?;
    let (mut pairs, mut wrong) = (Vec::new(), Vec::new());
    let mut lines = Lines { text: text.as_bytes(), at: 0, line: 1 };
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = lines.number_at(record.position().map_or(0, csv::Position::byte));
        if record.iter().all(str::is_empty) {
            continue;
        }
        let cell = |place: usize| plain(record.get(place).unwrap_or_default()).to_owned();
        let pair = Pair { line, device: cell(device), asset: cell(asset) };
        match (pair.device.is_empty(), pair.asset.is_empty()) {
            (false, false) => pairs.push(pair),
            (true, _) => wrong.push(Wrong { line, why: "it names no device".to_owned() }),
            (_, true) => wrong.push(Wrong { line, why: "it names no asset".to_owned() }),
        }
    }
    Ok((pairs, wrong))
}

/// Counts lines as an editor does. The reader says where a row begins, but not beyond the ends of lines before it.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The number of the line on which the row begins that was read from this byte on; rows come in their order.
    fn number_at(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(next) = self.text.get(self.at) {
            if self.at >= from && !matches!(next, b'\r' | b'\n') {
                break;
            }
            // Older spreadsheets end a line with a carriage return alone.
            let is_end = *next == b'\n' || (*next == b'\r' && self.text.get(self.at + 1) != Some(&b'\n'));
            self.line += u64::from(is_end);
            self.at += 1;
        }
        self.line
    }
}

/// Spreadsheets mark UTF-8 with a byte order mark, and save "Unicode text" as UTF-16.
fn text_of(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| "it is broken UTF-16; save it as \"CSV UTF-8\"".to_owned())
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => String::from_utf8(rest.to_vec()).map_err(|error| {
            let before = &rest[..error.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            format!("its line {line} is not UTF-8; save it as \"CSV UTF-8\"")
        }),
    }
}

/// The one that the first line has most of: where commas stand in numbers, spreadsheets write semicolons.
fn separator(text: &str) -> u8 {
    let head = text.split(['\r', '\n']).find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: &u8| head.matches(char::from(*separator)).count();
    // The first of those that are equally many.
    SEPARATORS.into_iter().rev().max_by_key(count).unwrap_or(b',')
}

/// Where both columns are.
fn places(head: &StringRecord) -> Result<[usize; 2], String> {
    let place = |name: &str| {
        let mut places = head.iter().enumerate().filter(|(_, cell)| cell.to_lowercase() == name);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(format!("it has two columns \"{name}\"")),
            (None, _) => {
                let found: Vec<String> = head.iter().map(|cell| format!("\"{cell}\"")).collect();
                Err(format!(
                    "it has no column \"{name}\": its first line names the columns, {}, and here it is {}",
                    COLUMNS.join(" and "),
                    if found.is_empty() { "empty".to_owned() } else { found.join(", ") }
                ))
            }
        }
    };
    Ok([place(COLUMNS[0])?, place(COLUMNS[1])?])
}

/// A cell without the apostrophe that keeps a spreadsheet from computing it.
fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(line: u64, device: &str, asset: &str) -> Pair {
        Pair { line, device: device.to_owned(), asset: asset.to_owned() }
    }

    #[test]
    fn tables_are_read_as_spreadsheets_save_them() {
        let wanted = vec![pair(2, "C02XK1", "asset-1"), pair(4, "Ana's, Mac", "a \"b\"")];
        let utf16 = |text: &str| {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            [0xff, 0xfe].into_iter().chain(units).collect::<Vec<u8>>()
        };
        let tables = [
            b"device,asset\nC02XK1,asset-1\n\n\"Ana's, Mac\",\"a \"\"b\"\"\"\n".to_vec(),
            b"\xef\xbb\xbfDevice;Note;ASSET\r\nC02XK1;;asset-1\r\n;;\r\n\"Ana's, Mac\";x;\"a \"\"b\"\"\""
                .to_vec(),
            utf16("asset\tdevice\r\nasset-1\tC02XK1\r\n\t\r\na \"b\"\tAna's, Mac\r\n"),
            b"device;asset\rC02XK1;asset-1\r\r\"Ana's, Mac\";\"a \"\"b\"\"\"\r".to_vec(),
        ];
        for table in tables {
            assert_eq!(read(&table), Ok((wanted.clone(), Vec::new())), "{}", String::from_utf8_lossy(&table));
        }
    }

    #[test]
    fn what_is_no_table_of_devices_and_assets_says_why() {
        for (table, why) in [
            (&b"C02XK1,asset-1\n"[..], "no column \"device\""),
            (b"device\nC02XK1\n", "no column \"asset\""),
            (b"device,asset,Device\n", "two columns \"device\""),
            (b"", "here it is empty"),
            (b"device,asset\nJ\xfcrgen,asset-1\n", "line 2 is not UTF-8"),
        ] {
            let said = read(table).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_line_without_device_or_asset_is_wrong_and_named() {
        let (pairs, wrong) = read(b"device,asset\n,asset-1\nC02XK1\n'=X1,asset-2\n").unwrap();
        assert_eq!(pairs, [pair(4, "=X1", "asset-2")]);
        let told: Vec<(u64, &str)> = wrong.iter().map(|one| (one.line, one.why.as_str())).collect();
        assert_eq!(told, [(2, "it names no device"), (3, "it names no asset")]);
    }
}
