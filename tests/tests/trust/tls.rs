//! TLS to the broker with an authority of one's own: what is right works, and what is wrong is one line with its cure.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_tests::harness::{
    ConfigBuilder, IntegrationBuilder, Launch, PrivateBroker, Scratch, eventually, ports,
};
use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_mins(1);

/// Certificates of two authorities, made once with `openssl`; their own keys were thrown away.
const FILES: [(&str, &str); 10] = [
    ("own-ca.pem", include_str!("certificates/own-ca.pem")),
    ("other-ca.pem", include_str!("certificates/other-ca.pem")),
    ("server.pem", include_str!("certificates/server.pem")),
    ("server.key", include_str!("certificates/server.key")),
    ("client.pem", include_str!("certificates/client.pem")),
    ("client.key", include_str!("certificates/client.key")),
    ("expired.pem", include_str!("certificates/expired.pem")),
    ("expired.key", include_str!("certificates/expired.key")),
    ("stranger.pem", include_str!("certificates/stranger.pem")),
    ("stranger.key", include_str!("certificates/stranger.key")),
];

/// Lays the files down, as only their owner can read them.
fn lay_down(folder: &Path) -> Result<()> {
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Speaks TLS with this certificate, and nothing else.
fn server(certificate: &Path, key: &Path) -> Result<u16> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if let Ok(mut session) = rustls::ServerConnection::new(config.clone()) {
                // It fails with whoever does not trust it.
                let _ = session.complete_io(&mut stream);
            }
        }
    });
    Ok(port)
}

fn configured(url: &str, files: &[(&str, &Path)]) -> ConfigBuilder {
    let nowhere =
        IntegrationBuilder::new("acme", "http://127.0.0.1:1", "http://127.0.0.1:1").tokens("k", "a");
    let config = ConfigBuilder::new(url, "amfj-sync-tls").integration(nowhere);
    files
        .iter()
        .fold(config, |config, (key, file)| config.set(&format!("broker.{key}"), file.display().to_string()))
}

/// Starts it again, and waits until its TLS port is open too: RabbitMQ opens that one last.
async fn restart_and_listen(broker: &mut PrivateBroker, port: u16) -> Result<()> {
    broker.restart().await?;
    eventually(LIMIT, "the port for TLS", async || {
        TcpStream::connect(("127.0.0.1", port)).await.with_context(|| broker.log_tail())?;
        Ok(())
    })
    .await
}

/// What a command says about the broker: one line, unless it is let in.
async fn said(config: ConfigBuilder) -> Result<(Option<i32>, String)> {
    let scratch = Scratch::new()?;
    let written = config.write(&scratch)?;
    let done = Launch::command(&written, ["dead", "list"]).finish(LIMIT).await?;
    Ok((done.status.code(), format!("{}{}", done.stdout, done.stderr)))
}

async fn ensure_says(config: ConfigBuilder, words: &[&str]) -> Result<()> {
    let (code, said) = said(config).await?;
    ensure!(code == Some(1) && said.trim().lines().count() == 1, "{code:?}: {said}");
    words.iter().try_for_each(|word| {
        ensure!(said.contains(word), "{word:?} is missing in: {said}");
        Ok(())
    })
}

