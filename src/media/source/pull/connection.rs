//! One connection to a camera: requests and their answers, and what comes in between.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::auth::Auth;
use super::inbox::{Inbox, Item};
use super::message::{self, Message, Nonsense, Start};
use crate::config::RtspUrl;

const AGENT: &str = concat!("camgate/", env!("CARGO_PKG_VERSION"));
/// What a camera that does not read is not sent any more of, bytes.
const UNSENT: usize = 16 * 1024;
/// Of one name so many addresses are tried.
const ADDRESSES: usize = 8;
/// After so many refusals in a row of requests with the password none follows, whatever the
/// camera says of nonces.
const REFUSALS: u8 = 2;
/// Answers to one request, and the retries with credentials, at most.
const TRIES: usize = 3;

/// Why a camera is read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No such name, or nobody takes the connection.
    Unreachable,
    /// No answer in time.
    Silent,
    /// It closed the connection in an orderly way.
    Closed,
    /// The connection broke.
    Broken,
    /// What comes is no RTSP.
    Nonsense,
    /// An answer that says no.
    Status(u16),
    /// It sends us on to RTSPS, which is another way to connect: the configuration's business.
    Rtsps,
    /// An answer without a description.
    NoSdp,
    /// No stream of it was selected.
    Nothing,
    /// What is behind a pad takes no more, and why.
    Flow(gstreamer::FlowError),
    /// The machine gives no thread, or the pipeline no answer.
    Stuck,
}

impl From<Nonsense> for Fault {
    fn from(_: Nonsense) -> Self {
        Fault::Nonsense
    }
}

/// An open connection.
pub struct Connection {
    socket: TcpStream,
    inbox: Inbox,
    cseq: u32,
    /// The camera's name for the session, once there is one.
    pub session: Option<String>,
    /// How long an answer may take.
    patience: Duration,
    /// What did not fit into the socket.
    unsent: Vec<u8>,
    /// Whether the last request whose answer nobody waits for had credentials.
    shown: bool,
    /// So many answers in a row have refused them.
    refusals: u8,
    /// They hold no longer: the camera is asked for nothing more, for that locks accounts.
    refused: bool,
    acknowledged: bool,
}

