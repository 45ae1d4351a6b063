//! Values that are used but never shown (P27).

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::http::Token;

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
        Self { text: SecretString::from(text.into()), file: None }
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
