//! The looks that are taken at the model, each at some faults. All faults at once would be too many
//! states.

use crate::action::Action::{Owner, Server, Tick, Worker};
use crate::bounds::{Bounds, Budget};
use crate::owner::Step::{Commit, CommitLate, Expire, Own};
use crate::server::Step::Save;
use crate::words::Ticket;
use crate::worker::Step::{Claim, Hear, Renew};
use crate::worker::Which;

/// No fault of the budget: frozen processes and late replies alone, which need none.
const NONE: Budget = Budget {
    crashes: 0,
    lost: 0,
    late: 0,
    losses: 0,
    doubles: 0,
    failures: 0,
    takeovers: 0,
    restarts: 0,
    rewinds: 0,
    clock: 0,
};

/// One index, two workers, and nothing but time: any process may stand still, any reply be late.
pub const TIME: Bounds = Bounds {
    served: true,
    before: &[],
    indexes: 1,
    slots: [1, 1],
    alike: true,
    swift: true,
    coordinators: 1,
    attempts: [2, 1],
    drift: 0,
    faults: NONE,
};

/// Clocks that drift by all that the margin and the slack cover.
pub const CLOCKS: Bounds = Bounds { drift: 2, ..TIME };

/// Requests that are carried out late, or after their sender has given up.
pub const CALLS: Bounds = Bounds { swift: false, faults: Budget { late: 1, ..NONE }, ..TIME };

/// Workers that are killed at every step, and replies that get lost.
pub const CRASHES: Bounds =
    Bounds { faults: Budget { crashes: 1, lost: 1, failures: 1, ..NONE }, ..TIME };

/// Tickets that are lost and doubled.
pub const BROKER: Bounds =
    Bounds { faults: Budget { losses: 1, doubles: 1, failures: 1, ..NONE }, ..TIME };

/// Two indexes, so that a worker can hold one while it runs the other.
pub const INDEXES: Bounds = Bounds { indexes: 2, attempts: [1, 2], ..TIME };

/// Another owner takes the shard, while a commit of the one before is under way.
pub const OWNERS: Bounds = Bounds {
    coordinators: 2,
    faults: Budget { takeovers: 1, late: 1, failures: 1, ..NONE },
    ..TIME
};

/// The former owner's account of a lost attempt is under way, while the next one's is stored.
pub const ACCOUNTS: Bounds = Bounds {
    before: &[
        Worker(0, Claim(0, Ticket { index: 0, attempt: 1 })),
        Worker(0, Hear(Which::Slot(0))),
        Tick([1, 1]),
        Tick([1, 1]),
        Tick([1, 1]),
        Tick([1, 1]),
        Owner(0, Expire(0, 0)),
        Owner(0, CommitLate(0)),
        Owner(1, Own),
        Owner(1, Commit(0)),
    ],
    alike: false,
    attempts: [3, 1],
    ..OWNERS
};

/// Redis restarts and forgets nothing.
pub const RESTART: Bounds = Bounds { faults: Budget { restarts: 1, failures: 1, ..NONE }, ..TIME };

/// Redis forgets the only claim.
pub const FORGOTTEN: Bounds = Bounds {
    before: &[Server(Save)],
    attempts: [1, 1],
    faults: Budget { rewinds: 1, ..NONE },
    ..TIME
};

/// Redis forgets the only claim, and a worker is killed.
pub const ORPHANED: Bounds =
    Bounds { faults: Budget { rewinds: 1, crashes: 1, ..NONE }, ..FORGOTTEN };

/// Redis forgets that a claim was revoked. The worker that it was of has not begun yet, and another was
/// offered its index.
pub const REVIVED: Bounds = Bounds {
    before: &[
        Server(Save),
        Worker(0, Claim(0, Ticket { index: 0, attempt: 1 })),
        Worker(0, Hear(Which::Slot(0))),
        Tick([1, 1]),
        Tick([1, 1]),
        Tick([1, 1]),
        Tick([1, 1]),
        Owner(0, Expire(0, 0)),
        Owner(0, Commit(0)),
    ],
    alike: false,
    attempts: [2, 1],
    ..FORGOTTEN
};

/// Redis remembers the first claim, and forgets what became of it.
pub const REMEMBERED: Bounds = Bounds {
    before: &[
        Worker(0, Claim(0, Ticket { index: 0, attempt: 1 })),
        Worker(0, Hear(Which::Slot(0))),
        Server(Save),
    ],
    alike: false,
    attempts: [2, 1],
    ..FORGOTTEN
};

/// Redis forgets that the shard has ever been served.
pub const FRESH: Bounds = Bounds {
    served: false,
    before: &[Owner(0, Own), Owner(0, Commit(0)), Server(Save)],
    ..FORGOTTEN
};

/// Redis forgets a restart, and the clock of its host is set back.
pub const TOKENS: Bounds =
    Bounds { faults: Budget { restarts: 1, rewinds: 1, clock: 1, ..NONE }, ..FORGOTTEN };

/// Redis forgets that a shard was taken, and restarts once more before its owner has accepted it.
pub const TERMS: Bounds =
    Bounds { coordinators: 2, faults: Budget { restarts: 1, rewinds: 1, ..NONE }, ..FORGOTTEN };

/// A worker runs one index; of the other it was told by its lease alone, as the reply to its claim is on
/// its way. That attempt is about to be handed back.
pub const UNHEARD: Bounds = Bounds {
    before: &[
        Worker(0, Claim(0, Ticket { index: 0, attempt: 1 })),
        Worker(0, Hear(Which::Slot(0))),
        Worker(0, Claim(1, Ticket { index: 1, attempt: 1 })),
        Tick([1, 1]),
        Worker(0, Renew),
        Worker(0, Hear(Which::Renew)),
        Tick([1, 1]),
        Worker(0, Renew),
        Worker(0, Hear(Which::Renew)),
        Tick([1, 1]),
        Worker(0, Renew),
        Worker(0, Hear(Which::Renew)),
        Tick([1, 1]),
        Worker(0, Renew),
        Worker(0, Hear(Which::Renew)),
    ],
    indexes: 2,
    slots: [2, 0],
    alike: false,
    attempts: [1, 2],
    faults: Budget { late: 1, ..NONE },
    ..TIME
};
