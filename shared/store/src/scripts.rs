//! The Lua scripts, one file each in `scripts/`. Those over a shard share `common.lua`.

use std::sync::LazyLock;

use redis::Script;

macro_rules! shard_scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("scripts/common.lua"),
                "\n",
                include_str!(concat!("scripts/", $file)),
            ))
        });)*
    };
}

macro_rules! global_scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file))));)*
    };
}

shard_scripts! {
    ACCEPT = "accept.lua";
    BEAT = "beat.lua";
    CLAIM = "claim.lua";
    COMMIT = "commit.lua";
    CREATE = "create.lua";
    CREATE_CONFIG = "create_config.lua";
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
    UPDATE_CONFIG = "update_config.lua";
}

global_scripts! {
    CLUSTER = "cluster.lua";
    CORDON = "cordon.lua";
    HEARTBEAT = "heartbeat.lua";
    LOG_APPEND = "log_append.lua";
    LOG_END = "log_end.lua";
    RAISE_FORMAT = "raise_format.lua";
}