#[tokio::test]
async fn an_authority_of_its_own_is_trusted_and_no_other() -> Result<()> {
    let scratch = Scratch::new()?;
    let folder = scratch.path();
    lay_down(folder)?;
    let file = |name: &str| folder.join(name);
    let port = *ports::free_ports(1)?.first().context("no port")?;

    let mut broker = PrivateBroker::start().await?;
    let quoted = |path: &Path| path.display().to_string();
    fs::write(
        broker.folder().join("conf.d").join("tls.conf"),
        format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            quoted(&file("own-ca.pem")),
            quoted(&file("server.pem")),
            quoted(&file("server.key"))
        ),
    )?;
    restart_and_listen(&mut broker, port).await?;
    let user = broker.url();
    let user = user.trim_start_matches("amqp://").split('@').next().context("no user")?.to_owned();
    let at = |host: &str, port: u16| format!("amqps://{user}@{host}:{port}/%2f");
    let (ca, certificate, key) = (file("own-ca.pem"), file("client.pem"), file("client.key"));
    let mine = [("client_certificate", certificate.as_path()), ("client_key", key.as_path())];
    let with = |host: &str, ca: &Path| configured(&at(host, port), &[&[("ca_file", ca)][..], &mine].concat());

    let (code, there) = said(with("localhost", &ca)).await?;
    ensure!(code == Some(0) && there.contains("no dead letters"), "{there}");
    ensure_says(with("127.0.0.1", &ca), &["it is for another host", "write the host in broker.url"]).await?;
    ensure_says(
        with("localhost", &file("other-ca.pem")),
        &["nobody here knows its issuer", "broker.ca_file"],
    )
    .await?;
    let without = configured(&at("localhost", port), &[("ca_file", &ca)]);
    ensure_says(without, &["wants to see a certificate", "broker.client_certificate and broker.client_key"])
        .await?;
    let (certificate, key) = (file("stranger.pem"), file("stranger.key"));
    let strange = [("client_certificate", certificate.as_path()), ("client_key", key.as_path())];
    let strange = configured(&at("localhost", port), &[&[("ca_file", ca.as_path())][..], &strange].concat());
    ensure_says(strange, &["does not take the certificate in broker.client_certificate"]).await?;
    let expired = server(&file("expired.pem"), &file("expired.key"))?;
    ensure_says(configured(&at("localhost", expired), &[("ca_file", &ca)]), &["it has expired"]).await?;
    Ok(())
}

/// A user that RabbitMQ knows by the certificate that is shown (`auth_mechanism=external`), with the plugin that comes with it.
#[tokio::test]
async fn a_user_may_be_known_by_its_certificate() -> Result<()> {
    let scratch = Scratch::new()?;
    let folder = scratch.path();
    lay_down(folder)?;
    let file = |name: &str| folder.join(name);
    let port = *ports::free_ports(1)?.first().context("no port")?;
    let mut broker = PrivateBroker::start().await?;
    let settings = |more: &str| {
        format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\n{more}",
            file("own-ca.pem").display(),
            file("server.pem").display(),
            file("server.key").display()
        )
    };
    let conf = broker.folder().join("conf.d").join("tls.conf");
    fs::write(&conf, settings(""))?;
    restart_and_listen(&mut broker, port).await?;
    let (ca, certificate, key) = (file("own-ca.pem"), file("client.pem"), file("client.key"));
    let (ca, mine) =
        (("ca_file", ca.as_path()), [("client_certificate", &certificate), ("client_key", &key)]);
    let mine = mine.map(|(name, path)| (name, path.as_path()));
    let at = format!("amqps://localhost:{port}/%2f?auth_mechanism=external");
    // RabbitMQ lets somebody with an unknown mechanism wait for three seconds.
    let with_mine = || configured(&at, &[&[ca][..], &mine].concat()).set("timing.connect_timeout", "20s");
    // Without the plugin RabbitMQ ends the connection, and says why in its log alone.
    let (code, without) = said(with_mine()).await?;
    ensure!(code == Some(1) && without.contains("RabbitMQ's log there"), "{code:?}: {without}");

    fs::write(broker.folder().join("enabled_plugins"), "[rabbitmq_auth_mechanism_ssl].\n")?;
    let mechanisms =
        "auth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN\nssl_cert_login_from = common_name\n";
    fs::write(&conf, settings(mechanisms))?;
    restart_and_listen(&mut broker, port).await?;
    ensure_says(with_mine(), &["knows no user by the certificate", "ssl_cert_login_from"]).await?;
    broker.ctl(&["add_user", "client", "not used"]).await?;
    broker.ctl(&["clear_password", "client"]).await?;
    ensure_says(with_mine(), &["does not let the user that it knows by the certificate", "set_permissions"])
        .await?;
    broker.ctl(&["set_permissions", "client", ".*", ".*", ".*"]).await?;
    let (code, there) = said(with_mine()).await?;
    ensure!(code == Some(0) && there.contains("no dead letters"), "{there}");
    // Without a certificate nobody can be known by one.
    let (code, told) = said(configured(&at, &[ca])).await?;
    ensure!(code == Some(2) && told.contains("none is shown"), "{code:?}: {told}");
    Ok(())
}
