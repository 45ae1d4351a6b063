//! How a call proves who sends it: headers, query parameters, HTTP basic, or an access token that is fetched first.

use std::sync::Arc;

use amfj_sync_config::Token;
use base64::Engine as _;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::oauth::OAuth;

/// A text with the token or the client's id in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Token,
    ClientId,
}

impl Pattern {
    /// Reads a text with `{{ token }}` and `{{ client_id }}` in it, and nothing else of a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, behind) = after.split_once("}}").ok_or("has {{ without }}")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name.trim() {
                "token" => Part::Token,
                "client_id" => Part::ClientId,
                other => {
                    return Err(format!(
                        "names something unknown: \"{other}\"; known are token and client_id"
                    ));
                }
            });
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether the token stands in it.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.0.contains(&Part::Token)
    }

    /// Whether the client's id stands in it.
    #[must_use]
    pub fn has_client_id(&self) -> bool {
        self.0.contains(&Part::ClientId)
    }

    fn fill(&self, token: &SecretString, client_id: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Token => token.expose_secret(),
            Part::ClientId => client_id,
        });
        parts.collect::<String>().trim().to_owned()
    }
}

/// Where the token stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Headers.
    pub headers: Vec<(String, Pattern)>,
    /// Query parameters.
    pub query: Vec<(String, Pattern)>,
    /// User and password of HTTP basic.
    pub basic: Option<(Pattern, Pattern)>,
}

/// How a call proves who sends it. Clones share the token.
#[derive(Clone, Debug)]
pub struct Credentials {
    shown: Shown,
    client_id: String,
    token: Token,
    oauth: Option<Arc<OAuth>>,
}

/// What one call carries.
pub(super) struct Proof {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) query: Vec<(String, String)>,
}

impl Credentials {
    /// `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(token: impl Into<Token>) -> Self {
        let pattern = Pattern(vec![Part::Text("Bearer ".to_owned()), Part::Token]);
        let headers = vec![("Authorization".to_owned(), pattern)];
        Self::new(Shown { headers, ..Shown::default() }, token)
    }

    /// The token where a service wants it.
    #[must_use]
    pub fn new(shown: Shown, token: impl Into<Token>) -> Self {
        Self { shown, client_id: String::new(), token: token.into(), oauth: None }
    }

    /// With the id that the service gave to this program.
    #[must_use]
    pub fn of_client(self, client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), ..self }
    }

    /// With an access token in the place of the token, which is the secret that it is fetched with.
    #[must_use]
    pub fn through(self, oauth: OAuth) -> Self {
        Self { oauth: Some(Arc::new(oauth)), ..self }
    }

    /// The token of the configuration.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    pub(super) fn oauth(&self) -> Option<&OAuth> {
        self.oauth.as_deref()
    }

    /// The names of the query parameters that it is shown in.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.shown.query.iter().map(|(name, _)| name.as_str())
    }

    /// Whether another token can be had than the one that was refused (P35).
    pub(super) async fn is_replaced(&self, used: &SecretString) -> bool {
        match &self.oauth {
            Some(oauth) => {
                oauth.forget(used).await;
                true
            }
            None => self.token.is_replaced(used),
        }
    }

    /// What a call carries with this token; the error is a sentence without it.
    pub(super) fn proof(&self, token: &SecretString) -> Result<Proof, String> {
        let mut headers = Vec::with_capacity(self.shown.headers.len() + 1);
        for (name, pattern) in &self.shown.headers {
            let name: HeaderName =
                name.parse().map_err(|_| "the name of the header for the token is none".to_owned())?;
            headers.push((name, header(&pattern.fill(token, &self.client_id))?));
        }
        if let Some((user, password)) = &self.shown.basic {
            let pair =
                format!("{}:{}", user.fill(token, &self.client_id), password.fill(token, &self.client_id));
            headers.push((AUTHORIZATION, basic(&pair)?));
        }
        let query = &self.shown.query;
        let query = query.iter().map(|(name, pattern)| (name.clone(), pattern.fill(token, &self.client_id)));
        Ok(Proof { headers, query: query.collect() })
    }
}

fn header(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "the token has characters that no HTTP header can carry; copy it again".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `user:password` as HTTP basic has it.
pub(super) fn basic(pair: &str) -> Result<HeaderValue, String> {
    header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(String, String)>;

    fn proof(shown: Shown) -> (Pairs, Pairs) {
        let credentials = Credentials::new(shown, SecretString::from("t0ken")).of_client("c1");
        let Proof { headers, query } = credentials.proof(&SecretString::from("t0ken")).unwrap();
        let text = |(name, value): (HeaderName, HeaderValue)| {
            assert!(value.is_sensitive());
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        (headers.into_iter().map(text).collect(), query)
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn the_token_stands_where_it_is_said_to() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            ("X-Api-Key".to_owned(), pattern("{{ token }}")),
            ("X-Client".to_owned(), pattern("id={{client_id}};v=1")),
        ];
        let (headers, _) = proof(Shown { headers, ..Shown::default() });
        assert_eq!(headers, [pair("x-api-key", "t0ken"), pair("x-client", "id=c1;v=1")]);
        let query = vec![("key".to_owned(), pattern("{{ token }}"))];
        assert_eq!(proof(Shown { query, ..Shown::default() }), (vec![], vec![pair("key", "t0ken")]));
        let basic = Some((pattern("{{ client_id }}"), pattern("{{ token }}")));
        let (headers, _) = proof(Shown { basic, ..Shown::default() });
        assert_eq!(headers, [pair("authorization", "Basic YzE6dDBrZW4=")]);
    }

    #[test]
    fn a_pattern_knows_two_names() {
        assert!(pattern("Bearer {{ token }}").has_token() && !pattern("x").has_token());
        assert!(Pattern::parse("{{ secret }}").unwrap_err().contains("\"secret\""));
        assert!(Pattern::parse("{{ token").unwrap_err().contains("without"));
    }
}
