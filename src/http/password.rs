//! Stored names and passwords: plain, `sha256:` (Base64 of the digest) and
//! `argon2:` (a PHC string), as in MediaMTX. Every comparison takes the same time
//! whatever matches; argon2 runs off the event loop, two at a time, and what was
//! verified once is remembered (as a keyed digest, never as the password).

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// How many verified pairs are remembered.
const REMEMBERED: usize = 256;
/// How many argon2 computations run at a time: each may take much memory.
const AT_ONCE: usize = 2;

/// Verifies passwords.
pub struct Verifier {
    /// Makes the remembered digests useless outside of this process.
    key: [u8; 32],
    known: Mutex<Known>,
    turns: Semaphore,
}

#[derive(Default)]
struct Known {
    set: HashSet<[u8; 32]>,
    /// Oldest first.
    order: VecDeque<[u8; 32]>,
}

impl Default for Verifier {
    fn default() -> Self {
        Verifier { key: rand::random(), known: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Verifier {
    /// Whether `presented` is what `stored` stands for. `look` is asked when it is
    /// this one's turn to be computed: a `false` from it says that it is not worth
    /// while any more.
    pub async fn check(&self, stored: &str, presented: &str, look: impl Fn() -> bool) -> bool {
        let Some(hash) = stored.strip_prefix("argon2:") else {
            return check_quick(stored, presented);
        };
        let mark = self.mark(stored, presented);
        if self.known(|k| k.set.contains(&mark)) {
            return true;
        }
        // The semaphore is never closed; without a turn there is no match.
        let Ok(_turn) = self.turns.acquire().await else {
            return false;
        };
        // A crowd of the same user: the first one of them has done the work.
        if self.known(|k| k.set.contains(&mark)) {
            return true;
        }
        if !look() {
            return false;
        }
        let (hash, guess) = (hash.to_string(), presented.to_string());
        let matched = tokio::task::spawn_blocking(move || check_argon2(&hash, &guess)).await.unwrap_or(false);
        if matched {
            self.known(|k| {
                if k.set.insert(mark) {
                    k.order.push_back(mark);
                }
                if k.order.len() > REMEMBERED
                    && let Some(oldest) = k.order.pop_front()
                {
                    k.set.remove(&oldest);
                }
            });
        }
        matched
    }

    fn known<T>(&self, f: impl FnOnce(&mut Known) -> T) -> T {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn mark(&self, stored: &str, presented: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        // The inner digest has a fixed length, so no two pairs run into each other.
        digest.update(Sha256::digest(stored.as_bytes()));
        digest.update(presented.as_bytes());
        digest.finalize().into()
    }
}

/// Plain and sha256: quick enough for the event loop. Comparing digests hides
/// the length of what is stored.
fn check_quick(stored: &str, presented: &str) -> bool {
    let presented = Sha256::digest(presented.as_bytes());
    match stored.strip_prefix("sha256:") {
        Some(encoded) => match STANDARD.decode(encoded) {
            Ok(stored) => presented.as_slice().ct_eq(&stored).into(),
            Err(_) => false,
        },
        None => presented.as_slice().ct_eq(&Sha256::digest(stored.as_bytes())).into(),
    }
}

/// Slow and hungry, by design.
fn check_argon2(hash: &str, presented: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(presented.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `argon2:` of a password, cheap enough for tests.
    pub(crate) fn argon2_of(pass: &str) -> String {
        use argon2::{Algorithm, Params, PasswordHasher, Version};
        let params = Params::new(64, 1, 1, None).unwrap();
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(pass.as_bytes(), b"0123456789abcdef")
            .unwrap();
        format!("argon2:{hash}")
    }

    #[tokio::test]
    async fn plain_sha256_and_argon2() {
        let v = Verifier::default();
        let sha = format!("sha256:{}", STANDARD.encode(Sha256::digest(b"s3cret")));
        for stored in ["s3cret", &sha, &argon2_of("s3cret")] {
            assert!(v.check(stored, "s3cret", || true).await, "{stored}");
            assert!(v.check(stored, "s3cret", || true).await, "{stored}, remembered");
            for wrong in ["", "s3cre", "s3cret ", "S3cret", stored, "s3cret\0"] {
                assert!(stored == "s3cret" && wrong == stored || !v.check(stored, wrong, || true).await);
            }
        }
        for broken in ["sha256:", "sha256:%%", "argon2:", "argon2:$argon2id$x"] {
            assert!(!v.check(broken, "", || true).await, "{broken}");
            assert!(!v.check(broken, "s3cret", || true).await, "{broken}");
        }
    }

    #[tokio::test]
    async fn whose_turn_came_too_late_is_not_computed() {
        let v = Verifier::default();
        let stored = argon2_of("p");
        assert!(!v.check(&stored, "p", || false).await);
        assert!(v.check(&stored, "p", || true).await);
        assert!(v.check(&stored, "p", || false).await, "remembered");
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let v = Verifier::default();
        let stored = argon2_of("p");
        assert!(v.check(&stored, "p", || true).await);
        v.known(|k| {
            for i in 0..REMEMBERED as u32 * 2 {
                let mut mark = [0; 32];
                mark[..4].copy_from_slice(&i.to_be_bytes());
                k.set.insert(mark);
                k.order.push_back(mark);
            }
            while k.order.len() > REMEMBERED {
                let oldest = k.order.pop_front().unwrap();
                k.set.remove(&oldest);
            }
        });
        assert!(v.check(&stored, "p", || true).await);
        assert!(v.known(|k| k.set.len() == k.order.len() && k.set.len() <= REMEMBERED));
    }
}
