//! What is asked once both services answer, and what is said beforehand, in the order of the set-up guide.

use std::collections::BTreeMap;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::Catalogue;
use amfj_sync_security::screen::{sanitize, say};
use amfj_sync_service::worker::Exit;
use url::Url;

use super::args::{CREATE_DEVICES, InitArgs, YesOrNo};
use super::asking::Asker;
use super::choices::Names;
use super::document::Settings;
use super::mapping::{self, Fleet, dialogue};

/// Words in the names of asset types that Apple devices often have, the likeliest first.
const LIKELY_TYPES: [&str; 7] = ["laptop", "macbook", "mac", "notebook", "computer", "hardware", "device"];

/// What is typed for no location.
const NONE: &str = "none";

/// How a token is made that may read what is needed, and no more.
pub(crate) fn explain_kandji(asker: &Asker) {
    asker.explain("A token is made in Kandji (now Iru) in six steps:");
    let steps = [
        "Open Settings, then Access.",
        "Below API Token, press Add Token.",
        "Give it a name, such as amfj-sync, and press Create.",
        "Copy the token: it is shown this once. Then press Next.",
        "Press Configure, and allow exactly two things below Devices: Device list and Device details.",
        "Press Save. The API URL of your tenant stands on the same page.",
    ];
    for (at, step) in steps.iter().enumerate().filter(|_| asker.asks()) {
        say(&format!("    {}. {}", at + 1, asker.screen().sentence(7, step)));
    }
}

/// What the token of AMFJ has to allow.
pub(crate) fn explain_amfj(asker: &Asker) {
    asker.explain("Its token has to read and write assets and user records. Until mode is \"apply\", it is used to read alone.");
}

/// The name of a tenant is a good one for its integration.
pub(crate) fn id_for(kandji_url: &str) -> String {
    let url = Url::parse(kandji_url).ok();
    let domain = url.as_ref().and_then(Url::domain).filter(|domain| domain.contains('.'));
    let label =
        domain.and_then(|domain| domain.split('.').next()).filter(|label| IntegrationId::is_one(label));
    label.unwrap_or("main").to_owned()
}

/// Default Asset Type, Default Location, auto-checkout, device creation.
pub(crate) async fn ask(
    asker: &Asker,
    given: &InitArgs,
    catalogue: &Catalogue,
    settings: &mut Settings,
) -> Result<(), Exit> {
    asker.heading("Default Asset Type");
    asker
        .explain("The type of assets that are created. The type of an asset that is there is never changed.");
    let types = Names::new("asset type", catalogue.asset_types.iter().map(|one| one.name.as_str()));
    settings.default_asset_type = Some(asset_type(asker, given, &types, settings).await?);

    asker.heading("Default Location");
    let locations = Names::new("location", catalogue.locations.iter().map(|one| one.name.as_str()));
    settings.default_location = location(asker, given, &locations, settings).await?;

    asker.heading("Auto-checkout");
    asker.explain(
        "Assets are checked out to the primary users of their devices, and follow when those change. A first sync checks them \
         in first where somebody else has them.",
    );
    let before = settings.auto_checkout.unwrap_or_default();
    settings.auto_checkout = Some(match given.auto_checkout {
        Some(answer) => answer == YesOrNo::Yes,
        None if asker.asks() => asker.yes("Check assets out automatically?", before).await?,
        None => before,
    });

    asker.heading("Device creation");
    asker.explain(
        "Whether a device that no asset has the name of gets a new one: never; first-sync: only in the first sync; always: \
         later as well.",
    );
    let before = settings.create_devices.clone().unwrap_or_else(|| "never".to_owned());
    settings.create_devices = Some(match &given.create_devices {
        Some(answer) => answer.clone(),
        None if asker.asks() => asker.line("Create assets", Some(&before), creation).await?,
        None => before,
    });
    Ok(())
}

fn creation(typed: &str) -> Result<String, String> {
    let typed = typed.to_lowercase().replace(' ', "-");
    let meant = CREATE_DEVICES.into_iter().find(|word| word.starts_with(typed.as_str()));
    meant.map(str::to_owned).ok_or_else(|| format!("type one of {}", CREATE_DEVICES.join(", ")))
}

async fn asset_type(
    asker: &Asker,
    given: &InitArgs,
    types: &Names,
    settings: &Settings,
) -> Result<String, Exit> {
    if types.is_empty() {
        return Err(Exit::Failed(
            "AMFJ shows this token no asset type; make one there first, or check the token. Nothing was written".into(),
        ));
    }
    if let Some(given) = &given.default_asset_type {
        let meant =
            types.meant(given).map_err(|why| Exit::Configuration(format!("--default-asset-type: {why}")))?;
        types.warning(meant).into_iter().for_each(|warning| asker.tell(&warning));
        return Ok(meant.to_owned());
    }
    let before = settings.default_asset_type.as_deref().filter(|before| types.meant(before).is_ok());
    let proposed = before.or_else(|| types.only()).or_else(|| types.like(&LIKELY_TYPES));
    if !asker.asks() {
        let missing = || {
            Exit::Configuration(
                "nothing says which of the asset types is meant: --default-asset-type NAME".into(),
            )
        };
        let certain = before.or_else(|| types.only()).ok_or_else(missing)?;
        return Ok(certain.to_owned());
    }
    let chosen = types.choose(asker, "Default Asset Type", proposed, None).await?;
    chosen.ok_or_else(|| Exit::Failed("no asset type; nothing was written".into()))
}

