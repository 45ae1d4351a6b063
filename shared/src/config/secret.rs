//! Values that are used but never shown (P27).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// A token. Neither `Debug` nor `Display` shows it; it is wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text, for the header of a request and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The same secret as the type that the HTTP clients take.
    #[must_use]
    pub fn to_secret_string(&self) -> SecretString {
        self.0.clone()
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
        let mut url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
        if !matches!(url.scheme(), "amqp" | "amqps") {
            return Err("is no broker address; it starts with amqp:// or amqps://".to_owned());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host, for example amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
        }
        if url.password().is_some() {
            // Cannot fail: an address that has a password has a host.
            let _ = url.set_password(Some("***"));
        }
        // A query may carry `password=` of a client certificate.
        if url.query().is_some() {
            url.set_query(Some("***"));
        }
        Ok(Self { whole: SecretString::from(text), shown: url.to_string() })
    }

    /// The whole address with the password, for the connection and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.whole.expose_secret()
    }
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
