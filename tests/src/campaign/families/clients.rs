//! Whoever can reach a worker's port is slow: it never ends its request, never begins one, or never reads the answer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Family, Fault, Struck};
use crate::campaign::Stage;

pub(super) struct Clients;

/// Name, and what a client says before it says nothing any more.
const WAYS: [(&str, &[u8]); 4] = [
    ("says nothing", b""),
    ("never ends its request", b"GET /metrics HTTP/1.1\r\nhost: here\r\nx-slow: "),
    ("never reads the answer", b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n"),
    (
        "sends a body that is never complete",
        b"POST /status HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\nx",
    ),
];

impl Family for Clients {
    fn name(&self) -> &'static str {
        "slow clients"
    }

    fn faults(&self) -> Vec<String> {
        WAYS.iter().map(|(name, _)| format!("hundreds of clients on every port, each {name}")).collect()
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let way = WAYS.iter().find(|(name, _)| fault.ends_with(name));
        let (_, says) = way.with_context(|| format!("no fault {fault}"))?;
        let pause = Duration::from_millis(rng.random_range(500..2_000));
        Ok(Box::new(Slow {
            name: fault.to_owned(),
            says,
            each: rng.random_range(100..300),
            pause,
            open: Vec::new(),
        }))
    }
}

struct Slow {
    name: String,
    says: &'static [u8],
    /// Of each worker.
    each: usize,
    pause: Duration,
    open: Vec<TcpStream>,
}

impl Fault for Slow {
    fn tell(&self) -> String {
        format!("{} ({} a worker), for {:?}", self.name, self.each, self.pause)
    }

    fn may_repeat_writes(&self) -> bool {
        false
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let addresses: Vec<_> = stage.workers.all().filter_map(|worker| worker.listen().ok()).collect();
            for address in addresses {
                for _ in 0..self.each {
                    // One that dies meanwhile takes nobody.
                    let Ok(mut stream) = TcpStream::connect(address).await else { break };
                    drop(stream.write_all(self.says).await);
                    self.open.push(stream);
                }
            }
            stage.pass(self.pause).await;
            // One that another fault made start anew says later where it listens.
            for worker in stage.workers.all().filter(|worker| worker.listen().is_ok()) {
                let name = worker.role().name();
                let (status, body) =
                    worker.get("/readyz").await.with_context(|| format!("a probe of a {name}"))?;
                ensure!(status == 200 || !body.is_empty(), "a {name} answers {status} without a word");
            }
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move { Ok(Struck(self.open.drain(..).count() as u64)) })
    }
}
