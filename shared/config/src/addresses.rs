//! The addresses of both services, accepted the way people copy them.

use url::{Host, Url};

/// Reads `kandji.api_url`: with or without scheme, trailing slash and `/api/v1`; a console host is
/// refused with the host to use, because it answers every request with a web page.
pub fn kandji(text: &str) -> Result<Url, String> {
    let mut url = service(text)?;
    for ending in ["/v1", "/api"] {
        if let Some(shorter) = url.path().strip_suffix(ending).map(ToOwned::to_owned) {
            url.set_path(shorter.trim_end_matches('/'));
        }
    }
    if let Some(cure) = url.host_str().and_then(console_cure) {
        return Err(cure);
    }
    Ok(url)
}

/// Reads an address of a service: https, or http on this machine only; without a trailing slash.
pub fn service(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let mut url = Url::parse(&whole).map_err(|error| format!("is no address: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("must begin with https://; http:// would send the token in clear text, and is \
             accepted for this machine only"
                .to_owned());
        }
        other => return Err(format!("must begin with https://, not {other}://")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user or password; the token is set beside it".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end before '?' and '#'".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What to write instead, if this is a host of Kandji (now Iru) that is not its API.
fn console_cure(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.');
    let domain = ["kandji.io", "iru.com"].into_iter().find(|domain| {
        host == *domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    })?;
    let labels: Vec<&str> = host.strip_suffix(domain)?.trim_end_matches('.').split('.').collect();
    let tenant = match labels.as_slice() {
        [tenant, "api"] | [tenant, "api", "eu"] if !tenant.is_empty() => {
            return api_of_nobody(tenant, domain);
        }
        ["" | "www" | "web" | "api" | "eu", ..] | [] => "SUBDOMAIN",
        [tenant, ..] => tenant,
    };
    Some(format!(
        "is not the API: {host} is Kandji's web site; write \"https://{tenant}.api.{domain}\" (US) or \
         \"https://{tenant}.api.eu.{domain}\" (EU)"
    ))
}

/// A placeholder copied out of a guide.
fn api_of_nobody(tenant: &str, domain: &str) -> Option<String> {
    matches!(tenant, "subdomain" | "yoursubdomain" | "your-subdomain").then(|| {
        format!("still has the placeholder \"{tenant}\"; write your own, as in \"https://acme.api.{domain}\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kandji_addresses_are_taken_as_people_copy_them() {
        for text in [
            "https://acme.api.kandji.io",
            "acme.api.kandji.io",
            " https://acme.api.kandji.io/ ",
            "https://acme.api.kandji.io/api/v1",
            "https://ACME.api.kandji.io/api/v1/",
            "acme.api.kandji.io/api",
            "https://acme.api.kandji.io:443//",
        ] {
            assert_eq!(kandji(text).unwrap().as_str(), "https://acme.api.kandji.io/", "{text}");
        }
        for (text, read) in [
            ("acme.api.eu.kandji.io", "https://acme.api.eu.kandji.io/"),
            ("https://acme.api.iru.com", "https://acme.api.iru.com/"),
            ("https://acme.api.eu.iru.com/api/v1", "https://acme.api.eu.iru.com/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
            ("http://[::1]:8080/kandji/api/v1", "http://[::1]:8080/kandji"),
            ("http://localhost:1", "http://localhost:1/"),
            ("https://proxy.example.com/kandji", "https://proxy.example.com/kandji"),
            ("https://notkandji.io", "https://notkandji.io/"),
        ] {
            assert_eq!(kandji(text).unwrap().as_str(), read);
        }
    }

    #[test]
    fn console_hosts_are_refused_with_both_regions_of_the_api() {
        for (text, us) in [
            ("https://acme.kandji.io", "https://acme.api.kandji.io"),
            ("acme.iru.com", "https://acme.api.iru.com"),
            ("https://acme.eu.kandji.io/devices", "https://acme.api.kandji.io"),
            ("https://api.kandji.io/api/v1", "https://SUBDOMAIN.api.kandji.io"),
            ("https://www.kandji.io", "https://SUBDOMAIN.api.kandji.io"),
            ("https://kandji.io", "https://SUBDOMAIN.api.kandji.io"),
        ] {
            let cure = kandji(text).unwrap_err();
            assert!(cure.contains(us) && cure.contains(".api.eu."), "{text}: {cure}");
        }
        assert!(kandji("https://subdomain.api.kandji.io").unwrap_err().contains("placeholder"));
    }

    #[test]
    fn other_addresses_that_cannot_work_are_refused() {
        for (text, word) in [
            ("http://acme.api.kandji.io", "https://"),
            ("http://10.0.0.1/v1", "https://"),
            ("ftp://acme.example.com", "not ftp"),
            ("", "no address"),
            ("https://", "no address"),
            ("https://user:pw@acme.example.com", "user or password"),
            ("https://acme.example.com/v1?x=1", "'?'"),
        ] {
            let error = service(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert_eq!(service("https://api.example.com/v1/").unwrap().as_str(), "https://api.example.com/v1");
    }
}
