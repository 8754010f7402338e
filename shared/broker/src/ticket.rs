//! The message for one attempt.

use serde::{Deserialize, Serialize};

/// A reference to one attempt. The worker that receives it asks Redis whether it still stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The format's version, so that releases can run side by side.
    #[serde(rename = "v")]
    version: u8,
    pub shard: u16,
    pub uid: String,
    pub index: u32,
    pub attempt: u32,
}

const VERSION: u8 = 1;

impl Ticket {
    pub fn new(shard: u16, uid: impl Into<String>, index: u32, attempt: u32) -> Self {
        Self { version: VERSION, shard, uid: uid.into(), index, attempt }
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
        if ticket.version == VERSION {
            Ok(ticket)
        } else {
            Err(format!("version {} is not {VERSION}", ticket.version))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_the_wire() {
        let ticket = Ticket::new(7, "a-b", 3, 2);
        assert_eq!(Ticket::decode(&ticket.encode()), Ok(ticket));
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
