//! The answers as options, for scripts: each stands in the place of one question.

use std::path::PathBuf;

use amfj_sync_config::CreateDevices;
use clap::{Args, ValueEnum};

/// What `create_devices` may be.
pub(crate) const CREATE_DEVICES: [&str; 3] =
    [CreateDevices::Never.as_str(), CreateDevices::FirstSync.as_str(), CreateDevices::Always.as_str()];

/// What a person, or a script, has answered before anything is asked.
#[derive(Debug, Default, Args)]
pub struct InitArgs {
    /// The integration to set up or to change; a new one is added
    pub(crate) id: Option<String>,
    /// Ask nothing: take the options, then what the file says, then what is proposed
    #[arg(long)]
    pub(crate) yes: bool,
    /// Kandji's API URL
    #[arg(long, value_name = "URL")]
    pub(crate) kandji_url: Option<String>,
    /// The file that holds Kandji's API token; it stays there
    #[arg(long, value_name = "PATH", conflicts_with = "kandji_token_env")]
    pub(crate) kandji_token_file: Option<PathBuf>,
    /// The environment variable that holds Kandji's API token, here and where the workers run
    #[arg(long, value_name = "NAME")]
    pub(crate) kandji_token_env: Option<String>,
    /// AMFJ's API URL
    #[arg(long, value_name = "URL")]
    pub(crate) amfj_url: Option<String>,
    /// The file that holds AMFJ's token; it stays there
    #[arg(long, value_name = "PATH", conflicts_with = "amfj_token_env")]
    pub(crate) amfj_token_file: Option<PathBuf>,
    /// The environment variable that holds AMFJ's token, here and where the workers run
    #[arg(long, value_name = "NAME")]
    pub(crate) amfj_token_env: Option<String>,
    /// What AMFJ's interface looks like: a built-in profile, or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) amfj_profile: Option<String>,
    /// Default Asset Type: the type of assets that are created
    #[arg(long, value_name = "NAME")]
    pub(crate) default_asset_type: Option<String>,
    /// Default Location: where linked assets are that have no location
    #[arg(long, value_name = "NAME", conflicts_with = "no_default_location")]
    pub(crate) default_location: Option<String>,
    /// No Default Location
    #[arg(long)]
    pub(crate) no_default_location: bool,
    /// Auto-checkout: check assets out to the users of their devices
    #[arg(long, value_name = "yes|no", value_enum, hide_possible_values = true)]
    pub(crate) auto_checkout: Option<YesOrNo>,
    /// Device creation: whether devices without an asset get one
    #[arg(long, value_name = "WHEN", value_parser = CREATE_DEVICES)]
    pub(crate) create_devices: Option<String>,
    /// Field mapping: this AMFJ field from this Kandji property or template, and no other that is not named; repeatable
    #[arg(long, value_name = "FIELD=PROPERTY", value_parser = mapped, conflicts_with = "no_map")]
    pub(crate) map: Vec<(String, String)>,
    /// Map nothing
    #[arg(long)]
    pub(crate) no_map: bool,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesOrNo {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// `FIELD=PROPERTY`; the name of a field may have a sign of equality in it, a property has none.
fn mapped(text: &str) -> Result<(String, String), String> {
    // A template may have several, so it begins at its first brace.
    let end = text.find("{{").or_else(|| text.find("{%")).unwrap_or(text.len());
    let sign = text[..end].rfind('=').ok_or("write FIELD=PROPERTY, as in \"Serial Number=serial_number\"")?;
    let (field, source) = (text[..sign].trim(), text[sign + 1..].trim());
    if field.is_empty() || source.is_empty() {
        return Err("write FIELD=PROPERTY, as in \"Serial Number=serial_number\"".to_owned());
    }
    Ok((field.to_owned(), source.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_split_where_the_property_begins() {
        let both = |field: &str, source: &str| Ok((field.to_owned(), source.to_owned()));
        for (text, read) in [
            ("Serial Number=serial_number", both("Serial Number", "serial_number")),
            (" a=b = model ", both("a=b", "model")),
            ("Notes={{ model }}={{ os_version }}", both("Notes", "{{ model }}={{ os_version }}")),
        ] {
            assert_eq!(mapped(text), read, "{text}");
        }
        for text in ["Serial Number", "=model", "Model=", "{{ a }}=b"] {
            assert!(mapped(text).is_err(), "{text}");
        }
    }
}
