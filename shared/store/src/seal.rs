//! Keeps Secrets unreadable in Redis: AES-256 in Galois/Counter Mode, each with a nonce of its own.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

/// The key to a cluster's Secrets.
pub struct Seal {
    key: LessSafeKey,
    /// Tells keys apart without giving them away.
    id: String,
    random: SystemRandom,
}

/// Why a Secret can't be sealed or opened. No error holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("there is no key for Secrets: set secrets.key or secrets.key_file")]
    NoKey,
    #[error("the key for Secrets must be 32 bytes in base64, as from: openssl rand -base64 32")]
    BadKey,
    #[error("it was sealed with another key than the one in secrets.key or secrets.key_file")]
    OtherKey,
    #[error("what is stored was damaged or moved")]
    Damaged,
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl Seal {
    /// The key as the settings have it: 32 bytes in base64.
    ///
    /// # Errors
    /// [`SealError::BadKey`]
    pub fn new(key: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(key.trim()).map_err(|_| SealError::BadKey)?;
        let unbound = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| SealError::BadKey)?;
        let id = STANDARD.encode(&digest(&SHA256, &bytes).as_ref()[..6]);
        Ok(Self { key: LessSafeKey::new(unbound), id, random: SystemRandom::new() })
    }

    /// A new key, as the settings have it.
    ///
    /// # Errors
    /// [`SealError::NoRandom`]
    pub fn new_key() -> Result<String, SealError> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SealError::NoRandom)?;
        Ok(STANDARD.encode(bytes))
    }

    /// `<id of the key>:<nonce and what is sealed, in base64>`. It opens only for the same `place`.
    pub(crate) fn seal(&self, place: &str, text: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
        let mut sealed = text.as_bytes().to_vec();
        let (unique, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(place));
        let done = self.key.seal_in_place_append_tag(unique, aad, &mut sealed);
        // Its only error is a text of more than 64 GiB.
        done.map_err(|_| SealError::Damaged)?;
        let whole = [nonce.as_slice(), &sealed].concat();
        Ok(format!("{}:{}", self.id, STANDARD.encode(whole)))
    }

    pub(crate) fn open(&self, place: &str, sealed: &str) -> Result<String, SealError> {
        let (id, whole) = sealed.split_once(':').ok_or(SealError::Damaged)?;
        if id != self.id {
            return Err(SealError::OtherKey);
        }
        let whole = STANDARD.decode(whole).map_err(|_| SealError::Damaged)?;
        let (nonce, text) = whole.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut text = text.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(place), &mut text);
        let opened = opened.map_err(|_| SealError::Damaged)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealError::Damaged)
    }
}

/// Without the key.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let seal = Seal::new(&Seal::new_key().expect("random")).expect("a key");
        let sealed = seal.seal("a", "tell nobody").expect("sealed");
        assert!(!sealed.contains("nobody"));
        assert_ne!(seal.seal("a", "tell nobody").expect("sealed"), sealed);
        assert_eq!(seal.open("a", &sealed).as_deref(), Ok("tell nobody"));
        assert_eq!(seal.open("b", &sealed), Err(SealError::Damaged));
        for damaged in ["", ":", &sealed[..sealed.len() - 4]] {
            assert!(seal.open("a", damaged).is_err(), "{damaged}");
        }
        let other = Seal::new(&Seal::new_key().expect("random")).expect("a key");
        assert_eq!(other.open("a", &sealed), Err(SealError::OtherKey));
    }

    #[test]
    fn a_key_has_32_bytes() {
        for key in ["", "x", "AAAA", &"A".repeat(44)] {
            assert_eq!(Seal::new(key).err(), Some(SealError::BadKey), "{key}");
        }
    }
}
