//! AMFJ: address, token, and every name that the configuration uses (P18).

use amfj_sync_shared::amfj::client::AmfjClient;
use amfj_sync_shared::catalogue::problems;
use amfj_sync_shared::config::Integration;
use amfj_sync_shared::http::{CallError, Limiter};
use amfj_sync_shared::messages::Catalogue;
use amfj_sync_shared::retry::{Policy, Stopped, retry};
use amfj_sync_shared::worker::Exit;
use tokio_util::sync::CancellationToken;

use super::report::Report;

const CURE: &str = "check amfj.api_url and amfj.token; if AMFJ's addresses differ, set amfj.paths";

pub(super) async fn check(
    integration: &Integration,
    reads: &Policy,
    stop: &CancellationToken,
    report: &mut Report,
) -> Result<(), Exit> {
    let limiter = Limiter::new(f64::from(integration.amfj.requests_per_second));
    let client = AmfjClient::from_config(&integration.amfj, limiter)
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    let catalogue = match read_catalogue(&client, reads, stop).await {
        Ok(catalogue) => catalogue,
        Err(error) => {
            report.failed(format!("AMFJ: {error}"), CURE);
            return Ok(());
        }
    };
    report.ok("AMFJ: token accepted");
    let (types, locations) = (catalogue.asset_types.len(), catalogue.locations.len());
    report.ok(format!("AMFJ: {types} asset types, {locations} locations"));
    for list in [List::Assets, List::Users] {
        match list.read(&client, reads, stop).await {
            Ok(()) => report.ok(format!("AMFJ: the list of {list} can be read")),
            Err(error) => report.failed(format!("AMFJ: {error}"), CURE),
        }
    }
    let problems = problems(integration, &catalogue);
    if problems.is_empty() {
        report.ok("AMFJ: every asset type, location and field of the configuration exists");
    }
    for problem in problems {
        report.failed("AMFJ: a name in the configuration", problem);
    }
    Ok(())
}

async fn read_catalogue(
    client: &AmfjClient,
    reads: &Policy,
    stop: &CancellationToken,
) -> Result<Catalogue, Stopped<CallError>> {
    Ok(Catalogue {
        asset_types: retry(reads, stop, || client.asset_types()).await?,
        locations: retry(reads, stop, || client.locations()).await?,
        user_fields: retry(reads, stop, || client.user_fields()).await?,
    })
}

#[derive(Debug, Clone, Copy)]
enum List {
    Assets,
    Users,
}

impl List {
    async fn read(
        self,
        client: &AmfjClient,
        reads: &Policy,
        stop: &CancellationToken,
    ) -> Result<(), Stopped<CallError>> {
        match self {
            Self::Assets => retry(reads, stop, || client.assets_page(None)).await.map(drop),
            Self::Users => retry(reads, stop, || client.users_page(None)).await.map(drop),
        }
    }
}

impl std::fmt::Display for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Assets => "assets",
            Self::Users => "user records",
        })
    }
}
