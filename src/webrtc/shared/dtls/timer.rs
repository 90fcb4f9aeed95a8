//! OpenSSL's retransmission timer, which the `openssl` crate does not show: three calls
//! into C, here and nowhere else.

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::ptr;
use std::time::Duration;

use foreign_types_shared::ForeignTypeRef;
use openssl::ssl::SslRef;

use super::{FIRST, MOST};

/// `DTLSv1_get_timeout` and `DTLSv1_handle_timeout` are macros over `SSL_ctrl` (ssl.h).
const GET_TIMEOUT: c_int = 73;
const HANDLE_TIMEOUT: c_int = 74;

type Callback = unsafe extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint;

unsafe extern "C" {
    fn DTLS_set_timer_cb(ssl: *mut openssl_sys::SSL, callback: Option<Callback>);
}

/// The next wait, from the last one, in microseconds; 0: there was none.
unsafe extern "C" fn next(_: *mut openssl_sys::SSL, last: c_uint) -> c_uint {
    let (first, most) = (FIRST.as_micros() as c_uint, MOST.as_micros() as c_uint);
    if last == 0 { first } else { last.saturating_mul(2).min(most) }
}

/// Sets our waits instead of 1 s, doubling to 60.
pub(super) fn configure(ssl: &mut SslRef) {
    // SAFETY: the pointer is a live SSL that we borrow mutably; the callback lives as long
    // as the program, does not unwind and does not touch the SSL.
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(next)) }
}

/// How long until a flight is to be repeated; none where none waits for an answer.
pub(super) fn left(ssl: &SslRef) -> Option<Duration> {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the pointer is a live SSL; this command writes one timeval to its argument.
    let set = unsafe { openssl_sys::SSL_ctrl(ssl.as_ptr(), GET_TIMEOUT, 0, ptr::from_mut(&mut time).cast::<c_void>()) };
    let micros = u64::try_from(time.tv_sec).ok()? * 1_000_000 + u64::try_from(time.tv_usec).ok()?;
    (set == 1).then(|| Duration::from_micros(micros))
}

/// Repeats the flight if its time has come. False when it was repeated too often.
pub(super) fn expired(ssl: &SslRef) -> bool {
    // SAFETY: the pointer is a live SSL; the command takes no argument. It writes to the
    // stream's BIO, which nobody has borrowed meanwhile.
    let done: c_long = unsafe { openssl_sys::SSL_ctrl(ssl.as_ptr(), HANDLE_TIMEOUT, 0, ptr::null_mut()) };
    done >= 0
}
