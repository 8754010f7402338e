//! What an attempt under way is told: to stop, to go on after a failure, to be gone.

use std::time::Duration;

use longshore_support::clock::boottime_ns;
use tokio::sync::watch;

/// An order to an attempt under way. Later orders outrank earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Run,
    /// This worker is going down: stop within the grace period and hand the attempt back.
    Drain {
        grace: u32,
    },
    /// The owner asked for it: stop within the grace period, in seconds.
    Stop {
        grace: u32,
    },
    /// The attempt isn't this worker's any more: kill it, and report nothing.
    Gone,
}

/// The two sides of an attempt's orders: [`Control::handle`]'s gives them, this one hears them.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    orders: watch::Receiver<Order>,
    /// For a part of an attempt: the attempt's own orders, and from which one on they count here.
    above: Option<(watch::Receiver<Order>, Order)>,
    granted: watch::Receiver<u32>,
    deadline: watch::Receiver<u64>,
}

/// Gives orders to one attempt, or to a part of it.
#[derive(Debug)]
pub(crate) struct Handle {
    orders: watch::Sender<Order>,
    granted: watch::Sender<u32>,
    deadline: watch::Sender<u64>,
}

impl Control {
    /// `granted` is how many restarts the owner has granted already, `deadline` the end of the
    /// attempt's lease in nanoseconds of CLOCK_BOOTTIME.
    pub(crate) fn new(granted: u32, deadline: u64) -> (Handle, Self) {
        let (orders_in, orders) = watch::channel(Order::Run);
        let (granted_in, granted) = watch::channel(granted);
        let (deadline_in, deadline) = watch::channel(deadline);
        (
            Handle { orders: orders_in, granted: granted_in, deadline: deadline_in },
            Self { orders, above: None, granted, deadline },
        )
    }

    /// The orders of a part of the attempt: those given to the attempt from `least` on, and its own.
    pub(crate) fn part(&self, least: Order) -> (watch::Sender<Order>, Self) {
        let (own, orders) = watch::channel(Order::Run);
        let above = Some((self.orders.clone(), least));
        (own, Self { orders, above, ..self.clone() })
    }

    /// Waits for an order that outranks the given one.
    pub(crate) async fn above(&mut self, known: Order) -> Order {
        let own = heard(&mut self.orders, |order| *order > known);
        match &mut self.above {
            None => own.await,
            Some((orders, least)) => {
                let least = *least;
                tokio::select! {
                    order = own => order,
                    order = heard(orders, |order| *order > known && *order >= least) => order,
                }
            }
        }
    }

    /// Waits until the owner has granted this many restarts.
    pub(crate) async fn granted(&mut self, restarts: u32) {
        let heard = self.granted.wait_for(|granted| *granted >= restarts).await.is_ok();
        if !heard {
            std::future::pending().await
        }
    }

    pub(crate) fn deadline(&self) -> u64 {
        *self.deadline.borrow()
    }

    /// Waits until the lease has at least this long to go: a renewal may be on its way.
    pub(crate) async fn leased_for(&mut self, long: Duration) {
        let long = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
        let enough = |deadline: &u64| *deadline > boottime_ns().saturating_add(long);
        let heard = self.deadline.wait_for(enough).await.is_ok();
        if !heard {
            std::future::pending().await
        }
    }
}

async fn heard(orders: &mut watch::Receiver<Order>, counts: impl FnMut(&Order) -> bool) -> Order {
    match orders.wait_for(counts).await.map(|order| *order) {
        Ok(order) => order,
        // Nobody is left to give one.
        Err(_) => std::future::pending().await,
    }
}

/// Gives an order, unless one that outranks it was given before.
pub(crate) fn give(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|current| {
        let outranks = order > *current;
        if outranks {
            *current = order;
        }
        outranks
    });
}

impl Handle {
    /// Gives an order, unless one that outranks it was given before.
    pub(crate) fn order(&self, order: Order) {
        give(&self.orders, order);
    }

    pub(crate) fn grant(&self, restarts: u32) {
        self.granted.send_if_modified(|granted| {
            let more = restarts > *granted;
            *granted = restarts.max(*granted);
            more
        });
    }

    pub(crate) fn deadline(&self) -> u64 {
        *self.deadline.borrow()
    }

    /// Moves the end of the lease forward.
    pub(crate) fn extend(&self, deadline: u64) {
        self.deadline.send_if_modified(|current| {
            let later = deadline > *current;
            *current = deadline.max(*current);
            later
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lesser_order_does_not_replace_a_greater_one() {
        let (handle, mut control) = Control::new(0, 0);
        handle.order(Order::Stop { grace: 5 });
        handle.order(Order::Drain { grace: 30 });
        assert_eq!(control.above(Order::Run).await, Order::Stop { grace: 5 });
        handle.order(Order::Gone);
        assert_eq!(control.above(Order::Stop { grace: 5 }).await, Order::Gone);
    }

    #[tokio::test]
    async fn a_part_hears_its_own_orders_and_the_greater_of_the_attempts() {
        let (handle, control) = Control::new(0, 0);
        let (_own, mut main) = control.part(Order::Run);
        let (side, mut sidecar) = control.part(Order::Gone);
        handle.order(Order::Stop { grace: 5 });
        assert_eq!(main.above(Order::Run).await, Order::Stop { grace: 5 });
        give(&side, Order::Stop { grace: 1 });
        assert_eq!(sidecar.above(Order::Run).await, Order::Stop { grace: 1 });
        handle.order(Order::Gone);
        assert_eq!(sidecar.above(Order::Stop { grace: 1 }).await, Order::Gone);
        assert_eq!(main.above(Order::Stop { grace: 5 }).await, Order::Gone);
    }

    #[tokio::test]
    async fn grants_and_leases_only_grow() {
        let (handle, mut control) = Control::new(1, 10);
        handle.grant(3);
        handle.grant(2);
        control.granted(3).await;
        handle.extend(5);
        assert_eq!(control.deadline(), 10);
        handle.extend(u64::MAX);
        control.leased_for(Duration::from_secs(60)).await;
    }
}
