//! What an error of the network is about, for the broker and for both services: the libraries wrap it in several layers and
//! in words of their own.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

use std::time::Duration;

/// `10 s`, `2.5 s`.
#[must_use]
pub fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// Whether the name was looked up and is not there, rather than not looked up at all.
#[must_use]
pub fn is_unknown_host(said: &str) -> bool {
    said.contains("lookup address") && !said.contains("Temporary failure")
}

/// The TLS error inside another error, however deep.
#[must_use]
pub fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An error of input and output says that its inner error's source is its own.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// Why a certificate is not trusted, for people.
#[must_use]
pub fn certificate(why: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Why;
    match why {
        Why::Expired | Why::ExpiredContext { .. } => "it has expired".to_owned(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock".to_owned()
        }
        Why::UnknownIssuer => "nobody here knows its issuer".to_owned(),
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another host".to_owned(),
        Why::Revoked => "it was revoked".to_owned(),
        // A certificate that signed itself is one of an authority, and none of a server.
        Why::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => "it signed itself".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_there_is_told_from_one_that_cannot_be_looked_up_now() {
        let begin = "failed to lookup address information: ";
        assert!(is_unknown_host(&format!("{begin}Name or service not known")));
        assert!(!is_unknown_host(&format!("{begin}Temporary failure in name resolution")));
        assert!(!is_unknown_host("Connection refused (os error 111)"));
    }

    #[test]
    fn a_tls_error_is_found_however_deep_it_is() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let deep = std::io::Error::other(std::io::Error::other(tls));
        assert!(matches!(tls_error(&deep), Some(rustls::Error::InvalidCertificate(_))));
        assert!(tls_error(&std::io::Error::other("no TLS here")).is_none());
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            (seconds(Duration::from_secs(10)), seconds(Duration::from_millis(2_500))),
            ("10 s".into(), "2.5 s".into())
        );
    }
}
