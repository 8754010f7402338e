//! Messages from RabbitMQ.

use longshore_broker::Ticket;

/// `data` is the body of a message in the queue of tickets.
pub fn ticket(data: &[u8]) {
    match Ticket::decode(data) {
        Ok(ticket) => assert_eq!(Ticket::decode(&ticket.encode()), Ok(ticket)),
        Err(why) => assert!(!why.is_empty()),
    }
}
