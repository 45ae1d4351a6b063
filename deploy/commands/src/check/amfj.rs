//! AMFJ: address, token, and every name that the configuration uses (P18).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_amfj::probe::{self, Verdict};
use amfj_sync_amfj::profile::Op;
use amfj_sync_backoff::{Policy, Stopped, retry};
use amfj_sync_config::catalogue::{maps_user_fields, problems};
use amfj_sync_config::{Integration, ProfileSource};
use amfj_sync_http::{CallError, Limiter};
use amfj_sync_model::amfj::{AssetType, FieldType, UserRecord};
use amfj_sync_model::messages::{Catalogue, Outcome};
use amfj_sync_model::names::{NameKey, email_key};
use amfj_sync_service::worker::Exit;
use tokio_util::sync::CancellationToken;

use super::Asking;
use super::people::Records;
use super::report::{Report, counted};

/// What to do where an error does not tell.
const CURE: &str =
    "check amfj.api_url; if AMFJ's interface is another one, describe it in a profile (docs/amfj-profile.md)";

/// A list that cannot be read, with the cure that fits.
fn failed(report: &mut Report, stopped: &Stopped<CallError>) {
    match stopped {
        Stopped::Failed(error) | Stopped::GaveUp { error, .. } => {
            report.failed(error.seen(), error.cure().unwrap_or_else(|| CURE.to_owned()));
        }
        Stopped::Cancelled => report.failed_with(format!("AMFJ: {stopped}"), None),
    }
}

/// What an AMFJ that answers showed, for the checks that need both services.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) client: AmfjClient,
    pub(crate) catalogue: Catalogue,
    pub(super) records: Records,
}

/// None where AMFJ does not answer, or not with what it takes; the report says so.
pub(super) async fn check(
    integration: &Integration,
    asking: &Asking,
    report: &mut Report,
) -> Result<Option<Seen>, Exit> {
    let seen = look(integration, asking, report).await?;
    if let Some(seen) = &seen {
        check_names(integration, &seen.catalogue, report);
    }
    Ok(seen)
}

/// The same, whatever names the configuration uses.
pub(crate) async fn look(
    integration: &Integration,
    asking: &Asking,
    report: &mut Report,
) -> Result<Option<Seen>, Exit> {
    let limiter = Limiter::new(f64::from(integration.amfj.requests_per_second));
    let client = AmfjClient::from_config(&integration.amfj, limiter)
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    let Asking { reads, stop, .. } = asking;
    let listed = retry(&asking.first, stop, || client.asset_types());
    let asset_types = match asking.first(client.api(), listed).await {
        Ok(Ok(page)) => page.results,
        Ok(Err(stopped)) => {
            failed(report, &stopped);
            return Ok(None);
        }
        Err((said, cure)) => {
            report.failed_with(format!("AMFJ: {said}"), cure);
            return Ok(None);
        }
    };
    let catalogue = match read_catalogue(integration, &client, asking, asset_types, report).await {
        Ok(catalogue) => catalogue,
        Err(stopped) => {
            failed(report, &stopped);
            return Ok(None);
        }
    };
    report.ok("AMFJ: token accepted; whether it may write too shows with the first change");
    check_profile(integration, &client, report).await;
    match retry(reads, stop, || client.assets_page(None)).await {
        Ok(page) => {
            let more = if page.next.is_some() { " or more" } else { "" };
            report.ok(format!("AMFJ: {} visible", counted(page.results.len(), more, "asset", "assets")));
        }
        Err(stopped) => failed(report, &stopped),
    }
    let records = check_records(integration, &client, reads, stop, report).await;
    Ok(Some(Seen { client, catalogue, records }))
}

/// Whether the interface is what a profile of the customer's own says; the built-in one shows in what follows.
async fn check_profile(integration: &Integration, client: &AmfjClient, report: &mut Report) {
    if integration.amfj.profile == ProfileSource::default() {
        return;
    }
    let found = probe::read(client).await;
    for line in found.lines.iter().filter(|line| line.verdict == Verdict::Differs) {
        let cure = "correct the profile; `amfj-sync probe` shows all of it";
        report.failed(format!("AMFJ: profile {}, {}: {}", client.profile().name, line.what, line.said), cure);
    }
    if found.is_fine() {
        report.ok(format!("AMFJ: the interface is what the profile {} says", client.profile().name));
    }
}

async fn read_catalogue(
    integration: &Integration,
    client: &AmfjClient,
    Asking { reads, stop, .. }: &Asking,
    asset_types: Vec<AssetType>,
    report: &mut Report,
) -> Result<Catalogue, Stopped<CallError>> {
    // A list that no setting needs stops no run (P18).
    let mut or_none = |read: Result<(), Stopped<CallError>>, is_needed: bool| match read {
        Err(error) if !is_needed => {
            report.warning(format!("AMFJ: {error}"), "no setting needs it, so the runs go on without");
            Ok(())
        }
        read => read,
    };
    let (mut locations, mut user_fields) = (Vec::new(), Vec::new());
    let read = retry(reads, stop, || client.locations()).await.map(|page| locations = page.results);
    or_none(read, integration.sync.default_location.is_some())?;
    let read = retry(reads, stop, || client.user_fields()).await.map(|page| user_fields = page.results);
    or_none(read, maps_user_fields(integration).next().is_some())?;
    Ok(Catalogue { asset_types, locations, user_fields })
}

