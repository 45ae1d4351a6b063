//! The same site, spoken to in each of its ways: what is written in one is what the contract would have written.

use amfj_sync_tests::harness::http_client;
use amfj_sync_tests::sim::amfj::{AmfjOptions, AmfjSim, Dialect};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

struct Client {
    sim: AmfjSim,
    http: reqwest::Client,
    headers: Vec<(&'static str, String)>,
    /// Of every request.
    query: String,
}

impl Client {
    async fn of(dialect: Dialect) -> Result<Self> {
        let fleet = Fleet::generate(FleetSpec { devices: 130, seed: 11, traps: Traps::None });
        let sim = AmfjSim::start(&fleet.site, AmfjOptions::default()).await?;
        sim.speak(dialect);
        Ok(Self { sim, http: http_client()?, headers: Vec::new(), query: String::new() })
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let address = if path.starts_with('/') {
            format!("{}{path}", self.sim.control_url())
        } else {
            format!("{}/{path}{separator}{}", self.sim.url(), self.query)
        };
        let mut request = self.http.request(method.parse()?, address);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// What the contract would have been sent last.
    fn written(&self) -> Result<(String, Value)> {
        let write = self.sim.writes().pop().context("nothing was written")?;
        Ok((format!("{} {}", write.method, write.path), write.body))
    }

    fn is_faithful(&self) -> Result<()> {
        ensure!(self.sim.violations().is_empty(), "{:?}", self.sim.violations());
        Ok(())
    }
}

#[tokio::test]
async fn offset_put_is_the_contract_in_other_words() -> Result<()> {
    let mut client = Client::of(Dialect::OffsetPut).await?;
    let (status, _) = client.ask("GET", "inventory/assets?offset=0&limit=50", None).await?;
    ensure!(status == 401, "{status}");
    client.sim.clear_requests();
    client.headers = vec![("x-api-key", client.sim.token()), ("x-api-client", "amfj-sync".to_owned())];
    let mut seen = 0;
    loop {
        let (status, page) =
            client.ask("GET", &format!("inventory/assets?offset={seen}&limit=50"), None).await?;
        ensure!(status == 200, "{page}");
        let items = page["data"]["items"].as_array().context("no items")?;
        ensure!(page["data"]["total"] == client.sim.assets().len(), "{page}");
        seen += items.len();
        if items.is_empty() {
            break;
        }
    }
    ensure!(seen == client.sim.assets().len(), "{seen}");
    let asset = client.sim.assets().remove(0);
    let number: u64 = asset.id.rsplit('-').next().context("an id")?.parse()?;
    let (_, whole) = client.ask("GET", &format!("inventory/asset?assetId={number}"), None).await?;
    let mut record = whole["data"].clone();
    record["title"] = json!("Another Name");
    let (status, _) = client.ask("PUT", &format!("inventory/asset?assetId={number}"), Some(record)).await?;
    ensure!(status == 204, "{status}");
    let expected = (format!("PATCH /v1/assets/{}", asset.id), json!({ "name": "Another Name" }));
    ensure!(client.written()? == expected, "only what differs: {:?}", client.written()?);
    let person = client.sim.users().remove(0);
    let holder: u64 = person.id.rsplit('-').next().context("an id")?.parse()?;
    client.sim.check_in(&asset.id)?;
    let (status, _) = client
        .ask("POST", &format!("inventory/asset/{number}/custody"), Some(json!({ "personId": holder })))
        .await?;
    ensure!(status == 204 && client.sim.asset(&asset.id).and_then(|asset| asset.holder) == Some(person.id));
    let (status, said) = client
        .ask("POST", &format!("inventory/asset/{number}/custody"), Some(json!({ "personId": holder })))
        .await?;
    ensure!(status == 423 && said["errors"][0]["code"].is_string(), "{status} {said}");
    let (status, said) = client.ask("GET", "inventory/asset?assetId=987654", None).await?;
    ensure!(status == 404 && said["errors"][0]["code"] == "NO_SUCH_ASSET", "{said}");
    client.is_faithful()
}

#[tokio::test]
async fn envelope_jobs_is_the_contract_in_other_words() -> Result<()> {
    let mut client = Client::of(Dialect::EnvelopeJobs).await?;
    let form =
        format!("grant_type=client_credentials&client_id=amfj-sync&client_secret={}", client.sim.token());
    let asked =
        client.http.post(format!("{}/oauth/token", client.sim.control_url())).body(form).send().await?;
    let answer: Value = asked.json().await?;
    let access = answer["access_token"].as_str().context("no access token")?;
    client.headers = vec![("authorization", format!("Bearer {access}"))];
    let (mut seen, mut path) = (0, "v3/assets?page%5Bsize%5D=50".to_owned());
    loop {
        let (status, page) = client.ask("GET", &path, None).await?;
        ensure!(status == 200, "{page}");
        seen += page["records"].as_object().context("no records")?.len();
        match page["links"]["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    ensure!(seen == client.sim.assets().len(), "{seen}");
    let new = json!({ "attributes": { "name": "A new one", "type": "Laptop" } });
    let (status, job) = client.ask("POST", "v3/assets", Some(new)).await?;
    ensure!(status == 202, "{job}");
    let (_, done) = client.ask("GET", job["job"].as_str().context("no job")?, None).await?;
    let id = done["result"]["id"].as_str().context("no id")?.to_owned();
    ensure!(done["state"] == "succeeded" && client.sim.asset(&id).is_some(), "{done}");
    let change = json!([{ "op": "replace", "path": "/attributes/name", "value": "Renamed" }]);
    let (status, _) = client.ask("PATCH", &format!("v3/assets/{id}"), Some(change)).await?;
    ensure!(status == 202 && client.sim.asset(&id).is_some_and(|asset| asset.name == "Renamed"));
    let person =
        client.sim.users().into_iter().find(|user| user.email.is_some()).context("nobody has an email")?;
    let out = json!({ "action": "assign", "asset": id, "assignee": person.email });
    let (status, said) = client.ask("POST", "v3/actions", Some(out)).await?;
    ensure!(status == 200 && said["record"]["attributes"]["assignee"]["name"] == person.name, "{said}");
    let (status, _) = client.ask("GET", "v3/assets/nobody", None).await?;
    ensure!(status == 410);
    let (_, fields) = client.ask("GET", "v3/types/Laptop/fields", None).await?;
    ensure!(fields["records"]["serial_number"]["attributes"]["title"] == "Serial Number", "{fields}");
    client.is_faithful()
}

#[tokio::test]
async fn prefix_members_is_the_contract_in_other_words() -> Result<()> {
    let mut client = Client::of(Dialect::PrefixMembers).await?;
    client.query = format!("api_key={}", client.sim.token());
    let mut seen = 0;
    for page in 1.. {
        let (status, rows) =
            client.ask("GET", &format!("rows/assets?page={page}&per_page=100"), None).await?;
        ensure!(status == 200, "{rows}");
        let rows = rows.as_array().context("no rows")?.len();
        seen += rows;
        if rows == 0 {
            break;
        }
    }
    ensure!(seen == client.sim.assets().len(), "{seen}");
    let asset = client.sim.assets().into_iter().find(|asset| asset.fields.contains_key("Serial Number"));
    let asset = asset.context("no asset has a serial")?;
    let path = format!("rows/assets/{}/serial_number", asset.id);
    let (status, _) = client.ask("PUT", &path, Some(json!({ "value": "C02X & co" }))).await?;
    ensure!(status == 204, "{status}");
    let (_, row) = client.ask("GET", &format!("rows/assets/{}", asset.id), None).await?;
    ensure!(row["cf_serial_number"] == "C02X &amp; co", "{row}");
    let person = client.sim.users().remove(0);
    for (holder, expected) in [(person.id.clone(), Some(person.id.clone())), (String::new(), None)] {
        let (status, row) = client
            .ask("PATCH", &format!("rows/assets/{}", asset.id), Some(json!({ "holder": holder })))
            .await?;
        ensure!(
            status == 200 && client.sim.asset(&asset.id).and_then(|asset| asset.holder) == expected,
            "{row}"
        );
    }
    let (status, said) = client
        .ask("PUT", &format!("rows/assets/{}/no_such", asset.id), Some(json!({ "value": "x" })))
        .await?;
    ensure!(status == 422 && said["column"] == "no_such", "{status} {said}");
    client.is_faithful()
}
