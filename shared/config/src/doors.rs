//! What others could read or reach, unless a person said that they may.

use super::Config;

/// Says so, one sentence each: once, when a worker starts.
#[must_use]
pub fn open_doors(role: &str, config: &Config) -> Vec<String> {
    let broker = &config.broker;
    let is_far = !broker.url.is_loopback();
    let mut open = Vec::new();
    if !broker.url.is_encrypted() && is_far && !broker.allow_plain_text {
        open.push(
            "broker.url says amqp:// and leads to another machine: whoever is in between reads passwords and people, and may \
             write to AMFJ; write amqps:// (docs/security.md), or set broker.allow_plain_text = true if that network is yours"
                .to_owned(),
        );
    }
    if let Some((listen, serve)) = config.serving(role)
        && !listen.ip().is_loopback()
        && !serve.expose
    {
        open.push(format!(
            "{role}.listen = \"{listen}\" answers other machines, without TLS, about integrations, errors and workers; listen \
             on 127.0.0.1, or set {role}.expose = true if only your probes and Prometheus get there"
        ));
    }
    let events = config.fetcher.events_listen.filter(|_| role == "fetcher");
    if let Some(listen) = events
        && !listen.ip().is_loopback()
        && !config.fetcher.serve.expose
    {
        open.push(format!(
            "fetcher.events_listen = \"{listen}\" takes AMFJ's events from other machines without TLS: whoever is in between \
             reads the key in their address; put a proxy with TLS in front (docs/events.md), or set fetcher.expose = true if \
             that network is yours"
        ));
    }
    open
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::fixture::INTEGRATION;
    use crate::{Tokens, parse};

    fn open(broker: &str, writer: &str) -> String {
        let text = format!("[broker]\n{broker}\n[writer]\n{writer}\n{INTEGRATION}");
        let loaded = parse(Path::new("amfj-sync.toml"), text, &BTreeMap::new(), Tokens::None).unwrap();
        open_doors("writer", &loaded.config).join("\n")
    }

    #[test]
    fn what_is_open_is_told_unless_a_person_meant_it() {
        let far = "amqp://u:hunter2@mq.example.com/";
        for url in [
            "amqp://u:p@127.0.0.1/",
            "amqp://u:p@[::1]/",
            "amqp://u:p@localhost/",
            "amqps://u:p@mq.example.com/",
        ] {
            assert_eq!(open(&format!("url = \"{url}\""), ""), "", "{url}");
        }
        for url in [far, "amqp://u:p@10.0.0.1/", "amqp://u:p@localhost.example.com/"] {
            let said = open(&format!("url = \"{url}\""), "");
            assert!(said.contains("allow_plain_text") && !said.contains("hunter2"), "{url}: {said}");
        }
        assert_eq!(open(&format!("url = \"{far}\"\nallow_plain_text = true"), ""), "");
        for listen in ["0.0.0.0:9466", "[::]:9466", "10.0.0.1:9466"] {
            let said = open("", &format!("listen = \"{listen}\""));
            assert!(said.contains(listen) && said.contains("writer.expose"), "{listen}: {said}");
            assert_eq!(open("", &format!("listen = \"{listen}\"\nexpose = true")), "", "{listen}");
        }
        assert_eq!(open("", "listen = \"[::1]:9466\""), "");
        let events = |fetcher: &str| {
            let text = format!("[fetcher]\nevents_listen = {fetcher}\n{INTEGRATION}");
            let loaded = parse(Path::new("amfj-sync.toml"), text, &BTreeMap::new(), Tokens::None).unwrap();
            ["fetcher", "writer"].map(|role| open_doors(role, &loaded.config).join("\n"))
        };
        let [fetcher, writer] = events("\"0.0.0.0:9467\"");
        assert!(fetcher.contains("events_listen") && writer.is_empty(), "{fetcher} / {writer}");
        assert_eq!(events("\"127.0.0.1:9467\""), ["", ""]);
        assert_eq!(events("\"0.0.0.0:9467\"\nexpose = true"), ["", ""]);
    }
}
