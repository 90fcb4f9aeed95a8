//! Waits for descriptors: epoll.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// Events per call.
const MANY: usize = 256;
/// The call takes 64-bit times, as this machine's are.
const FINE: bool = size_of::<libc::timespec>() == 16;

/// See the module.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
    got: usize,
    /// The kernel waits to the nanosecond (Linux 5.11); without that, to the millisecond.
    fine: bool,
}

/// What a descriptor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The number that it was added with.
    pub token: u64,
    /// Something can be read, or it has ended.
    pub read: bool,
    /// Something can be written.
    pub write: bool,
}

impl Poll {
    /// Watches nothing.
    pub fn new() -> io::Result<Poll> {
        // SAFETY: takes a number, returns a descriptor or -1.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given it to us, and to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; MANY], got: 0, fine: FINE })
    }

    fn control(&self, operation: libc::c_int, fd: &impl AsFd, read: bool, write: bool, token: u64) -> io::Result<()> {
        let mut events = 0;
        if read {
            events |= libc::EPOLLIN;
        }
        if write {
            events |= libc::EPOLLOUT;
        }
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: the event lives over the call.
        let done = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd.as_fd().as_raw_fd(), &mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Watches a descriptor for something to read. It is watched until it is closed.
    pub fn add(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, true, false, token)
    }

    /// What it is watched for from now on.
    pub fn change(&self, fd: &impl AsFd, token: u64, read: bool, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, read, write, token)
    }

    /// Waits, for ever where there is no time.
    pub fn wait(&mut self, time: Option<Duration>) -> io::Result<()> {
        self.got = 0;
        let got = match time.filter(|_| self.fine) {
            Some(time) => self.wait_fine(time),
            None => self.wait_coarse(time),
        };
        if got < 0 {
            let e = io::Error::last_os_error();
            return match e.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                // The call is missing, or forbidden (old seccomp profiles say EPERM).
                _ if self.fine && time.is_some() => {
                    self.fine = false;
                    self.wait(time)
                }
                _ => Err(e),
            };
        }
        self.got = got as usize;
        Ok(())
    }

    fn wait_fine(&mut self, time: Duration) -> libc::c_long {
        let time = libc::timespec {
            tv_sec: time.as_secs().min(3_600) as libc::time_t,
            tv_nsec: time.subsec_nanos() as libc::c_long,
        };
        // SAFETY: there is room for so many events; the time lives over the call; without
        // a set of signals its size is not looked at.
        unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                MANY as libc::c_int,
                ptr::from_ref(&time),
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        }
    }

    fn wait_coarse(&mut self, time: Option<Duration>) -> libc::c_long {
        // Up, so that what is due then is due.
        let millis = time.map_or(-1, |t| libc::c_int::try_from(t.as_micros().div_ceil(1_000)).unwrap_or(60_000));
        // SAFETY: there is room for so many events.
        let got =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), MANY as libc::c_int, millis) };
        got.into()
    }

    /// How many descriptors have something.
    pub fn count(&self) -> usize {
        self.got
    }

    /// What one has.
    pub fn get(&self, i: usize) -> Option<Ready> {
        let event = self.events.get(i).copied().filter(|_| i < self.got)?;
        let (bits, token) = (event.events as libc::c_int, event.u64);
        // An error or an end is found by reading.
        let read = bits & (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) != 0;
        Some(Ready { token, read, write: bits & libc::EPOLLOUT != 0 })
    }
}

/// CLOCK_MONOTONIC, ns: what frames are stamped with.
pub fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, ptr::from_mut(&mut time)) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::Bell;
    use super::*;

    #[test]
    fn waits_as_long_as_it_is_told_either_way() {
        let bell = Bell::new().unwrap();
        let mut poll = Poll::new().unwrap();
        poll.add(&bell, 7).unwrap();
        for fine in [true, false] {
            poll.fine = fine;
            let began = Instant::now();
            poll.wait(Some(Duration::from_micros(2_500))).unwrap();
            assert!(began.elapsed() >= Duration::from_micros(2_500));
            assert_eq!(poll.get(0), None);
            bell.ring();
            poll.wait(None).unwrap();
            assert_eq!((poll.count(), poll.get(0)), (1, Some(Ready { token: 7, read: true, write: false })));
            bell.hear();
        }
    }
}
