//! Free TCP ports on loopback.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use uuid::Uuid;

/// The lowest port handed out.
const LOWEST: u16 = 10_240;
/// Where outgoing connections get theirs on Linux, unless /proc says otherwise.
const EPHEMERAL: u16 = 32_768;
const TRIES: usize = 1000;

/// `count` different ports that nobody listens on.
///
/// They lie below the range of outgoing connections: a member that is away and
/// comes back must find its port free, and a client that calls a port of that
/// range while nobody listens can end up connected to itself.
///
/// # Errors
/// When no port is free.
pub(super) fn free(count: usize) -> io::Result<Vec<u16>> {
    let ceiling = ephemeral_start();
    let mut held = Vec::with_capacity(count);
    for _ in 0..TRIES {
        if held.len() == count {
            break;
        }
        let wanted = LOWEST + random() % (ceiling - LOWEST);
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)));
    }
    while held.len() < count {
        held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

fn ephemeral_start() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let start = range.split_whitespace().next().and_then(|start| start.parse().ok());
    start.filter(|start| *start > LOWEST + 1000).unwrap_or(EPHEMERAL)
}

fn random() -> u16 {
    let bytes = Uuid::new_v4().into_bytes();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_free() {
        let ports = free(20).expect("free ports");
        let mut unique = ports.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 20);
    }
}
