//! Who may ask a worker how it is: only whoever asks for it by a name of its own.
//!
//! A web page can make the browser of whoever looks at it ask for `http://its-own-name/status`, and let that name lead to
//! this machine. So a name in `Host` has to be one of loopback, or one that was configured. An address is no name, and leads
//! nowhere else: whoever asks for that, such as the probe of a pod, is answered.

use std::net::{IpAddr, Ipv6Addr};

use amfj_sync_config::ServeConfig;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The names that a worker answers to.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn of(config: Option<&ServeConfig>) -> Self {
        let own = config.map(|config| config.hosts.iter().map(|host| host.trim().to_lowercase()).collect());
        Self(own.unwrap_or_default())
    }

    /// Whether a `Host` header, or what a request has instead, names this worker.
    fn admits(&self, host: &str) -> bool {
        let name = without_port(host).trim_end_matches('.').to_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let is_address = address.parse::<IpAddr>().is_ok() || address.parse::<Ipv6Addr>().is_ok();
        is_address || name == "localhost" || name.ends_with(".localhost") || self.0.contains(&name)
    }
}

/// `name:9464`, `[::1]:9464` and both without a port.
fn without_port(host: &str) -> &str {
    if let Some(end) = host.rfind(']') {
        return &host[..=end];
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Answers nobody who asks for another name. Whoever names none, such as a probe of HTTP/1.0, is no browser.
pub(super) async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?").to_owned());
    let named = named.or_else(|| request.uri().authority().map(ToString::to_string));
    match named {
        Some(host) if !hosts.admits(&host) => {
            let why = "this worker is not known by that name; add it to `hosts` beside `listen` in its configuration\n";
            (StatusCode::MISDIRECTED_REQUEST, why).into_response()
        }
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_worker_are_answered() {
        let config = ServeConfig { hosts: vec![" Writer.Example.com".to_owned()], expose: false };
        let hosts = Hosts::of(Some(&config));
        for host in [
            "127.0.0.1:9464",
            "10.1.2.3",
            "[::1]:9464",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:80",
            "me.localhost:1",
            "writer.example.com:9464",
            "writer.example.com.",
        ] {
            assert!(hosts.admits(host), "{host}");
        }
        for host in [
            "",
            "?",
            "evil.example",
            "evil.example:9464",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "writer.example.com.evil.example",
            "[evil]:1",
            "127.0.0.1@evil.example",
        ] {
            assert!(!hosts.admits(host), "{host}");
        }
    }
}