async fn location(
    asker: &Asker,
    given: &InitArgs,
    locations: &Names,
    settings: &Settings,
) -> Result<Option<String>, Exit> {
    if given.no_default_location {
        return Ok(None);
    }
    if let Some(given) = &given.default_location {
        let meant = locations
            .meant(given)
            .map_err(|why| Exit::Configuration(format!("--default-location: {why}")))?;
        locations.warning(meant).into_iter().for_each(|warning| asker.tell(&warning));
        return Ok(Some(meant.to_owned()));
    }
    let before = settings.default_location.as_deref().filter(|before| locations.meant(before).is_ok());
    if !asker.asks() {
        return Ok(before.map(str::to_owned));
    }
    if locations.is_empty() {
        asker.tell("AMFJ has no locations, so none is set.");
        return Ok(None);
    }
    asker.explain("Where an asset is that gets linked and has no location. None leaves them without.");
    locations.choose(asker, "Default Location", before, Some(NONE)).await
}

/// Field mapping.
pub(crate) async fn map(
    asker: &Asker,
    given: &InitArgs,
    catalogue: &Catalogue,
    fleet: &Fleet,
    settings: &mut Settings,
) -> Result<(), Exit> {
    asker.heading("Field mapping");
    asker.explain(&format!(
        "Which fields of AMFJ are filled from Kandji and kept so. The values beside them are of {} here. A field that people \
         fill by hand is not to be mapped.",
        match fleet.len() { 0 => "no device".to_owned(), 1 => "the device".to_owned(), some => format!("{some} devices") }
    ));
    if given.no_map {
        settings.fields = Some(BTreeMap::new());
        return Ok(());
    }
    if !given.map.is_empty() {
        settings.fields = Some(of_options(given, catalogue, fleet)?);
        return Ok(());
    }
    let before = settings.fields.take();
    let default_type = settings.default_asset_type.clone().unwrap_or_default();
    let mut lines = mapping::fields(catalogue, &default_type);
    mapping::propose(&mut lines, before.as_ref(), fleet);
    // What is mapped and no field of a type, such as Name, is none of the questions, and stays.
    let is_asked_for = |name: &str| lines.iter().any(|line| line.field.name.trim() == name);
    let others: BTreeMap<String, String> =
        before.into_iter().flatten().filter(|(name, _)| !is_asked_for(name)).collect();
    let is_bare = lines.is_empty();
    if is_bare {
        asker.tell("The asset types of AMFJ have no fields that could be mapped.");
    }
    let mut fields = if is_bare { BTreeMap::new() } else { dialogue::decide(asker, lines, fleet).await? };
    if !others.is_empty() && asker.asks() && !fields.is_empty() {
        let names: Vec<String> = others.keys().map(|name| format!("\"{}\"", sanitize(name))).collect();
        let question = format!("{} is mapped too, and no field of an asset type. Keep it?", names.join(", "));
        if asker.letter(&question, &['y', 'n']).await? == 'n' {
            settings.fields = Some(fields);
            return Ok(());
        }
    }
    if !asker.asks() || !fields.is_empty() {
        fields.extend(others);
    }
    settings.fields = Some(fields);
    Ok(())
}

fn of_options(
    given: &InitArgs,
    catalogue: &Catalogue,
    fleet: &Fleet,
) -> Result<BTreeMap<String, String>, Exit> {
    let mut fields = BTreeMap::new();
    for (field, source) in &given.map {
        let wrong = |why: String| Exit::Configuration(format!("--map \"{}\": {why}", sanitize(field)));
        let is_known = field == "Name" || catalogue.asset_types.iter().any(|one| one.field(field).is_some());
        if !is_known {
            let names: Vec<&str> = catalogue
                .asset_types
                .iter()
                .flat_map(|one| &one.fields)
                .map(|one| one.name.as_str())
                .collect();
            let near = amfj_sync_config::reading::nearest(field, names);
            let hint = near.map(|near| format!("; did you mean \"{}\"?", sanitize(near))).unwrap_or_default();
            return Err(wrong(format!("no asset type has this field{hint}")));
        }
        dialogue::check(source, fleet).map_err(wrong)?;
        fields.insert(field.clone(), source.clone());
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_is_called_as_its_tenant() {
        for (url, id) in [
            ("https://acme.api.kandji.io", "acme"),
            ("https://acme-eu.api.eu.kandji.io", "acme-eu"),
            ("http://127.0.0.1:8080", "main"),
            ("http://localhost:1", "main"),
            ("http://[::1]:8080/kandji", "main"),
        ] {
            assert_eq!(id_for(url), id, "{url}");
        }
    }

    #[test]
    fn a_word_for_creation_may_be_short() {
        for (typed, word) in [("never", "never"), ("First sync", "first-sync"), ("a", "always")] {
            assert_eq!(creation(typed).as_deref(), Ok(word));
        }
        assert!(creation("sometimes").is_err());
    }
}
