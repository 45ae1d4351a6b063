//! Free ports that stay free while a process is restarted on them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below the range from which Linux takes ports for outgoing connections (32768 and up), so that
/// nothing slips in between two starts of a broker on the same port.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Finds `count` different loopback ports that nothing listens on at this moment.
///
/// # Errors
/// If a thousand ports tried at random were all taken.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let mut found = BTreeSet::new();
    for _ in 0..1_000 {
        if found.len() == count {
            return Ok(found.into_iter().collect());
        }
        let port = rand::random_range(RANGE);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.insert(port);
        }
    }
    bail!("found no {count} free ports between {} and {} on 127.0.0.1", RANGE.start, RANGE.end);
}
