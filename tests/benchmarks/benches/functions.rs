//! Functions on one core: decisions, facts into the view, a name made comparable.
//!
//! `cargo bench -p amfj-sync-benchmarks`

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::path::Path;

use amfj_sync_benchmarks::synthetic::{self, Place};
use amfj_sync_config::Config;
use amfj_sync_model::messages::{DeviceEntry, Event, Sequence};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::{DataDir, Indexes, OnDisk, Projection};
use amfj_sync_rules::{self as rules, Site};
use anyhow::{Context as _, Result};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;

/// That of the reconciler.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEVICES: usize = 2_000;

const SERIAL_FIELD: Option<&str> = Some("Serial Number");
const ALL: Indexes<'_> = Indexes::All { serial_field: SERIAL_FIELD };

fn config() -> Result<Config> {
    let place = Place { url: "amqp://guest:guest@127.0.0.1:5672/%2f", prefix: "bench", partitions: 4 };
    synthetic::config(place, Path::new("/nowhere"))
}

/// The facts of an integration; with `linked`, as it is after a first sync.
fn facts(devices: usize, linked: bool) -> Result<Vec<(u64, Event)>> {
    let mut facts = vec![synthetic::run_started(1, true)];
    facts.extend(synthetic::inventory(1, devices, linked)?);
    facts.push(synthetic::inventory_complete(1));
    if linked {
        for number in 0..devices {
            facts.extend(synthetic::linked(number)?);
        }
    }
    (0..).zip(facts).map(|(offset, fact)| Ok((offset, synthetic::event(fact)?))).collect()
}

fn fill(view: &mut Projection, facts: &[(u64, Event)]) -> Result<()> {
    for window in facts.chunks(256) {
        view.apply(window)?;
    }
    Ok(())
}

fn decisions(c: &mut Criterion) -> Result<()> {
    let config = config()?;
    let integration = config.integrations.first().context("one integration")?;
    let entries: Vec<DeviceEntry> = (0..DEVICES).map(synthetic::device).collect::<Result<_>>()?;
    let mut group = c.benchmark_group("decisions");
    group.throughput(Throughput::Elements(1));
    for (name, linked) in [("in sync", true), ("to be linked", false)] {
        let facts = facts(DEVICES, linked)?;
        let folder = tempfile::tempdir()?;
        let disk = DataDir::open(OnDisk::at(&folder.path().join("view")))?.store(synthetic::ID)?;
        let views = [
            ("sled", Projection::open(Box::new(disk), ALL)?),
            ("memory", Projection::in_memory(SERIAL_FIELD)),
        ];
        for (store, mut view) in views {
            fill(&mut view, &facts)?;
            let site = Site { view: &view, siblings: &[], config: integration, now: Timestamp::now() };
            let drafted =
                rules::decide_device(&site, entries.first().context("one device")?, Sequence::first(1));
            assert_eq!(drafted.changes.is_empty(), linked, "{drafted:?}");
            let mut next = entries.iter().cycle();
            group.bench_function(format!("{name}, view in {store}"), |b| {
                b.iter(|| {
                    next.next().map(|entry| black_box(rules::decide_device(&site, entry, Sequence::first(1))))
                });
            });
        }
    }
    group.finish();
    Ok(())
}

fn folding(c: &mut Criterion) -> Result<()> {
    let facts = facts(500, true)?;
    let mut group = c.benchmark_group("facts into the view");
    group.throughput(Throughput::Elements(facts.len() as u64));
    group.sample_size(20);
    group.bench_function("memory", |b| {
        b.iter_batched(
            || Projection::in_memory(SERIAL_FIELD),
            |mut view| fill(&mut view, &facts).map(|()| view),
            BatchSize::LargeInput,
        );
    });
    let folder = tempfile::tempdir()?;
    let dir = DataDir::open(OnDisk::at(&folder.path().join("view")))?;
    let mut round = 0;
    group.bench_function("sled", |b| {
        b.iter_batched(
            || {
                round += 1;
                Projection::open(Box::new(dir.store(&format!("round-{round}"))?), ALL)
            },
            |view| -> Result<Projection> {
                let mut view = view?;
                fill(&mut view, &facts)?;
                Ok(view)
            },
            BatchSize::LargeInput,
        );
    });
    let encoded: Vec<Vec<u8>> = facts.iter().map(|(_, event)| event.encode()).collect();
    group.bench_function("only reading their JSON", |b| {
        b.iter(|| encoded.iter().filter(|bytes| Event::decode(black_box(bytes)).is_ok()).count());
    });
    group.bench_function("only writing their JSON", |b| {
        b.iter(|| facts.iter().map(|(_, event)| black_box(event.encode()).len()).sum::<usize>());
    });
    group.finish();
    Ok(())
}

fn all(c: &mut Criterion) {
    c.bench_function("a name made comparable (P5)", |b| {
        b.iter(|| NameKey::of(black_box("  Jérôme’s MacBook  Air ")));
    });
    if let Err(error) = decisions(c).and_then(|()| folding(c)) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

criterion_group!(functions, all);
criterion_main!(functions);
