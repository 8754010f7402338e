//! The message for one attempt.

use longshore_support::format::Format;
use serde::{Deserialize, Serialize};

/// A reference to one attempt. The worker that receives it asks Redis whether it still stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ticket {
    /// The format that the cluster writes, so that releases can run side by side.
    #[serde(rename = "v")]
    format: Format,
    pub shard: u16,
    pub uid: String,
    pub index: u32,
    pub attempt: u32,
}

impl Ticket {
    pub fn new(
        format: Format,
        shard: u16,
        uid: impl Into<String>,
        index: u32,
        attempt: u32,
    ) -> Self {
        Self { format, shard, uid: uid.into(), index, attempt }
    }

    /// A message's body.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a ticket has only numbers and text")
    }

    /// Reads a message's body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(body: &[u8]) -> Result<Self, String> {
        let ticket: Self = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        match ticket.format.is_read() {
            true => Ok(ticket),
            false => Err(format!("this release can't read format {}", ticket.format)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_the_wire() {
        let ticket = Ticket::new(Format::newest(), 7, "a-b", 3, 2);
        assert_eq!(Ticket::decode(&ticket.encode()), Ok(ticket));
    }

    #[test]
    fn what_a_newer_release_adds_is_passed_over() {
        let body = br#"{"v":1,"shard":0,"uid":"a","index":0,"attempt":1,"class":"small"}"#;
        assert_eq!(Ticket::decode(body), Ok(Ticket::new(Format(1), 0, "a", 0, 1)));
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        for body in
            [&b""[..], b"{}", b"[1]", br#"{"v":2,"shard":0,"uid":"a","index":0,"attempt":1}"#]
        {
            assert!(Ticket::decode(body).is_err());
        }
    }
}
