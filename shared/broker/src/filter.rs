//! What the broker sends, made harmless before the AMQP library reads it.
//!
//! Whoever may publish writes what properties they like, and RabbitMQ hands them on as they are. The library reads tables within
//! tables by recursion, so that some thousands of levels overflow its stack and end the process. It ends the connection over a
//! text that is not UTF-8, and over a frame larger than was agreed, which RabbitMQ sends where it adds a header of its own
//! (`x-stream-offset`, `x-death`) to those that filled a frame. The message comes again, and so does the end: from a stream, for
//! ever. Therefore all that arrives goes through here first: of the headers only those reach the library that something reads
//! ([`properties`]), and no text that it could stumble over.

mod properties;
mod stream;

use std::io;

pub(super) use stream::{FilteredStream, runtime};

/// Type, channel and size of a frame.
const HEAD: usize = 7;

/// Types of frames that are looked at.
const METHOD: u8 = 1;
const HEADER: u8 = 2;

/// Types of frames that pass as they are.
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// Bytes of the least frame that both sides have to take.
const LEAST: usize = 4 << 10;

/// Bytes of the largest frame that is held to be looked at. Headers come to 128 KiB by default, and a broker can be told to take
/// more; a message whole has 16 MiB at most.
const LARGEST: usize = 32 << 20;

/// What of a frame's buffer is kept for the next one.
const KEPT: usize = 64 << 10;

/// Class and method of `connection.tune`, by which the broker says how large frames may be.
const TUNE: [u8; 4] = [0, 10, 0, 30];

/// Takes bytes as they arrive from the broker, and gives out frames that the library can read.
#[derive(Debug)]
pub struct FrameFilter {
    /// A frame that is not whole yet.
    held: Vec<u8>,
    /// Bytes of a frame that passes as it is, still to come.
    passing: usize,
    /// Nothing but AMQP is filtered: whatever else a port speaks, the library says so.
    is_amqp: bool,
    /// Bytes of a frame that the library takes.
    largest: usize,
}

impl FrameFilter {
    /// For a connection whose frames may have so many bytes, unless the broker wants them smaller.
    #[must_use]
    pub fn new(frame_max: u32) -> Self {
        let largest = usize::try_from(frame_max).unwrap_or(usize::MAX).max(LEAST);
        Self { held: Vec::new(), passing: 0, is_amqp: true, largest }
    }

    /// Takes what has arrived, and adds what the library may read.
    ///
    /// # Errors
    /// Where a frame is larger than anything that a broker sends.
    pub fn filter(&mut self, mut arrived: &[u8], ready: &mut Vec<u8>) -> io::Result<()> {
        while !arrived.is_empty() {
            if !self.is_amqp {
                ready.extend_from_slice(arrived);
                return Ok(());
            }
            let wanted = match self.passing {
                0 => self.missing()?,
                passing => passing,
            };
            let (now, later) = arrived.split_at(wanted.min(arrived.len()));
            arrived = later;
            if self.passing > 0 {
                self.passing -= now.len();
                ready.extend_from_slice(now);
            } else {
                self.held.extend_from_slice(now);
                self.look(ready)?;
            }
        }
        Ok(())
    }

    /// Bytes that are missing of the head or, once that is there, of the frame.
    fn missing(&self) -> io::Result<usize> {
        let wanted = if self.held.len() < HEAD { HEAD } else { self.whole()? };
        Ok(wanted - self.held.len())
    }

    /// Bytes of the frame whose head is held, with the one that ends it.
    fn whole(&self) -> io::Result<usize> {
        let size = self.held.get(3..HEAD).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes);
        let size = size.and_then(|size| usize::try_from(size).ok());
        size.filter(|size| *size <= LARGEST).map(|size| HEAD + size + 1).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the broker sent a frame larger than any message")
        })
    }

    /// Gives out what is held, as soon as it is known what becomes of it.
    fn look(&mut self, ready: &mut Vec<u8>) -> io::Result<()> {
        let kind = self.held[0];
        if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
            self.is_amqp = false;
        } else if self.held.len() < HEAD {
            return Ok(());
        } else if matches!(kind, BODY | HEARTBEAT) {
            self.passing = self.whole()? - HEAD;
        } else if self.held.len() < self.whole()? {
            return Ok(());
        } else if kind == METHOD {
            self.read_method();
        } else {
            self.replace_header();
        }
        ready.append(&mut self.held);
        self.held.shrink_to(KEPT);
        Ok(())
    }

    fn read_method(&mut self) {
        let end = self.held.len() - 1;
        let payload = &mut self.held[HEAD..end];
        if payload.starts_with(&TUNE)
            && let Some(most) = payload.get(6..10).and_then(|most| most.try_into().ok())
        {
            let most = usize::try_from(u32::from_be_bytes(most)).unwrap_or(0);
            if most > 0 {
                self.largest = self.largest.min(most.max(LEAST));
            }
        }
        properties::make_texts_readable(payload);
    }

    fn replace_header(&mut self) {
        let payload = properties::harmless(&self.held[HEAD..self.held.len() - 1], self.largest - HEAD - 1);
        let end = self.held.pop();
        self.held.truncate(3);
        self.held.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
        self.held.extend_from_slice(&payload);
        self.held.extend(end);
    }
}

#[cfg(test)]
mod tests;
