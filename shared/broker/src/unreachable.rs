//! Why the broker lets nobody in, each with its own cure. What the client says of it ("parsing error", "connection reset")
//! fits several causes, so where it does not tell, the port is asked what it speaks.

use std::time::Duration;

use amfj_sync_config::BrokerTls;
use amfj_sync_network::{certificate, is_unknown_host, seconds, tls_error};
use amfj_sync_security::screen::for_a_shell;
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::topology::{ACCESS_REFUSED, reply_code};

/// Reply code of a virtual host that is not there or not for this user.
const NOT_ALLOWED: u16 = 530;
/// For one look at what a port speaks.
const LOOK: Duration = Duration::from_secs(1);
/// How every connection of AMQP 0.9.1 begins.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Where a connection was to lead: everything of `broker.url` that may be said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the address")]
pub(super) struct Door {
    host: String,
    port: u16,
    user: String,
    vhost: String,
    tls: bool,
    /// Whether `broker.ca_file` says whom to trust.
    own_ca: bool,
    /// Whether a certificate is shown.
    shows_one: bool,
    /// Whether the user is known by it.
    by_certificate: bool,
}

impl Door {
    /// What may be said of an address.
    pub(super) fn of(uri: &AMQPUri, tls: &BrokerTls) -> Self {
        Self {
            host: uri.authority.host.clone(),
            port: uri.authority.port,
            user: uri.authority.userinfo.username.clone(),
            vhost: uri.vhost.clone(),
            tls: uri.scheme == AMQPScheme::AMQPS,
            own_ca: tls.ca.is_some(),
            shows_one: tls.client.is_some(),
            by_certificate: uri.query.auth_mechanism == Some(SASLMechanism::External),
        }
    }

    fn at(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why no connection came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// Nothing listens on the port.
    Refused,
    /// The name leads nowhere.
    UnknownHost(String),
    /// The network says no in another way.
    Network(String),
    /// Nobody answers.
    Silent(Duration),
    /// User or password is wrong.
    Credentials,
    /// There is no such virtual host.
    NoVhost,
    /// The user may not enter the virtual host.
    NotForUser,
    /// TLS is spoken there, and `amqp://` is written.
    SpeaksTls,
    /// TLS is not spoken there, and `amqps://` is written.
    SpeaksPlain,
    /// The certificate is not trusted.
    Certificate(String),
    /// The certificate that is shown, or none, is not taken.
    OwnCertificate(String),
    /// Something else than RabbitMQ.
    NoAmqp(String),
    /// The connection was ended without a word.
    Hung,
    /// Anything else, in the client's words.
    Other(String),
}

/// The broker cannot be reached, or lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    door: Door,
    why: Closed,
}

impl Unreachable {
    pub(super) fn silent(door: Door, limit: Duration) -> Self {
        Self { door, why: Closed::Silent(limit) }
    }

    /// What a failed connection is about; looks at the port where the error does not tell.
    pub(super) async fn of(door: Door, error: &lapin::Error) -> Self {
        let why = match told_by(error) {
            Some(why) => why,
            None => match what_speaks(&door.host, door.port).await {
                Some(speech) => judge(&speech, door.tls, error),
                None => Closed::Other(error.to_string()),
            },
        };
        Self { door, why }
    }

