//! RabbitMQ: one supervised pair of connections, publishing with confirms, and partitions that are
//! owned by one worker at a time.
//!
//! What the broker and its client do in ways that surprise, and what this module does about it:
//!
//! - A consumer is stopped by closing its channel, never by cancelling it: with single active consumer
//!   a cancelled one hands the *next* messages to the standby at once, which breaks the order.
//! - `Ok(false)` of an acknowledgement means that the channel is dead: [`Intake`] ends then.
//! - With several mandatory publishes in flight a return can be attached to the wrong confirm, so
//!   returns are matched by message id after the whole window has been answered.
//! - Consuming and publishing use separate connections: an alarm of the broker blocks the publishing one.
//! - Headers of a message that the client cannot read end the connection or the process, before anybody sees the message: what
//!   arrives is filtered first ([`FrameFilter`]).

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod alarm;
mod connector;
pub mod dead_letter;
mod dead_reader;
mod dead_watch;
mod depth;
mod error;
mod filter;
mod intake;
mod largest;
mod locks;
mod names;
mod ownership;
mod packing;
mod past;
mod presence;
mod publisher;
mod signing;
mod status_rpc;
mod supervisor;
mod tls;
mod topology;
mod unreachable;

pub use dead_reader::DeadLetters;
pub use dead_watch::{
    DeadLetterCounts, DeadLetterLock, LookedThrough, count_dead_letters, look_through_dead_letters,
};
pub use error::BrokerError;
pub use filter::FrameFilter;
pub use intake::{Acknowledged, BrokerDeath, Intake, Received, StreamOffset, Unsigned};
pub use lapin::types::FieldTable as Headers;
pub use largest::{MAX_BYTES, largest_taken};
pub use names::{Names, Stage};
pub use ownership::{Lease, Ownership, PartitionId, Role, Serve};
pub use past::read_stream;
pub use presence::Presence;
pub use publisher::{Outgoing, Publisher};
pub use signing::{SIGNATURE, Signing, refused_lately};
pub use status_rpc::{answer_roll_calls, call_roll};
pub use supervisor::{Broker, Caller, Session};
pub use topology::{Depth, Topology};
pub use unreachable::Unreachable;

/// Most messages in flight without a confirm, and most deliveries without an acknowledgement.
pub const WINDOW: u16 = 256;

/// Deliveries of a stream that are on their way to its reader. Most carry many facts, some tens of kilobytes of them, and
/// all of them are in memory while the view stands still.
pub const STREAM_WINDOW: u16 = 64;
