//! The connections that are open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::phase::Phase;
use super::{Limits, subscriber_network};

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) phase: Phase,
    /// Cancelled when it is closed to make room.
    pub(super) evicted: CancellationToken,
}

/// The connections that are open, by address.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Limits,
    open: Mutex<HashMap<IpAddr, Vec<Arc<Open>>>>,
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    address: IpAddr,
    pub(super) open: Arc<Open>,
}

impl Registry {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Returns a place for a connection from this address. Where there are too many, the one that
    /// its caller has kept waiting for longest is closed; `None` if there is none.
    pub(super) fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = subscriber_network(address);
        let mut open = self.open.lock();
        if open.get(&address).is_some_and(|ours| ours.len() >= self.limits.per_address) {
            evict(&mut open, address)?;
        }
        if open.values().map(Vec::len).sum::<usize>() >= self.limits.connections {
            evict_of_the_greediest(&mut open)?;
        }
        let connection = Arc::new(Open { phase: Phase::new(), evicted: CancellationToken::new() });
        open.entry(address).or_default().push(Arc::clone(&connection));
        Some(Place { registry: Arc::clone(self), address, open: connection })
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.open.lock().values().map(Vec::len).sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        if let Some(ours) = open.get_mut(&self.address) {
            ours.retain(|other| !Arc::ptr_eq(other, &self.open));
            if ours.is_empty() {
                open.remove(&self.address);
            }
        }
    }
}

/// Closes the connection of an address that has been kept waiting for longest.
fn evict(open: &mut HashMap<IpAddr, Vec<Arc<Open>>>, address: IpAddr) -> Option<()> {
    let ours = open.get_mut(&address)?;
    let waiting = ours.iter().enumerate().filter_map(|(index, one)| Some((one.phase.kept_waiting_since()?, index)));
    let (_, longest) = waiting.min()?;
    ours.swap_remove(longest).evicted.cancel();
    Some(())
}

/// Closes a connection of the address that has the most, or of the next that keeps one waiting.
fn evict_of_the_greediest(open: &mut HashMap<IpAddr, Vec<Arc<Open>>>) -> Option<()> {
    let mut addresses: Vec<(usize, IpAddr)> = open.iter().map(|(address, ours)| (ours.len(), *address)).collect();
    addresses.sort_unstable_by(|one, other| other.cmp(one));
    addresses.into_iter().find_map(|(_, address)| evict(open, address))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::phase::Waiting;
    use super::*;

    fn registry(connections: usize, per_address: usize) -> Arc<Registry> {
        Registry::new(Limits { connections, per_address, ..Limits::with_files(1024) })
    }

    fn place(registry: &Arc<Registry>, address: &str) -> Option<Place> {
        registry.place(address.parse().unwrap())
    }

    #[test]
    fn connection_kept_waiting_for_longest_makes_room() {
        let registry = registry(100, 3);
        let places: Vec<Place> = (0..3).map(|_| place(&registry, "192.0.2.1").unwrap()).collect();
        std::thread::sleep(std::time::Duration::from_millis(5));
        places[0].open.phase.enter(Waiting::Answer);
        places[1].open.phase.enter(Waiting::Body);
        let fourth = place(&registry, "192.0.2.1").unwrap();
        let evicted: Vec<bool> = places.iter().map(|place| place.open.evicted.is_cancelled()).collect();
        assert_eq!(evicted, [false, false, true]);
        for place in places.iter().chain([&fourth]) {
            place.open.phase.enter(Waiting::Answer);
        }
        assert!(place(&registry, "192.0.2.1").is_none(), "those that are being answered stay");
        assert!(place(&registry, "192.0.2.2").is_some());
    }

    #[test]
    fn address_with_the_most_connections_makes_room_for_others() {
        let registry = registry(4, 4);
        let many: Vec<Place> = (1..=3).map(|n| place(&registry, &format!("2001:db8::{n}")).unwrap()).collect();
        let one = place(&registry, "192.0.2.1").unwrap();
        let _other = place(&registry, "192.0.2.2").unwrap();
        assert!(many[0].open.evicted.is_cancelled() && !one.open.evicted.is_cancelled());
    }

    #[test]
    fn closed_connection_gives_its_place_back() {
        let registry = registry(2, 2);
        let places: Vec<Place> = (0..4).map(|_| place(&registry, "192.0.2.1").unwrap()).collect();
        assert_eq!(registry.count(), 2);
        drop(places);
        assert_eq!(registry.count(), 0);
    }
}