    /// Whether somebody has to change something first, so that a command need not wait. A worker waits all the same: a
    /// user or virtual host may be made at any moment.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self.why {
            Closed::UnknownHost(_)
            | Closed::Credentials
            | Closed::NoVhost
            | Closed::NotForUser
            | Closed::SpeaksTls
            | Closed::SpeaksPlain
            | Closed::Certificate(_)
            | Closed::OwnCertificate(_)
            | Closed::NoAmqp(_) => true,
            Closed::Refused | Closed::Network(_) | Closed::Silent(_) | Closed::Hung | Closed::Other(_) => {
                false
            }
        }
    }

    /// Whether nobody answers, so that a command which asks once more waits in vain.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        !matches!(self.why, Closed::Silent(_))
    }

    /// What a user that is known by a certificate has to do; none where that is the same as for others.
    fn for_a_certificate(&self) -> Option<String> {
        let (at, vhost) = (self.door.at(), for_a_shell(&self.door.vhost));
        match self.why {
            _ if !self.door.by_certificate => None,
            Closed::Credentials => Some(format!(
                "RabbitMQ at {at} knows no user by the certificate in broker.client_certificate \
                 (auth_mechanism=external in broker.url): add a user there that is called as ssl_cert_login_from takes \
                 it from the certificate"
            )),
            Closed::NotForUser => Some(format!(
                "RabbitMQ at {at} does not let the user that it knows by the certificate into virtual host {vhost}: run \
                 `rabbitmqctl set_permissions -p {vhost} USER '.*' '.*' '.*'` there with that user, or correct broker.url"
            )),
            _ => None,
        }
    }
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(said) = self.for_a_certificate() {
            return f.write_str(&said);
        }
        let (Door { host, user, vhost, .. }, at) = (&self.door, self.door.at());
        match &self.why {
            Closed::Refused => write!(
                f,
                "the broker cannot be reached: nothing listens at {at} (connection refused); start RabbitMQ there, or \
                 check broker.url (host and port)"
            ),
            Closed::UnknownHost(said) => write!(
                f,
                "the broker cannot be reached: there is no host `{host}` ({said}); correct the host in broker.url, or \
                 the name resolution of this machine"
            ),
            Closed::Network(said) => write!(
                f,
                "the broker cannot be reached: no connection to {at} ({said}); check the network between here and \
                 there, and host and port in broker.url"
            ),
            Closed::Silent(limit) => write!(
                f,
                "the broker cannot be reached: {at} did not answer within {}; check that a firewall lets it through, \
                 that RabbitMQ there is well (`rabbitmq-diagnostics check_running`), and host and port in broker.url",
                seconds(*limit)
            ),
            Closed::Credentials => write!(
                f,
                "RabbitMQ at {at} refuses user `{user}` or its password: correct broker.url (special characters of a \
                 password are written as %XX), or run `rabbitmqctl change_password {}` there{}",
                for_a_shell(user),
                if user == "guest" {
                    "; `guest` may log in from the broker's own machine only, others need a user of their own \
                     (`rabbitmqctl add_user NAME`)"
                } else {
                    ""
                }
            ),
            Closed::NoVhost => write!(
                f,
                "RabbitMQ at {at} has no virtual host `{vhost}`: run `rabbitmqctl add_vhost {name}` and `rabbitmqctl \
                 set_permissions -p {name} {} '.*' '.*' '.*'` there, or correct the end of broker.url (/%2f is the \
                 default one)",
                for_a_shell(user),
                name = for_a_shell(vhost)
            ),
            Closed::NotForUser => write!(
                f,
                "RabbitMQ at {at} does not let user `{user}` into virtual host `{vhost}`: run `rabbitmqctl \
                 set_permissions -p {} {} '.*' '.*' '.*'` there, or correct broker.url",
                for_a_shell(vhost),
                for_a_shell(user)
            ),
            Closed::SpeaksTls => {
                write!(
                    f,
                    "{at} speaks TLS, and broker.url says amqp://: write amqps://, or the port without TLS (5672)"
                )
            }
            Closed::SpeaksPlain => write!(
                f,
                "RabbitMQ at {at} speaks no TLS on this port, and broker.url says amqps://: write amqp://, or the port \
                 with TLS (5671)"
            ),
            Closed::Certificate(said) => write!(
                f,
                "the certificate of {at} is not trusted ({said}): write the host in broker.url as the certificate has \
                 it, and {}",
                if self.door.own_ca {
                    "name the file of its issuer as broker.ca_file, which is the only one that is trusted there"
                } else {
                    "name the file of its issuer as broker.ca_file, or add that to this machine's trusted certificates \
                     (or SSL_CERT_FILE)"
                }
            ),
            Closed::OwnCertificate(said) if self.door.shows_one => write!(
                f,
                "RabbitMQ at {at} does not take the certificate in broker.client_certificate ({said}): show one that is \
                 signed by an authority that RabbitMQ trusts (ssl_options.cacertfile there) and that has not expired"
            ),
            Closed::OwnCertificate(said) => write!(
                f,
                "RabbitMQ at {at} wants to see a certificate ({said}): name one, and its key, as \
                 broker.client_certificate and broker.client_key"
            ),
            Closed::NoAmqp(said) => write!(
                f,
                "{at} is no RabbitMQ ({said}): write its AMQP port in broker.url, 5672 or with amqps:// 5671 (15672 is \
                 its web page)"
            ),
            Closed::Hung => write!(
                f,
                "{at} ends the connection without a word: check that broker.url names RabbitMQ's AMQP port (5672, or \
                 with amqps:// 5671), and its log there; it may be starting, or out of memory or disk"
            ),
            Closed::Other(said) => write!(
                f,
                "the connection to the broker at {at} failed ({said}); check broker.url, and RabbitMQ's log there"
            ),
        }
    }
}

