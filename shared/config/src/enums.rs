//! Settings that are one of a few words, the same in the file and in messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A setting that is one of a few words.
pub(crate) trait Word: Copy + 'static {
    /// Every word with its meaning.
    const WORDS: &'static [(&'static str, Self)];
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word as it is written in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// Where details are read for many devices at once (P17).
    Bulk {
        /// Nowhere: one request a device.
        Off = "off",
        /// In Kandji's Prism, where a category has the mapped property.
        Prism = "prism",
    }
);
words!(
    /// P25.
    Mode {
        /// Compute and show every change, write nothing.
        Plan = "plan",
        /// Write.
        Apply = "apply",
    }
);
words!(
    /// P7.
    CreateDevices {
        /// Leave unmatched devices unmatched, and report them.
        Never = "never",
        /// Create assets in the first sync only.
        FirstSync = "first-sync",
        /// Create assets for devices that appear later, too.
        Always = "always",
    }
);
words!(
    /// P5.
    NameMatching {
        /// Match names in the first sync only.
        FirstSync = "first-sync",
        /// Go on matching unlinked devices by name.
        UntilLinked = "until-linked",
    }
);
words!(
    /// P11.
    CreateUsers {
        /// For users of devices that have an asset, or get one in this run.
        Linked = "linked",
        /// For users of all devices.
        All = "all",
        /// Never.
        Never = "never",
    }
);
words!(
    /// P20.
    FirstAssignment {
        /// Check in from somebody else, check out to the primary user.
        TakeOver = "take-over",
        /// Leave it with somebody else, and report.
        Keep = "keep",
    }
);
words!(
    /// P21.
    Assignment {
        /// Act when the primary user changed.
        OnChange = "on-change",
        /// Make the holder equal to the primary user in every run.
        Enforce = "enforce",
    }
);
words!(
    /// P14.
    OnEmpty {
        /// A blank value leaves AMFJ's value alone.
        Keep = "keep",
        /// A blank value clears it.
        Clear = "clear",
    }
);
words!(
    /// P22.
    WhenGone {
        /// Write nothing.
        Report = "report",
        /// Check the asset in.
        CheckIn = "check-in",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_the_file_and_the_messages_write_them() {
        fn check<T: Word + Serialize + std::fmt::Debug>() {
            for (word, value) in T::WORDS {
                assert_eq!(serde_json::to_value(value).unwrap(), *word, "{value:?}");
            }
        }
        check::<Bulk>();
        check::<Mode>();
        check::<CreateDevices>();
        check::<NameMatching>();
        check::<CreateUsers>();
        check::<FirstAssignment>();
        check::<Assignment>();
        check::<OnEmpty>();
        check::<WhenGone>();
    }
}