/// Emails are what most people are matched by (P10); AMFJ does not show that of every Jira user.
async fn check_records(
    integration: &Integration,
    client: &AmfjClient,
    reads: &Policy,
    stop: &CancellationToken,
    report: &mut Report,
) -> Records {
    let (mut all, mut without) = (0_usize, 0_usize);
    let mut records = Records::default();
    let mut count = |page: Vec<UserRecord>| {
        all += page.len();
        for record in page {
            if let Some(email) = record.email.as_deref().and_then(email_key) {
                records.emails.insert(email);
            } else {
                without += 1;
                records.without_email.extend(NameKey::of(&record.name));
            }
        }
    };
    if !client.can(Op::ListUsers) {
        return records;
    }
    if let Err(stopped) = client.all_users(reads, stop, &mut count).await {
        failed(report, &stopped);
    } else if all == 0 {
        report.ok("AMFJ: no user records yet");
    } else if without == 0 {
        report
            .ok(format!("AMFJ: {}, all of them with email", counted(all, "", "user record", "user records")));
    } else {
        let show = if without == 1 { "shows" } else { "show" };
        let by_name = if integration.user_fields.maps(Outcome::NAME, "user.name") {
            "they are found by name, as user_fields maps Name from user.name"
        } else {
            "they are found by name only if user_fields maps Name from user.name"
        };
        report.warning(
            format!(
                "AMFJ: {}, {without} of which {show} no email",
                counted(all, "", "user record", "user records")
            ),
            format!(
                "{by_name}, or linked by hand with `amfj-sync link-user`; in Jira, people can let apps see \
                 their email"
            ),
        );
    }
    records
}

fn check_names(integration: &Integration, catalogue: &Catalogue, report: &mut Report) {
    let problems = problems(integration, catalogue);
    if problems.is_empty() {
        report.ok(names_in_use(integration));
    }
    for problem in problems {
        report.failed("AMFJ: a name in the configuration", problem);
    }
    for (name, _) in integration.fields.iter() {
        if let Some(line) = asset_field(catalogue, name) {
            report.ok(format!("AMFJ: field \"{name}\" {line}"));
        }
    }
    for (name, _) in integration.user_fields.iter() {
        let known = catalogue.user_fields.iter().find(|field| field.name == name);
        match known {
            Some(field) => {
                let kind = a_kind(field.field_type);
                report.ok(format!("AMFJ: user field \"{name}\" is {kind}"));
            }
            None if [Outcome::NAME, Outcome::EMAIL].contains(&name) => {
                report.ok(format!("AMFJ: user field \"{name}\" is every record's own"));
            }
            None => {}
        }
    }
}

/// Asset types and location that new assets get (P12).
fn names_in_use(integration: &Integration) -> String {
    let sync = &integration.sync;
    let mut line = format!("AMFJ: asset type \"{}\" for new assets", sync.default_asset_type);
    for (platform, name) in &integration.asset_types {
        let _ = write!(line, ", \"{name}\" for {platform}");
    }
    match &sync.default_location {
        Some(location) => line + &format!("; location \"{location}\""),
        None => line + "; no location is set",
    }
}

/// The types of a field of that name, and how many asset types have it; none where none has.
fn asset_field(catalogue: &Catalogue, name: &str) -> Option<String> {
    let fields: Vec<_> =
        catalogue.asset_types.iter().filter_map(|asset_type| asset_type.field(name)).collect();
    if fields.is_empty() {
        return (name == Outcome::NAME).then(|| "is every asset's own".to_owned());
    }
    let kinds: BTreeSet<&str> = fields.iter().map(|field| a_kind(field.field_type)).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let (having, all) = (fields.len(), catalogue.asset_types.len());
    let of = if having == all {
        "of every asset type".to_owned()
    } else {
        format!("of {having} of {all} asset types")
    };
    Some(format!("is {} {of}", kinds.join(" or ")))
}

fn a_kind(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Number => "a number",
        FieldType::Boolean => "a yes or no",
        FieldType::Date => "a date",
        FieldType::Select => "a choice from a list",
        FieldType::Url => "a link",
        FieldType::Email => "an email",
        FieldType::Text => "a text",
    }
}

#[cfg(test)]
mod tests {
    use amfj_sync_model::amfj::Field;

    use super::*;

    fn asset_type(name: &str, fields: &[(&str, FieldType)]) -> AssetType {
        let field = |(name, field_type): &(&str, FieldType)| Field {
            name: (*name).to_owned(),
            field_type: *field_type,
            required: false,
            options: Vec::new(),
        };
        AssetType { id: name.to_owned(), name: name.to_owned(), fields: fields.iter().map(field).collect() }
    }

    #[test]
    fn a_field_is_told_with_its_types_and_where_it_is() {
        let catalogue = Catalogue {
            asset_types: vec![
                asset_type("Laptop", &[("Memory", FieldType::Number), ("Model", FieldType::Text)]),
                asset_type("Phone", &[("Model", FieldType::Text)]),
            ],
            ..Catalogue::default()
        };
        for (name, line) in [
            ("Memory", Some("is a number of 1 of 2 asset types")),
            ("Model", Some("is a text of every asset type")),
            ("Name", Some("is every asset's own")),
            ("Colour", None),
        ] {
            assert_eq!(asset_field(&catalogue, name).as_deref(), line, "{name}");
        }
    }
}
