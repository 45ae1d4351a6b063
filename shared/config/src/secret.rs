//! Values that are used but never shown (P27).

use std::fmt;
use std::path::PathBuf;

use amfj_sync_security::secrets::{keep_address_part_unsaid, keep_unsaid};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::token::Token;

/// A token. Neither `Debug` nor `Display` shows it; it is wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret {
    text: SecretString,
    /// Where it was read, and is read again when it was replaced (P35).
    file: Option<PathBuf>,
}

impl Secret {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = SecretString::from(text.into());
        keep_unsaid(text.expose_secret());
        Self { text, file: None }
    }

    /// The same, read in this file.
    #[must_use]
    pub fn in_file(self, file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// The text, for the header of a request and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The same as the HTTP clients take it: where it stands in a file, that is looked into again (P35).
    #[must_use]
    pub fn to_token(&self) -> Token {
        match &self.file {
            Some(file) => Token::in_file(self.text.clone(), file.clone()),
            None => Token::from(self.text.clone()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The broker's address, which usually carries a password.
#[derive(Clone)]
pub struct BrokerUrl {
    whole: SecretString,
    shown: String,
}

impl BrokerUrl {
    /// Takes an `amqp://` or `amqps://` address; the error is a sentence without the address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if splits_a_password(text) {
            return Err(RAW_PASSWORD.to_owned());
        }
        let mut url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
        if !matches!(url.scheme(), "amqp" | "amqps") {
            return Err("is no broker address; it starts with amqp:// or amqps://".to_owned());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host, for example amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
        }
        known_keys(&url)?;
        if let Some(password) = url.password().map(ToOwned::to_owned) {
            keep_address_part_unsaid(&password);
            // Cannot fail: an address that has a password has a host.
            let _ = url.set_password(Some("***"));
        }
        // A query may carry `password=` of a client certificate.
        if url.query().is_some() {
            for (name, value) in url.query_pairs().filter(|(name, _)| name.contains("pass")) {
                drop(name);
                keep_unsaid(&value);
            }
            url.set_query(Some("***"));
        }
        url.set_fragment(None);
        Ok(Self { whole: SecretString::from(text), shown: url.to_string() })
    }

    /// Whether TLS is spoken to the broker.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.shown.starts_with("amqps:")
    }

    /// Whether the broker is to know the user by the certificate that is shown, and not by a password.
    #[must_use]
    pub fn is_by_certificate(&self) -> bool {
        let external = |url: Url| {
            let mechanism = url.query_pairs().find(|(key, _)| key == "auth_mechanism");
            mechanism.is_some_and(|(_, value)| value.eq_ignore_ascii_case("external"))
        };
        Url::parse(self.expose()).is_ok_and(external)
    }

    /// Whether the broker is on this machine, as far as the address tells.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let url = Url::parse(&self.shown).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let by_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        by_address || host == "localhost" || host.ends_with(".localhost")
    }

    /// The whole address with the password, for the connection and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.whole.expose_secret()
    }
}

/// What other clients of RabbitMQ know in an address, and where it is set here. None is taken for set and ignored.
fn known_keys(url: &Url) -> Result<(), String> {
    for (key, value) in url.query_pairs() {
        let cure = match &*key {
            "frame_max" | "channel_max" | "heartbeat" if value.parse::<u32>().is_ok() => continue,
            "auth_mechanism" if ["plain", "external"].contains(&value.to_lowercase().as_str()) => continue,
            "frame_max" | "channel_max" | "heartbeat" => "takes a whole number".to_owned(),
            "auth_mechanism" => "takes plain, or external with amqps:// and broker.client_certificate".to_owned(),
            "cacertfile" | "cacerts" => "is set as broker.ca_file".to_owned(),
            "certfile" => "is set as broker.client_certificate".to_owned(),
            "keyfile" => "is set as broker.client_key".to_owned(),
            "password" => "is for a key with a password; broker.client_key names one without".to_owned(),
            "verify" | "fail_if_no_peer_cert" | "depth" => {
                "cannot be set: the broker's certificate is always verified (broker.ca_file names who signed it)".to_owned()
            }
            "server_name_indication" => "cannot be set: write the host as its certificate has it".to_owned(),
            "connection_timeout" => "is set as timing.connect_timeout".to_owned(),
            _ => "is no setting of amfj-sync".to_owned(),
        };
        let shown: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
        return Err(format!("has `{shown}` behind its `?`, which {cure}; remove it there"));
    }
    Ok(())
}

/// What to do about a password that an address cannot hold as it is.
const RAW_PASSWORD: &str = "has a password or vhost with a letter that ends a part of an address; write '/' as %2F, \
    '@' as %40, '#' as %23, '?' as %3F, '%' as %25 and '\\' as %5C in it";

/// Whether a sign of the password, or of what may be one, ends the part of the address that it stands in: then what comes
/// behind would pass for a host, a vhost or a query, and be shown.
fn splits_a_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let behind = &rest[authority.len()..];
    behind.starts_with('\\')
        || behind.contains('@')
        || behind.contains('#')
        || authority.matches('@').count() > 1
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host of each would be the user, and the rest of the password would be shown as port, vhost or query.
    #[test]
    fn p27_a_broker_password_with_signs_of_an_address_is_refused_and_not_shown() {
        for sign in ["/", "@", "#", "?", "\\"] {
            for (head, tail) in [("12", "hunter2"), ("", "12"), ("ab", "cd"), ("1", "2")] {
                let address = format!("amqp://user:{head}{sign}{tail}@broker.example.com:5672/%2f");
                let error = BrokerUrl::parse(&address).expect_err(&address);
                assert!(!error.contains("hunter2") && error.contains("%2F"), "{error}");
            }
        }
        let keyed = "amqp://user:hunt%2Fer2-x@h:5672/%2f?certificate_password=pkcs-hunter2";
        let error = BrokerUrl::parse(keyed).expect_err(keyed);
        assert!(!error.contains("hunt"), "{error}");
        let url = BrokerUrl::parse("amqp://user:hunt%2Fer2-x@h:5672/%2f").unwrap();
        assert_eq!(format!("{url} {url:?}"), "amqp://user:***@h:5672/%2f amqp://user:***@h:5672/%2f");
        for said in ["hunt/er2-x", "hunt%2Fer2-x", "hunt\\/er2-x"] {
            assert_eq!(amfj_sync_security::secrets::scrub(said), "***");
        }
    }
}
