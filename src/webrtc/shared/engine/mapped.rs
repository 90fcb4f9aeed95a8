//! Where a STUN server sees our port. It is the same for all sessions, so that it is asked
//! for once, and then now and again in the background.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::control::Handle;
use super::super::ring::Unit;
use crate::webrtc::engine::Gathering;

/// How often it is asked again: a router forgets a mapping after half a minute or more
/// without traffic (RFC 4787 §4.3 wants two).
const AGAIN: Duration = Duration::from_secs(25);
/// How long an answer may take. Longer than any viewer waits, so that a question that is
/// lost is repeated, and what comes late is there for the next one.
const WAIT: Duration = Duration::from_secs(2);
/// How soon it is asked again when no answer came; longer than [`WAIT`].
const SOON: Duration = Duration::from_secs(3);
/// What was said so long ago need not be so any more: it was not asked again meanwhile,
/// for nobody joined, or the server has fallen silent.
const OLD: Duration = Duration::from_secs(60);

/// What one server said.
#[derive(Debug, Clone, Copy)]
struct Said {
    asked: Instant,
    /// The answer is still to come.
    open: bool,
    /// The last answer that told something, and when it came.
    last: Option<(Instant, SocketAddr)>,
}

impl Said {
    /// The address, as long as it is to be relied on.
    fn address(&self, now: Instant) -> Option<SocketAddr> {
        let (at, address) = self.last?;
        (now.saturating_duration_since(at) < OLD).then_some(address)
    }

    /// Whether it is to be asked again. What stays open is so, too, once its time is up.
    fn due(&self, now: Instant) -> bool {
        let answered = self.last.is_some_and(|(at, _)| at >= self.asked);
        now.saturating_duration_since(self.asked) >= if answered { AGAIN } else { SOON }
    }
}

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Mapped {
    known: watch::Sender<HashMap<SocketAddr, Said>>,
}

impl Mapped {
    /// The address by what is configured, if there is one. Where it is not known yet, or
    /// not any more, all who come wait for the same answer, for [`Gathering::wait`] at most.
    pub async fn get<U: Unit>(&self, handle: &Handle<U>, gathering: &Gathering) -> Option<SocketAddr> {
        let server: SocketAddr = gathering.stun.as_deref()?.strip_prefix("stun://")?.parse().ok()?;
        let now = Instant::now();
        if self.begin(server, now) {
            let mapped = self.clone();
            let answer = move |address: Option<SocketAddr>| mapped.end(server, address, Instant::now());
            if handle.reflexive(server, WAIT, Box::new(answer)).is_err() {
                self.end(server, None, now);
            }
        }
        self.wait(server, now, gathering.wait).await
    }

    /// Whether a server is to be asked, which is noted then.
    fn begin(&self, server: SocketAddr, now: Instant) -> bool {
        self.known.send_if_modified(|known| {
            let said = known.get(&server).copied();
            let due = said.is_none_or(|s| s.due(now));
            if due {
                known.insert(server, Said { asked: now, open: true, last: said.and_then(|s| s.last) });
            }
            due
        })
    }

    /// What came of it. None takes nothing away: what is known gets old by itself.
    fn end(&self, server: SocketAddr, address: Option<SocketAddr>, now: Instant) {
        self.known.send_modify(|known| {
            if let Some(said) = known.get_mut(&server) {
                said.open = false;
                said.last = address.map(|a| (now, a)).or(said.last);
            }
        });
    }

