//! One attempt at one hop: the transport, the key exchange, the host's key.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::{Config, Handle};
use russh::{ChannelOpenFailure, Preferred};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::RemoteError;
use super::host_key::{self, Client, EndReason, Failure, Policy, Purpose};
use super::route::Hop;

/// How long a host may take to answer once its TCP connection is there.
pub const ANSWER: Duration = Duration::from_secs(15);

/// How long one TCP connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A host that is silent for four of these while it should answer is gone: 16 s.
const KEEPALIVE: Duration = Duration::from_secs(4);

/// How long what we sent may stay unacknowledged before the line counts as cut.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(16);

/// A session that has been let in, or soon will be.
pub struct Link {
    /// The session.
    pub session: Arc<Handle<Client>>,
    /// Why it ended, once it has.
    pub end: EndReason,
}

/// How an attempt failed.
pub enum Attempt {
    /// The host may be starting: try again.
    Again(String),
    /// The attempt is final.
    Failed(Failure),
    /// TCP is there, and nothing came of it.
    Silent(String),
    /// The attempt is final, and this is why.
    Final(RemoteError),
}

impl Attempt {
    /// The error to report when nothing is tried any more.
    #[must_use]
    pub fn into_error(self, hop: &Hop, waited: Duration) -> RemoteError {
        let address = hop.address();
        match self {
            Self::Again(last) => RemoteError::Unreachable { address, waited, last },
            Self::Silent(missing) => RemoteError::Silent { address, missing, waited: ANSWER },
            Self::Final(error) | Self::Failed(Failure::Refused(error)) => error,
            Self::Failed(Failure::Unknown(key) | Failure::Shown(key)) => {
                let fingerprint = super::known_hosts::fingerprint(&key);
                RemoteError::HostKeyUnknown { address, fingerprint }
            }
            Self::Failed(Failure::Transport(error)) => {
                RemoteError::Unusable { address, reason: host_key::plain(&error) }
            }
        }
    }
}

/// Connects to `hop`, through `before` where there is one, and exchanges keys.
///
/// # Errors
/// See [`Attempt`].
pub async fn attempt(
    hop: &Hop,
    before: Option<&Handle<Client>>,
    purpose: Purpose,
    left: Duration,
) -> Result<(Handle<Client>, EndReason), Attempt> {
    let mut rounds = hop.policy(purpose).map_err(Attempt::Final)?.rounds();
    let last = rounds.pop().expect("a policy has a round");
    for policy in rounds {
        match once(hop, before, policy, left).await {
            // The pinned key may be one of another kind.
            Err(Attempt::Failed(
                Failure::Refused(RemoteError::HostKeyChanged { .. })
                | Failure::Transport(russh::Error::NoCommonAlgo { .. }),
            )) => {}
            done => return done,
        }
    }
    once(hop, before, last, left).await
}

async fn once(
    hop: &Hop,
    before: Option<&Handle<Client>>,
    policy: Policy,
    left: Duration,
) -> Result<(Handle<Client>, EndReason), Attempt> {
    let Some(session) = before else {
        let stream = dial(&hop.host, hop.port, left).await?;
        return exchange(policy, stream).await;
    };
    let opening = session.channel_open_direct_tcpip(&hop.host, u32::from(hop.port), "127.0.0.1", 0);
    match tokio::time::timeout(CONNECT + ANSWER, opening).await {
        Ok(Ok(channel)) => exchange(policy, channel.into_stream()).await,
        Ok(Err(error)) => Err(no_channel(hop, &error)),
        Err(_) => Err(Attempt::Again("the jump host does not answer".to_owned())),
    }
}

fn no_channel(hop: &Hop, error: &russh::Error) -> Attempt {
    match error {
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
            let reason = "the jump host does not forward connections".to_owned();
            Attempt::Final(RemoteError::Unusable { address: hop.address(), reason })
        }
        russh::Error::ChannelOpenFailure(_) => {
            Attempt::Again("the jump host cannot connect to it".to_owned())
        }
        other => Attempt::Again(host_key::plain(other)),
    }
}

async fn dial(host: &str, port: u16, left: Duration) -> Result<TcpStream, Attempt> {
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(Attempt::Again(format!("cannot resolve `{host}`: {error}"))),
    };
    let limit = CONNECT.min(left.max(Duration::from_secs(2)));
    let mut last = format!("`{host}` has no address");
    for address in addresses {
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                // Keepalives cannot be sent while our own bytes wait for a dead host; macOS has no such option.
                #[cfg(target_os = "linux")]
                let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
                return Ok(stream);
            }
            Ok(Err(error)) => last = reason(&error),
            Err(_) => last = format!("no answer within {} s", limit.as_secs()),
        }
    }
    Err(Attempt::Again(last))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}

async fn exchange<S>(policy: Policy, stream: S) -> Result<(Handle<Client>, EndReason), Attempt>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heard = Arc::new(AtomicUsize::new(0));
    let stream = Counted { stream, heard: heard.clone() };
    let end = EndReason::default();
    let config = Arc::new(config(&policy));
    let client = Client::new(policy, end.clone());
    let done =
        tokio::time::timeout(ANSWER, russh::client::connect_stream(config, stream, client)).await;
    let heard = heard.load(Ordering::Relaxed);
    match done {
        Ok(Ok(session)) => Ok((session, end)),
        Ok(Err(Failure::Transport(error))) => Err(early_end(error, heard)),
        Ok(Err(failure)) => Err(Attempt::Failed(failure)),
        Err(_) if heard == 0 => Err(Attempt::Silent("a greeting of an ssh server".to_owned())),
        Err(_) => Err(Attempt::Silent("the key exchange".to_owned())),
    }
}

/// A server that is starting, or has too many guests, hangs up before the key exchange.
fn early_end(error: russh::Error, heard: usize) -> Attempt {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_) if heard < 256 => {
            Attempt::Again("the host accepts the connection and hangs up".to_owned())
        }
        other => Attempt::Failed(Failure::Transport(other)),
    }
}

/// Small buffers: fifty connections are to fit into a few dozen megabytes.
fn config(policy: &Policy) -> Config {
    Config {
        preferred: Preferred {
            key: Cow::Owned(policy.algorithms()),
            host_key_certificates: policy.certificates(),
            ..Preferred::DEFAULT
        },
        window_size: 512 * 1024,
        channel_buffer_size: 32,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    }
}

/// Counts what a host has said, to tell silence from trouble.
struct Counted<S> {
    stream: S,
    heard: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.heard.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
