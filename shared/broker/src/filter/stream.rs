//! The filter between the socket and the AMQP library.

#![expect(clippy::disallowed_types, reason = "the runtime of lapin speaks of it")]

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, TokioRuntime};
use futures::Stream;
use futures::io::{AsyncRead, AsyncWrite};
use lapin::tcp::AsyncTcpStream;

use super::FrameFilter;

/// Bytes that are read at a time.
const AT_A_TIME: usize = 32 << 10;

/// A connection to the broker, TLS and all, of which only what was filtered is read.
pub(crate) struct FilteredStream {
    stream: AsyncTcpStream<<TokioRuntime as Reactor>::TcpStream>,
    filter: FrameFilter,
    arrived: Box<[u8]>,
    ready: Vec<u8>,
    /// How much of that was read.
    taken: usize,
}

impl FilteredStream {
    /// Frames may have so many bytes.
    pub(crate) fn new(stream: AsyncTcpStream<<TokioRuntime as Reactor>::TcpStream>, frame_max: u32) -> Self {
        let arrived = vec![0; AT_A_TIME].into_boxed_slice();
        Self { stream, filter: FrameFilter::new(frame_max), arrived, ready: Vec::new(), taken: 0 }
    }
}

impl AsyncRead for FilteredStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.taken == this.ready.len() {
            this.ready.clear();
            this.ready.shrink_to(AT_A_TIME);
            this.taken = 0;
            let count = ready!(Pin::new(&mut this.stream).poll_read(context, &mut this.arrived))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.filter.filter(&this.arrived[..count], &mut this.ready)?;
        }
        let ready = &this.ready[this.taken..];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        this.taken += count;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for FilteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

/// Clocks and sockets of tokio, with filtered streams: that is how the library is told what kind of stream it reads from.
#[derive(Debug, Clone)]
pub(crate) struct Filtering(TokioRuntime);

impl Reactor for Filtering {
    type TcpStream = FilteredStream;
    type Sleep = <TokioRuntime as Reactor>::Sleep;

    /// Nothing registers a handle of its own.
    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<FilteredStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// Not how a connection is made (`tls::connect`), which knows what frames may have; so these are the least.
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<FilteredStream>> + Send + 'static {
        let plain = self.0.tcp_connect_addr(address);
        async move { Ok(FilteredStream::new(AsyncTcpStream::Plain(plain.await?), 0)) }
    }
}

/// The runtime that the library is given.
pub(crate) fn runtime(sockets: &TokioRuntime) -> Runtime<RuntimeParts<TokioRuntime, Filtering>> {
    Runtime::new(RuntimeParts::new(sockets.clone(), Filtering(sockets.clone())))
}
