//! The Lua scripts, one file each in `scripts/`. Those over a shard share `common.lua`.
//!
//! Each says in its first line how Redis is to treat it, and so is run as a whole or refused as a whole: of a
//! script without that line a Redis that is out of memory runs the writes that take none, up to the first
//! that takes some. A Redis at its `maxmemory` refuses what takes on more, and what has been taken on is
//! brought to its end: that frees memory. Redis 6 can't read that line.

use std::sync::LazyLock;

use redis::Script;

/// Scripts over a shard.
macro_rules! shard_scripts {
    ($first:literal $($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                $first,
                include_str!("scripts/common.lua"),
                "\n",
                include_str!(concat!("scripts/", $file)),
            ))
        });)*
    };
}

/// Scripts over anything else.
macro_rules! other_scripts {
    ($first:literal $($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($first, include_str!(concat!("scripts/", $file)))));)*
    };
}

// What takes on more.

shard_scripts! { "#!lua\n"
    CREATE = "create.lua";
    CREATE_CONFIG = "create_config.lua";
    UPDATE_CONFIG = "update_config.lua";
}

other_scripts! { "#!lua\n"
    LOG_APPEND = "log_append.lua";
}

// What goes on at `maxmemory`.

shard_scripts! { "#!lua flags=allow-oom\n"
    ACCEPT = "accept.lua";
    ASIDE = "aside.lua";
    BEAT = "beat.lua";
    CLAIM = "claim.lua";
    COMMIT = "commit.lua";
    DELETE = "delete.lua";
    DELETE_CONFIG = "delete_config.lua";
    DELETE_POD = "delete_pod.lua";
    ENROLL = "enroll.lua";
    EVENT = "event.lua";
    EXPIRE = "expire.lua";
    FAIL = "fail.lua";
    FINISH = "finish.lua";
    FORWARDED = "forwarded.lua";
    GRANT = "grant.lua";
    OWN = "own.lua";
    PURGE = "purge.lua";
    RELEASE = "release.lua";
    RENEW = "renew.lua";
    START = "start.lua";
    STOP = "stop.lua";
    UPDATE = "update.lua";
}

other_scripts! { "#!lua flags=allow-oom\n"
    CLUSTER = "cluster.lua";
    COORDINATOR_BEAT = "coordinator_beat.lua";
    CORDON = "cordon.lua";
    HEARTBEAT = "heartbeat.lua";
    LOG_CHANGES = "log_changes.lua";
    LOG_END = "log_end.lua";
    RAISE_FORMAT = "raise_format.lua";
}
