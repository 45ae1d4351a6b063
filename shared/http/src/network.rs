//! What broke on the way to a service, each with the cure that fits it: a name that does not exist is no matter of the
//! token, and a firewall none of the address.

use std::io::ErrorKind;
use std::time::Duration;

use amfj_sync_network::{certificate, is_unknown_host, seconds, tls_error};

/// What broke on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    /// Nothing listens on the port.
    Refused,
    /// The host's name does not exist.
    UnknownHost,
    /// The host's name cannot be looked up at the moment.
    NoNames,
    /// No connection within the time for it.
    Silent,
    /// There is a connection, and no answer within the time for it.
    Slow,
    /// No TLS is spoken on the port.
    NoTls,
    /// Something else about TLS.
    Tls,
    /// The certificate is not trusted.
    Certificate,
    /// The proxy did not let the request through.
    Proxy,
    /// What answers speaks no HTTP.
    NoHttp,
    /// The connection ended before there was an answer.
    Cut,
    /// Anything else.
    Other,
}

impl NetworkFault {
    /// What an error is about, and the same in words.
    pub(super) fn of(error: &reqwest::Error, timeout: Duration, connect_timeout: Duration) -> (Self, String) {
        let texts = chain_of(error);
        let said = texts.last().cloned().unwrap_or_default();
        let says = |word: &str| texts.iter().any(|text| text.contains(word));
        if error.is_timeout() {
            return if error.is_connect() {
                (Self::Silent, format!("no connection within {}", seconds(connect_timeout.min(timeout))))
            } else {
                (Self::Slow, format!("time-out: no answer within {}", seconds(timeout)))
            };
        }
        if says("tunnel") || says("proxy") {
            return (Self::Proxy, texts.join(": "));
        }
        if let Some(tls) = tls_error(error) {
            return match tls {
                rustls::Error::InvalidCertificate(why) => {
                    (Self::Certificate, format!("its certificate is not trusted: {}", certificate(why)))
                }
                rustls::Error::InvalidMessage(_) => (Self::NoTls, "it speaks no TLS".to_owned()),
                other => (Self::Tls, other.to_string()),
            };
        }
        match io_kind(error) {
            Some(ErrorKind::ConnectionRefused) => {
                return (Self::Refused, "connection refused: nothing listens there".to_owned());
            }
            Some(ErrorKind::TimedOut) => return (Self::Silent, said),
            Some(
                ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof,
            ) => return (Self::Cut, "the connection was closed before the answer".to_owned()),
            _ => {}
        }
        if let Some(lookup) = texts.iter().find(|text| text.contains("lookup address")) {
            let fault = if is_unknown_host(lookup) { Self::UnknownHost } else { Self::NoNames };
            return (fault, lookup.rsplit(": ").next().unwrap_or(lookup).to_owned());
        }
        if says("before message completed") {
            return (Self::Cut, "the connection was closed before the answer".to_owned());
        }
        if says("invalid HTTP") || says("HTTP/0.9") {
            return (Self::NoHttp, "what answers there speaks no HTTP".to_owned());
        }
        (Self::Other, texts.join(": "))
    }

    /// What to do about it; `setting` is the name of the address in the configuration.
    pub(super) fn cure(self, setting: &str) -> String {
        match self {
            Self::Refused => format!("the service is down, or the port in {setting} is wrong"),
            Self::UnknownHost => {
                format!("correct the host in {setting}, or the name resolution of this machine")
            }
            Self::NoNames => "check the name resolution and the network of this machine".to_owned(),
            Self::Silent => format!(
                "the service is down, a firewall drops what is sent there, or the host in {setting} is wrong"
            ),
            Self::Slow => {
                "the service is overloaded or hangs; neither token nor address is at fault".to_owned()
            }
            Self::NoTls => format!("correct the port in {setting}, or what answers in its place"),
            Self::Tls => format!("check what answers at {setting}, a proxy perhaps, and its versions of TLS"),
            Self::Certificate => format!(
                "add its issuer to the certificates that this machine trusts (a proxy that looks into TLS has its own), or \
                 correct the host in {setting}"
            ),
            Self::Proxy => "check the proxy in HTTPS_PROXY, or except the host in NO_PROXY".to_owned(),
            Self::NoHttp => format!("correct {setting}: https:// perhaps, or another port"),
            Self::Cut => format!(
                "the service, or something in between, ended it; if it stays so, check the port in {setting}"
            ),
            Self::Other => "check the network between here and there".to_owned(),
        }
    }
}

/// The texts of an error and its causes, without those that only repeat the next.
fn chain_of(error: &reqwest::Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if let Some(last) = texts.last_mut()
            && last.ends_with(&text)
        {
            last.truncate(last.len() - text.len());
            *last = last.trim_end_matches([':', ' ']).to_owned();
        }
        texts.push(text);
        next = error.source();
    }
    texts.retain(|text| !text.is_empty());
    texts.dedup();
    texts
}

/// The innermost kind of input and output.
fn io_kind(error: &reqwest::Error) -> Option<ErrorKind> {
    let mut kind = None;
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
        next = error.source();
    }
    kind
}
