//! Whether a row can have as many members as it says. Whoever reads one makes room for them first: where each of many nested
//! ones says that it has thousands, a few hundred bytes would take as many megabytes.

use rmp::Marker;

/// Whether as many bytes are there as values are said to be, at every place. A row that ends too early is for its reader to refuse.
pub(super) fn are_possible(bytes: &[u8]) -> bool {
    // Without a marker of a long list or object none says that it has more than fifteen members.
    if !bytes.iter().any(|byte| matches!(byte, 0xdc..=0xdf)) {
        return true;
    }
    let (mut rest, mut values) = (bytes, 1_usize);
    while values > 0 {
        let Some((marker, behind)) = rest.split_first() else { return true };
        let Some((within, length)) = size(Marker::from_u8(*marker), behind) else { return true };
        let Some(next) = behind.get(length..) else { return true };
        rest = next;
        values = (values - 1).saturating_add(within);
        if values > rest.len() {
            return false;
        }
    }
    true
}

/// How many values are within one, and how many bytes are its own, behind its marker; none where the row ends before.
fn size(marker: Marker, behind: &[u8]) -> Option<(usize, usize)> {
    let number = |bytes: usize| {
        let read = behind.get(..bytes)?;
        Some(read.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let text = |bytes: usize, kind: usize| Some((0, number(bytes)?.saturating_add(bytes + kind)));
    let sized = match marker {
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::Null
        | Marker::True
        | Marker::False
        | Marker::Reserved => (0, 0),
        Marker::U8 | Marker::I8 => (0, 1),
        // An extension has a byte for its kind.
        Marker::U16 | Marker::I16 | Marker::FixExt1 => (0, 2),
        Marker::U32 | Marker::I32 | Marker::F32 => (0, 4),
        Marker::U64 | Marker::I64 | Marker::F64 => (0, 8),
        Marker::FixStr(length) => (0, usize::from(length)),
        Marker::Str8 | Marker::Bin8 => return text(1, 0),
        Marker::Str16 | Marker::Bin16 => return text(2, 0),
        Marker::Str32 | Marker::Bin32 => return text(4, 0),
        Marker::Ext8 => return text(1, 1),
        Marker::Ext16 => return text(2, 1),
        Marker::Ext32 => return text(4, 1),
        Marker::FixExt2 => (0, 3),
        Marker::FixExt4 => (0, 5),
        Marker::FixExt8 => (0, 9),
        Marker::FixExt16 => (0, 17),
        Marker::FixArray(values) => (usize::from(values), 0),
        Marker::Array16 => (number(2)?, 2),
        Marker::Array32 => (number(4)?, 4),
        Marker::FixMap(members) => (2 * usize::from(members), 0),
        Marker::Map16 => (2 * number(2)?, 2),
        Marker::Map32 => (2 * number(4)?, 4),
    };
    Some(sized)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{decode, encode};
    use super::*;

    #[test]
    fn a_list_or_object_of_more_than_there_is_is_refused() {
        for row in [
            vec![0xde, 0xde, 0xde],
            vec![0xdf, 0, 0, 0, 2, 0xa1, b'a', 1],
            vec![0xdc, 0, 2, 1],
            [vec![0x91; 100], vec![0xdd, 0xff, 0xff, 0xff, 0xff]].concat(),
            // Each has room by itself.
            [[0xdc, 0, 40].repeat(10), vec![1; 50]].concat(),
        ] {
            assert!(!are_possible(&row), "{row:?}");
            assert!(decode::<Value>(&row).is_err());
        }
    }

    #[test]
    fn a_long_list_is_read() {
        let row = json!(vec![0.1; 70_000]);
        assert_eq!(decode::<Value>(&encode(&row)).ok(), Some(row));
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_read(
            members in proptest::collection::btree_map("[\u{700}-\u{7ff}a]{0,40}", proptest::collection::vec(any::<i64>(), 0..40), 0..40),
            text in "\\PC{0,300}",
        ) {
            let row = json!({ "members": members, "text": text, "list": [null, true, 1.5, -1, u64::MAX] });
            let bytes = encode(&row);
            prop_assert!(are_possible(&bytes));
            prop_assert_eq!(decode::<Value>(&bytes).ok(), Some(row));
        }
    }
}
