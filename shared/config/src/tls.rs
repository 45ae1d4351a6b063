//! TLS to the broker: its own certificate authority, and a certificate that a worker shows.

use std::path::{Path, PathBuf};

use amfj_sync_security::private_files::is_open_to_others;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::problem::At;
use super::reader::{Reading, Section};
use super::secret::BrokerUrl;
use super::settings;
use super::types::BrokerTls;

const CA: &str = "ca_file";
const CERTIFICATE: &str = "client_certificate";
const KEY: &str = "client_key";

/// Reads the three settings. The files are read again for each connection, so that they can be replaced (P35); here they
/// only have to be right.
pub(super) fn read(
    section: &mut Section,
    reading: &mut Reading<'_>,
    url: Option<&BrokerUrl>,
) -> Option<BrokerTls> {
    let mut at: Option<At> = None;
    let mut file = |key: &'static str, check: fn(&Path) -> Result<(), String>| {
        let found = section.read(reading, key, |node| {
            at = Some(node.at.clone());
            let path = PathBuf::from(settings::name(node)?);
            check(&path).map(|()| Some(path))
        });
        found.or(None)
    };
    // All of them are asked for first, so that none counts as unknown where another one is wrong.
    let (ca, certificate, key) =
        (file(CA, certificates), file(CERTIFICATE, certificates), file(KEY, private_key));
    let (ca, certificate, key) = (ca?, certificate?, key?);
    if certificate.is_none() && url.is_some_and(BrokerUrl::is_by_certificate) {
        let message = format!(
            "auth_mechanism=external in \"url\" has the broker know the user by a certificate, and none is shown: write \
             amqps:// and set \"{CERTIFICATE}\" and \"{KEY}\", or take it out of the address"
        );
        let at = section.at.clone();
        section.complain(reading, &at, &message);
        return None;
    }
    let Some(at) = at else { return Some(BrokerTls::default()) };
    if url.is_some_and(|url| !url.is_encrypted()) {
        let message = format!(
            "\"{CA}\", \"{CERTIFICATE}\" and \"{KEY}\" are for amqps://, and broker.url says amqp://"
        );
        section.complain(reading, &at, &message);
        return None;
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            if is_open_to_others(&key) {
                let path = key.display();
                reading.warn(
                    &at,
                    format!("others than its owner can read the key {path}; run: chmod 600 {path}"),
                );
            }
            Some((certificate, key))
        }
        (None, None) => None,
        _ => {
            let message = format!("\"{CERTIFICATE}\" and \"{KEY}\" go together; set both or none of them");
            section.complain(reading, &at, &message);
            return None;
        }
    };
    Some(BrokerTls { ca, client })
}

/// Whether a file holds certificates in PEM.
fn certificates(path: &Path) -> Result<(), String> {
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, &error))?.collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(()),
        Ok(_) => Err(format!("names {}, which holds no certificate in PEM", path.display())),
        Err(error) => Err(wrong(path, &error)),
    }
}

fn private_key(path: &Path) -> Result<(), String> {
    PrivateKeyDer::from_pem_file(path).map(drop).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            format!("names {}, which holds no private key in PEM (one without a password)", path.display())
        }
        error => wrong(path, &error),
    })
}

fn wrong(path: &Path, error: &rustls::pki_types::pem::Error) -> String {
    format!("names {}, which cannot be read: {error}", path.display())
}