impl std::error::Error for Unreachable {}

/// What the error itself tells.
fn told_by(error: &lapin::Error) -> Option<Closed> {
    if let Some(code) = reply_code(error) {
        return Some(by_broker(code, &error.to_string()));
    }
    let lapin::ErrorKind::IOError(io) = error.kind() else { return None };
    by_network(io)
}

fn by_broker(code: u16, said: &str) -> Closed {
    match code {
        ACCESS_REFUSED => Closed::Credentials,
        NOT_ALLOWED if said.contains("not found") => Closed::NoVhost,
        // Full, or going down: not for a person to grant.
        NOT_ALLOWED if said.contains("limit") || said.contains("is down") => Closed::Other(said.to_owned()),
        NOT_ALLOWED => Closed::NotForUser,
        _ => Closed::Other(said.to_owned()),
    }
}

fn by_network(io: &std::io::Error) -> Option<Closed> {
    use std::io::ErrorKind as Kind;
    let said = io.to_string();
    if let Some(tls) = tls_error(io) {
        // Of a port without TLS: what speaks there is to be found out.
        return (!matches!(tls, rustls::Error::InvalidMessage(_))).then(|| match tls {
            rustls::Error::InvalidCertificate(why) => Closed::Certificate(certificate(why)),
            rustls::Error::AlertReceived(alert) if is_about_ours(*alert) => {
                Closed::OwnCertificate(format!("{alert:?}"))
            }
            _ => Closed::Other(said),
        });
    }
    match io.kind() {
        Kind::ConnectionRefused => Some(Closed::Refused),
        Kind::TimedOut
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable => Some(Closed::Network(said)),
        _ if is_unknown_host(&said) => Some(Closed::UnknownHost(short(&said))),
        _ if said.contains("lookup address") => Some(Closed::Network(short(&said))),
        _ => None,
    }
}

/// What a server says that has looked at the certificate of its client, or at none.
fn is_about_ours(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

/// The last part of a message.
fn short(said: &str) -> String {
    said.rsplit(": ").next().unwrap_or(said).to_owned()
}

/// What a port says to the greeting of AMQP.
#[derive(Debug, PartialEq, Eq)]
enum Speech {
    /// These bytes.
    Said(Vec<u8>),
    /// It hung up.
    HungUp,
    /// Nothing.
    Nothing,
}

/// Greets a port in AMQP, without TLS; none where there is no connection at all.
async fn what_speaks(host: &str, port: u16) -> Option<Speech> {
    let connected = tokio::time::timeout(LOOK, TcpStream::connect((host, port))).await;
    let mut stream = connected.ok()?.ok()?;
    let mut said = vec![0; 64];
    let exchange = async {
        stream.write_all(GREETING).await?;
        stream.read(&mut said).await
    };
    Some(match tokio::time::timeout(LOOK, exchange).await {
        Err(_) => Speech::Nothing,
        Ok(Ok(0) | Err(_)) => Speech::HungUp,
        Ok(Ok(read)) => {
            said.truncate(read);
            Speech::Said(said)
        }
    })
}

fn judge(speech: &Speech, tls: bool, error: &lapin::Error) -> Closed {
    match speech {
        Speech::Nothing => Closed::NoAmqp("it does not answer a greeting of AMQP".to_owned()),
        Speech::HungUp => Closed::Hung,
        Speech::Said(said) => match said.as_slice() {
            // A frame of the broker's first method.
            [1, ..] if tls => Closed::SpeaksPlain,
            [1, ..] => Closed::Other(error.to_string()),
            [b'A', b'M', b'Q', b'P', ..] => {
                Closed::NoAmqp("it speaks another version of AMQP than 0.9.1".to_owned())
            }
            // A record of TLS: an alert, or a greeting.
            [0x15 | 0x16, 3, ..] if tls => Closed::Other(error.to_string()),
            [0x15 | 0x16, 3, ..] => Closed::SpeaksTls,
            [b'H', b'T', b'T', b'P', ..] => Closed::NoAmqp("it answers like a web server".to_owned()),
            _ => Closed::NoAmqp("it answers in another language than AMQP".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests;
