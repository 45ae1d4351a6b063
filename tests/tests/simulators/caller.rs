//! A plain client, so that the simulators are not proved by the product's own.

use std::time::Duration;

use amfj_sync_tests::sim::{
    amfj::AmfjSim,
    fleet::{Fleet, FleetSpec, Traps},
    kandji::{KandjiOptions, KandjiSim},
};
use reqwest::{Method, Response};
use serde_json::Value;

/// A client with a token, for either service.
pub(crate) struct Caller {
    pub(crate) client: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Caller {
    pub(crate) fn new(url: String, token: String) -> Self {
        // Fails when another test of this process was first, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self { client, url, token }
    }

    pub(crate) fn kandji(sim: &KandjiSim) -> Self {
        Self::new(format!("{}/api/v1", sim.url()), sim.token())
    }

    pub(crate) fn amfj(sim: &AmfjSim) -> Self {
        Self::new(sim.url(), sim.token())
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.send(Method::GET, path, None).await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.send(Method::POST, path, Some(body)).await.unwrap()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.send(Method::PATCH, path, Some(body)).await.unwrap()).await
    }

    /// Walks the device list to the empty page, advancing by the rows received.
    pub(crate) async fn walk(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        loop {
            let path = format!("/devices?limit=300&ordering=device_id&offset={}", rows.len());
            let (status, page) = self.get(&path).await;
            assert_eq!(status, 200);
            let page = page.as_array().unwrap().clone();
            if page.is_empty() {
                return rows;
            }
            rows.extend(page);
        }
    }

    /// Walks a list of AMFJ by its cursors.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let (status, page) = answer(request.send().await.unwrap()).await;
            assert_eq!(status, 200, "{page}");
            rows.extend(page["results"].as_array().unwrap().clone());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

pub(crate) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A fleet with all traps.
pub(crate) fn realistic(devices: usize) -> Fleet {
    Fleet::generate(FleetSpec { devices, seed: 7, traps: Traps::Realistic })
}

/// A fleet without traps.
pub(crate) fn plain(devices: usize) -> Fleet {
    Fleet::generate(FleetSpec { devices, seed: 7, traps: Traps::None })
}

/// A tenant that never says 429 by itself.
pub(crate) fn quick() -> KandjiOptions {
    KandjiOptions { per_second: None, per_hour: None, ..KandjiOptions::default() }
}
