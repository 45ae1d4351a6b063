//! TLS to the broker with an authority and a certificate of one's own. The files are read for each connection, so that what
//! is renewed in them is used from the next one on (P35).

use std::path::Path;

use amfj_sync_config::BrokerTls;
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream, RustlsConnector, RustlsConnectorConfig, TLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::filter::{self, FilteredStream};

/// Connects: with these certificates, where there are some. What the broker sends is filtered before it is read.
#[expect(clippy::disallowed_methods, reason = "the one place that connects")]
pub(super) async fn connect(
    uri: AMQPUri,
    tls: &BrokerTls,
    properties: ConnectionProperties,
) -> Result<Connection, lapin::Error> {
    let connector = if *tls == BrokerTls::default() { None } else { Some(connector(tls)?) };
    let sockets = lapin::runtime::default_runtime()?;
    let runtime = filter::runtime(&sockets);
    let open = async move |uri: AMQPUri, _| {
        let frame_max = uri.query.frame_max.unwrap_or_default();
        let stream = match &connector {
            None => uri.connect_with_config_async(TLSConfig::default(), &sockets).await?,
            Some(connector) => {
                let host = uri.authority.host.as_str();
                let addresses: Vec<_> = tokio::net::lookup_host((host, uri.authority.port)).await?.collect();
                let stream = AsyncTcpStream::connect(&sockets, addresses).await?;
                stream.into_rustls(connector, host).await?
            }
        };
        Ok(AsyncTcpStream::Plain(FilteredStream::new(stream, frame_max)))
    };
    Connection::connector(uri, runtime, open, properties).await
}

/// With an authority of its own, the broker's certificate has to be signed by that one, whomever the machine trusts.
fn connector(tls: &BrokerTls) -> std::io::Result<RustlsConnector> {
    let config = match &tls.ca {
        Some(path) => RustlsConnectorConfig::default().with_parsable_certificates(certificates(path)?),
        None => RustlsConnectorConfig::new_with_native_certs()?,
    };
    match &tls.client {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
            config.connector_with_single_cert(certificates(certificate)?, key)
        }
        None => config.connector_with_no_client_auth(),
    }
}

fn certificates(path: &Path) -> std::io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?;
    read.collect::<Result<_, _>>().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &rustls::pki_types::pem::Error) -> std::io::Error {
    std::io::Error::other(format!("{} cannot be read: {error}", path.display()))
}
