//! Address and token of one service: from the options, from the file, or from a person.

use amfj_sync_config::{Secret, kandji_address, service_address, token_fault};
use amfj_sync_service::worker::Exit;

use super::args::InitArgs;
use super::asking::Asker;
use super::document::{Settings, TokenPlace};

/// A service that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Where devices come from.
    Kandji,
    /// Where assets are.
    Amfj,
}

/// How a service is reached.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) token: Secret,
    /// Where the token stands; none for one that was typed and is written beside the configuration.
    pub(crate) place: Option<TokenPlace>,
}

impl Service {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kandji => "Kandji",
            Self::Amfj => "AMFJ",
        }
    }

    /// The section of the configuration that is about it.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::Kandji => "kandji",
            Self::Amfj => "amfj",
        }
    }

    /// What most type, where it is known.
    fn usual_url(self) -> Option<&'static str> {
        match self {
            Self::Kandji => None,
            Self::Amfj => Some("https://api.assetmanagementforjira.com/v1"),
        }
    }

    /// Reads an address as people copy it. What follows the host of Kandji's own API is no part of it.
    fn read_url(self, text: &str) -> Result<String, String> {
        let sentence = |why: String| format!("this {why}");
        let mut url = match self {
            Self::Kandji => kandji_address(text).map_err(sentence)?,
            Self::Amfj => service_address(text).map_err(sentence)?,
        };
        let is_kandjis = |host: &str| host.ends_with(".kandji.io") || host.ends_with(".iru.com");
        if self == Self::Kandji && url.host_str().is_some_and(is_kandjis) {
            url.set_path("");
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }

    fn given_url(self, given: &InitArgs) -> Option<&str> {
        match self {
            Self::Kandji => given.kandji_url.as_deref(),
            Self::Amfj => given.amfj_url.as_deref(),
        }
    }

    fn given_token(self, given: &InitArgs) -> Result<Option<TokenPlace>, Exit> {
        let (env, file) = match self {
            Self::Kandji => (&given.kandji_token_env, &given.kandji_token_file),
            Self::Amfj => (&given.amfj_token_env, &given.amfj_token_file),
        };
        if let Some(name) = env {
            return Ok(Some(TokenPlace::Env(name.clone())));
        }
        let Some(file) = file else { return Ok(None) };
        // The workers may run in another folder.
        let whole = std::path::absolute(file).map_err(|error| Exit::Configuration(error.to_string()))?;
        Ok(Some(TokenPlace::File(whole)))
    }

    fn url_before(self, before: &Settings) -> Option<&str> {
        match self {
            Self::Kandji => before.kandji_url.as_deref(),
            Self::Amfj => before.amfj_url.as_deref(),
        }
    }

    fn token_before(self, before: &Settings) -> Option<&TokenPlace> {
        match self {
            Self::Kandji => before.kandji_token.as_ref(),
            Self::Amfj => before.amfj_token.as_ref(),
        }
    }

    /// The options that have to be given where nobody can be asked.
    pub(crate) fn missing(self, given: &InitArgs, before: &Settings) -> Result<Vec<String>, Exit> {
        let (section, mut missing) = (self.section(), Vec::new());
        if self.given_url(given).or(self.url_before(before)).is_none() {
            missing.push(format!("--{section}-url"));
        }
        if self.given_token(given)?.is_none() && self.token_before(before).is_none() {
            missing.push(format!("--{section}-token-file or --{section}-token-env"));
        }
        Ok(missing)
    }

    /// What the options and the file say, and what is asked for beyond that.
    pub(crate) async fn access(
        self,
        asker: &Asker,
        given: &InitArgs,
        before: &Settings,
    ) -> Result<Access, Exit> {
        let url = if let Some(url) = self.given_url(given) {
            let wrong = |why| Exit::Configuration(format!("--{}-url: {why}", self.section()));
            self.read_url(url).map_err(wrong)?
        } else {
            let default = self.url_before(before).filter(|url| !url.is_empty()).or(self.usual_url());
            self.url(asker, default).await?
        };
        if let Some(place) = self.given_token(given)? {
            let token = token_at(&place).map_err(Exit::Configuration)?;
            return Ok(Access { url, token, place: Some(place) });
        }
        self.token(asker, self.token_before(before)).await.map(|(token, place)| Access { url, token, place })
    }

    /// The same once more, after it did not work.
    pub(crate) async fn again(self, asker: &Asker, before: &Access) -> Result<Access, Exit> {
        let url = self.url(asker, Some(&before.url)).await?;
        let typed = asker.secret(&format!("{} API token", self.name()), true).await?;
        Ok(match typed {
            Some(token) => Access { url, token: Secret::new(token), place: None },
            None => Access { url, ..before.clone() },
        })
    }

    async fn url(self, asker: &Asker, default: Option<&str>) -> Result<String, Exit> {
        if !asker.asks() {
            let said = default.unwrap_or_default();
            return self.read_url(said).map_err(|why| Exit::Configuration(format!("{}: {why}", self.name())));
        }
        asker.line(&format!("{} API URL", self.name()), default, |typed| self.read_url(typed)).await
    }

    async fn token(
        self,
        asker: &Asker,
        before: Option<&TokenPlace>,
    ) -> Result<(Secret, Option<TokenPlace>), Exit> {
        let there = before.map(|place| (place, token_at(place)));
        if !asker.asks() {
            return match there {
                Some((place, Ok(token))) => Ok((token, Some(place.clone()))),
                Some((_, Err(why))) => Err(Exit::Configuration(why)),
                None => Err(Exit::Configuration(format!("the token of {} is missing", self.name()))),
            };
        }
        let there = match there {
            Some((place, Ok(token))) => Some((place, token)),
            Some((_, Err(why))) => {
                asker.tell(&why);
                None
            }
            None => None,
        };
        let typed = asker.secret(&format!("{} API token", self.name()), there.is_some()).await?;
        Ok(match (typed, there) {
            (Some(token), _) => (Secret::new(token), None),
            (None, Some((place, token))) => (token, Some(place.clone())),
            (None, None) => return Err(Exit::Failed("no token; nothing was written".into())),
        })
    }
}

/// The token that stands there.
fn token_at(place: &TokenPlace) -> Result<Secret, String> {
    let (what, text) = match place {
        TokenPlace::Env(name) => {
            let text = std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set; set it to the token"))?;
            (format!("the environment variable {name}"), text)
        }
        TokenPlace::File(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("the token file {shown} cannot be read: {error}"))?;
            (format!("the token file {shown}"), text)
        }
    };
    let token = text.trim();
    match token_fault(token) {
        None => Ok(Secret::new(token)),
        Some(fault) => Err(format!("{what} {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_copy_it() {
        for (text, read) in [
            (" acme.api.kandji.io/", "https://acme.api.kandji.io"),
            ("https://acme.api.eu.kandji.io/api/v1/devices", "https://acme.api.eu.kandji.io"),
            ("https://acme.api.kandji.io/api/v1/", "https://acme.api.kandji.io"),
            ("http://127.0.0.1:8080/kandji", "http://127.0.0.1:8080/kandji"),
        ] {
            assert_eq!(Service::Kandji.read_url(text).as_deref(), Ok(read), "{text}");
        }
        let refused = Service::Kandji.read_url("https://acme.kandji.io").unwrap_err();
        assert!(
            refused.starts_with("this is not the API") && refused.contains("acme.api.eu.kandji.io"),
            "{refused}"
        );
        assert_eq!(
            Service::Amfj.read_url("api.example.com/v1/").as_deref(),
            Ok("https://api.example.com/v1")
        );
    }
}