    /// What is known at `now`, at once; else what comes of an open question within `most`.
    async fn wait(&self, server: SocketAddr, now: Instant, most: Duration) -> Option<SocketAddr> {
        let mut seen = self.known.subscribe();
        let there = seen.wait_for(|known| known.get(&server).is_none_or(|s| !s.open || s.address(now).is_some()));
        let _ = tokio::time::timeout(most, there).await;
        self.known.borrow().get(&server)?.address(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::super::super::control::{Command, Local};
    use super::super::super::net::Bell;
    use super::super::super::queue::{Queue, Taken};
    use super::*;
    use crate::media::hub::AccessUnit;

    /// Nobody waits so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[tokio::test]
    async fn all_who_join_at_once_get_the_one_answer() {
        let queue = Arc::new(Queue::<AccessUnit>::new(Bell::new().unwrap()));
        let handle = Handle::new(queue.clone(), Local { udp: vec![], tcp: vec![] });
        let (server, seen, mapped) = (at("192.0.2.1:3478"), at("203.0.113.7:4711"), Mapped::default());
        let gathering = Gathering { stun: Some(format!("stun://{server}")), wait: PATIENCE, ..Gathering::default() };
        let mut taken = Taken::default();
        let thread = async {
            // The others have begun by then.
            tokio::task::yield_now().await;
            queue.take(&mut taken);
            assert_eq!(taken.commands.len(), 1);
            let Some(Command::Reflexive { server: asked, answer, .. }) = taken.commands.pop_front() else {
                panic!("something else is asked for");
            };
            assert_eq!(asked, server);
            answer(Some(seen));
        };
        let (first, second, ()) =
            tokio::join!(mapped.get(&handle, &gathering), mapped.get(&handle, &gathering), thread);
        assert_eq!((first, second), (Some(seen), Some(seen)));
        // Who comes then has it at once, and nobody is asked.
        assert_eq!(mapped.get(&handle, &gathering).now_or_never(), Some(Some(seen)));
        queue.take(&mut taken);
        assert!(taken.commands.is_empty());
        // The thread has ended: nobody waits for it.
        queue.end();
        assert_eq!(Mapped::default().get(&handle, &gathering).now_or_never(), Some(None));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_asked_again_soon() {
        let (server, seen, mapped) = (at("192.0.2.1:3478"), at("203.0.113.7:4711"), Mapped::default());
        let start = Instant::now();
        assert!(mapped.begin(server, start));
        assert!(!mapped.begin(server, start + WAIT));
        mapped.end(server, None, start + WAIT);
        assert_eq!(mapped.wait(server, start + WAIT, PATIENCE).now_or_never(), Some(None));
        assert!(!mapped.begin(server, start + WAIT));
        let start = start + SOON;
        assert!(mapped.begin(server, start));
        mapped.end(server, Some(seen), start);
        assert!(!mapped.begin(server, start + SOON));
        // What is asked in the background keeps nobody waiting, and no answer is no news.
        let again = start + AGAIN;
        assert!(mapped.begin(server, again));
        assert_eq!(mapped.wait(server, again, PATIENCE).now_or_never(), Some(Some(seen)));
        mapped.end(server, None, again + WAIT);
        assert_eq!(mapped.wait(server, again + WAIT, PATIENCE).now_or_never(), Some(Some(seen)));
        // Nor does it matter where a question is forgotten.
        assert!(mapped.begin(server, again + SOON));
        assert!(!mapped.begin(server, again + SOON + WAIT));
        assert!(mapped.begin(server, again + SOON + SOON));
    }

    #[tokio::test]
    async fn an_old_answer_is_waited_for_like_the_first_one() {
        let (server, mapped, start) = (at("192.0.2.1:3478"), Mapped::default(), Instant::now());
        let (old, new) = (at("203.0.113.7:4711"), at("203.0.113.7:4712"));
        assert!(mapped.begin(server, start));
        mapped.end(server, Some(old), start);
        let almost = start + OLD - Duration::from_millis(1);
        assert_eq!(mapped.wait(server, almost, PATIENCE).now_or_never(), Some(Some(old)));
        let later = start + Duration::from_secs(3_600);
        assert!(mapped.begin(server, later));
        assert_eq!(mapped.wait(server, later, PATIENCE).now_or_never(), None);
        // Each one as long as it may.
        assert_eq!(mapped.wait(server, later, Duration::ZERO).await, None);
        let answer = async { mapped.end(server, Some(new), later) };
        let (first, second, ()) =
            tokio::join!(mapped.wait(server, later, PATIENCE), mapped.wait(server, later, PATIENCE), answer);
        assert_eq!((first, second), (Some(new), Some(new)));
    }
}