/// One after the other, so that an address that nobody answers at leaves time for the rest.
async fn connect(url: &RtspUrl, patience: Duration) -> std::io::Result<TcpStream> {
    let found = timeout(patience, lookup_host((url.host.as_str(), url.port.unwrap_or(554)))).await??;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES).collect();
    let share = patience / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await.map_err(std::io::Error::from).flatten() {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What an answer wants to see.
fn challenges(answer: &Message) -> impl Iterator<Item = &str> {
    answer.all("www-authenticate").chain(answer.all("proxy-authenticate"))
}

impl Connection {
    /// Connects, to any address that the name stands for.
    pub async fn open(url: &RtspUrl, patience: Duration) -> Result<Self, Fault> {
        let socket = connect(url, patience).await.map_err(|error| {
            tracing::debug!(%error, "no connection");
            Fault::Unreachable
        })?;
        // Requests are small, and none waits for another one's acknowledgement.
        let _ = socket.set_nodelay(true);
        Ok(Connection {
            socket,
            inbox: Inbox::default(),
            cseq: 0,
            session: None,
            patience,
            unsent: Vec::new(),
            shown: false,
            refusals: 0,
            refused: false,
            acknowledged: false,
        })
    }

    /// Packets will come, of these channels.
    pub fn play(&mut self, channels: impl IntoIterator<Item = u8>) {
        self.inbox.play(channels);
    }

    /// Reads once. May be dropped at any time without losing a byte.
    pub async fn fill(&mut self) -> Result<(), Fault> {
        let bytes = self.socket.read(self.inbox.room()).await.map_err(|_| Fault::Broken)?;
        if bytes == 0 {
            return Err(Fault::Closed);
        }
        self.inbox.filled(bytes);
        Ok(())
    }

    /// The next packet or message of what was read.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Fault> {
        Ok(self.inbox.next()?)
    }

    /// Acknowledges at once what was read: [`crate::media::source::quick_ack`] says why.
    pub fn acknowledge(&mut self) {
        #[cfg(target_os = "linux")]
        {
            let done = socket2::SockRef::from(&self.socket).set_tcp_quickack(true).is_ok();
            if !std::mem::replace(&mut self.acknowledged, true) {
                let how = if done { "at once" } else { "when the kernel pleases" };
                tracing::debug!("the camera's packets are acknowledged {how}");
            }
        }
    }

    /// Asks, and waits for the answer, a second time with credentials where the camera wants
    /// them. `packets` gets what comes before it; the caller judges the status.
    pub async fn ask(
        &mut self,
        auth: &mut Auth,
        (method, url): (&str, &str),
        headers: &[(&str, &str)],
        mut packets: impl FnMut(u8, &[u8]) -> Result<(), Fault>,
    ) -> Result<Message, Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (request, shown) = self.request(auth, method, url, headers);
            let patience = self.patience;
            let exchange = async {
                let mut all = std::mem::take(&mut self.unsent);
                all.extend_from_slice(&request);
                self.socket.write_all(&all).await.map_err(|_| Fault::Broken)?;
                self.answer(&mut packets).await
            };
            let answer = timeout(patience, exchange).await.map_err(|_| Fault::Silent)??;
            match answer.start {
                Start::Response(401 | 407) if tries < TRIES => {
                    if !auth.challenged(challenges(&answer), shown) {
                        self.refused |= shown;
                        return Ok(answer);
                    }
                }
                Start::Response(200..300) => {
                    auth.accepted(shown);
                    return Ok(answer);
                }
                Start::Response(401 | 407) => {
                    self.refused |= shown;
                    return Ok(answer);
                }
                _ => return Ok(answer),
            }
        }
    }

    fn request(&mut self, auth: &mut Auth, method: &str, url: &str, headers: &[(&str, &str)]) -> (Vec<u8>, bool) {
        self.cseq = self.cseq.wrapping_add(1);
        let (cseq, authorization) = (self.cseq.to_string(), auth.header(method, url));
        let mut all = vec![("CSeq", cseq.as_str()), ("User-Agent", AGENT)];
        all.extend(self.session.as_deref().map(|session| ("Session", session)));
        all.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        all.extend_from_slice(headers);
        (message::request(method, url, &all), authorization.is_some())
    }

    /// The answer to the last request. One without a number is taken for it, too.
    async fn answer(&mut self, packets: &mut impl FnMut(u8, &[u8]) -> Result<(), Fault>) -> Result<Message, Fault> {
        loop {
            while let Some(item) = self.inbox.next()? {
                match item {
                    Item::Packet { channel, data } => packets(channel, data)?,
                    Item::Message(m) if matches!(m.start, Start::Request(_)) => self.send(&message::answer(&m)),
                    Item::Message(m) if m.start == Start::Response(100) => {}
                    Item::Message(m) if m.cseq().is_none_or(|n| n == self.cseq) => return Ok(m),
                    Item::Message(_) => {}
                }
            }
            self.fill().await?;
        }
    }

    /// Asks without waiting: [`Connection::heard`] gets the answer.
    pub fn post(&mut self, auth: &mut Auth, method: &str, url: &str) {
        if self.refused {
            return;
        }
        let (request, shown) = self.request(auth, method, url, &[]);
        self.shown = shown;
        self.send(&request);
    }

    /// A message that came between packets: a request is answered; an answer brings a new
    /// nonce for the next sign of life, or the news that our credentials hold no longer. Then
    /// no other follows, and the camera ends the session when it likes.
    pub fn heard(&mut self, message: &Message, auth: &mut Auth) {
        match message.start {
            Start::Request(_) => self.send(&message::answer(message)),
            // What came late is about a request before it: it decides nothing.
            Start::Response(_) if message.cseq().is_some_and(|n| n != self.cseq) => {}
            Start::Response(401 | 407) => self.challenged(message, auth),
            Start::Response(100..200 | 403) => {}
            // It has heard us, whatever it thinks of the method (451, 501).
            Start::Response(_) => {
                auth.accepted(self.shown);
                self.refusals = 0;
            }
        }
    }

    fn challenged(&mut self, message: &Message, auth: &mut Auth) {
        let renewed = auth.challenged(challenges(message), self.shown);
        if !self.shown {
            return;
        }
        self.refusals = self.refusals.saturating_add(1);
        if !self.refused && (!renewed || self.refusals >= REFUSALS) {
            let camera = self.socket.peer_addr().map(|a| a.to_string()).unwrap_or_default();
            tracing::warn!(%camera, "camera refuses the password that it took: no more signs of life, it may end the stream");
            self.refused = true;
        }
    }

    /// Sends what fits; the rest goes before the next one. A camera that reads nothing is
    /// not worth more than the bound.
    fn send(&mut self, data: &[u8]) {
        if self.unsent.len() + data.len() <= UNSENT {
            self.unsent.extend_from_slice(data);
        }
        while !self.unsent.is_empty() {
            match self.socket.try_write(&self.unsent) {
                Ok(bytes) if bytes > 0 => drop(self.unsent.drain(..bytes)),
                _ => return,
            }
        }
    }

    /// Ends the session, in at most `within`. Waits for the answer, since closing before
    /// all packets are read resets the connection, and the camera may never read this.
    pub async fn tear_down(mut self, mut auth: Auth, url: &str, within: Duration) {
        if self.session.is_none() || self.refused {
            return;
        }
        self.patience = within;
        // The last request may have been given up half-way through its answer, no matter.
        let ended = self.ask(&mut auth, ("TEARDOWN", url), &[], |_, _| Ok(())).await;
        tracing::debug!(fault = ?ended.err(), "session ended");
    }
}
