//! Comparison of names, emails and serials.

use unicode_normalization::UnicodeNormalization;

/// Whether a text says nothing.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A name as it is compared (P5): NFC, trimmed, inner white space folded, without case.
pub(super) fn name(text: &str) -> String {
    let composed: String = text.nfc().collect();
    let words: Vec<&str> = composed.split_whitespace().collect();
    words.join(" ").to_lowercase().nfc().collect()
}

/// An email as it is compared (P10).
pub(super) fn email(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A serial as it is compared (P6, P9).
pub(super) fn serial(text: &str) -> String {
    text.trim().to_uppercase()
}
