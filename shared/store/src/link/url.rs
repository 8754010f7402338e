//! The servers that a URL of Redis names.

use redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult};

/// One for each host; they have the rest of the URL in common.
pub(super) fn servers(url: &str) -> RedisResult<Vec<ConnectionInfo>> {
    if url.matches("://").count() > 1 {
        let what = "several servers are named in one URL, as redis://user:password@a:6379,b:6379";
        return Err((ErrorKind::InvalidClientConfig, what).into());
    }
    // A comma before the last @ is the password's.
    let hosts_begin = url.rfind('@').map(|at| at + 1).or(url.find("://").map(|at| at + 3));
    let (before, rest) = url.split_at(hosts_begin.unwrap_or(0));
    let (hosts, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    hosts.split(',').map(|host| format!("{before}{host}{after}").into_connection_info()).collect()
}

pub(super) fn names_none() -> RedisError {
    (ErrorKind::InvalidClientConfig, "the URL names no server").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Vec<String> {
        let servers = servers(url).expect("a URL");
        let show = |info: ConnectionInfo| {
            let password = info.redis_settings().password().unwrap_or_default().to_owned();
            format!("{} {password} {}", info.addr(), info.redis_settings().db())
        };
        servers.into_iter().map(show).collect()
    }

    #[test]
    fn a_url_names_one_server_or_several() {
        assert_eq!(read("redis://h/2"), ["h:6379  2"]);
        assert_eq!(read("redis://:a,b@h:1"), ["h:1 a,b 0"]);
        assert_eq!(read("redis://u:p@a:1,b,[::1]:3/0"), ["a:1 p 0", "b:6379 p 0", "::1:3 p 0"]);
        assert_eq!(read("redis+unix:///s?db=1&pass=x,y"), ["/s x,y 1"]);
    }

    #[test]
    fn what_can_t_be_read_is_an_error_without_the_password() {
        for url in ["redis://:secret@a:1,redis://:secret@b:2", "redis://:secret@a:1,", "secret"] {
            let error = servers(url).expect_err(url).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
