//! Datagrams between OpenSSL and whoever owns the socket.

use std::collections::VecDeque;
use std::io;

/// Most datagrams that wait in one direction. A flight of ours has five at most; over
/// this they are dropped, as a network would.
const MOST: usize = 32;

/// The two ends of a datagram transport in memory: each read takes a datagram, each write
/// makes one.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Pipe {
    /// A datagram of the peer.
    pub fn receive(&mut self, datagram: &[u8]) {
        // A datagram of no bytes is none, and not the end of a stream.
        if self.incoming.len() < MOST && !datagram.is_empty() {
            self.incoming.push_back(datagram.to_vec());
        }
    }

    /// A datagram for the peer.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }
}

impl io::Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        // What does not fit is lost, as with recv(2).
        let n = datagram.len().min(out.len());
        out[..n].copy_from_slice(&datagram[..n]);
        Ok(n)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.outgoing.len() < MOST {
            self.outgoing.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
