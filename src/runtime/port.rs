//! Who listens on a port: asked before a server is started there, and answered with a name instead
//! of a number.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt::set_socket_reuseaddr};

use crate::core::addresses_overlap;

/// Returns whether a server could listen there now.
///
/// Binds as tokio does, but never listens: neither can a client be turned away by the test, nor a
/// server that starts at the same moment be disturbed by it.
pub(super) fn is_free(listen: SocketAddr) -> io::Result<bool> {
    let family = if listen.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    match bind(&socket, &listen) {
        Ok(()) => Ok(true),
        Err(Errno::ADDRINUSE) => Ok(false),
        Err(error) => Err(io::Error::from(error)),
    }
}

/// The processes that listen where `listen` would; only those that the own user may look at.
pub(super) fn listeners(listen: SocketAddr) -> Vec<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let inodes: HashSet<String> = tables.iter().flat_map(|table| listening_inodes(table, listen)).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let sockets: HashSet<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|process| process.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| holds_one_of(*pid, &sockets))
        .collect()
}

/// Names who listens, as a person would; `known` names those that are more than a program.
pub(super) fn name(listeners: &[u32], known: impl Fn(u32) -> Option<String>) -> String {
    let program =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_else(|_| "a program".to_owned());
    let named: Vec<String> = listeners
        .iter()
        .map(|pid| format!("{} (process {pid})", known(*pid).unwrap_or_else(|| program(*pid).trim_end().to_owned())))
        .collect();
    match named.as_slice() {
        [] => "a program of another user".to_owned(),
        named => named.join(", "),
    }
}

fn holds_one_of(pid: u32, sockets: &HashSet<String>) -> bool {
    let Ok(descriptors) = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else { return false };
    descriptors
        .filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}

/// The inodes of sockets that listen where `listen` would, from a table in the form of
/// `/proc/net/tcp` or `tcp6`.
fn listening_inodes(table: &str, listen: SocketAddr) -> Vec<String> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let local = address(fields.get(1)?)?;
            let inode = *fields.get(9)?;
            let collides = *fields.get(3)? == LISTEN
                && local.port() == listen.port()
                && addresses_overlap(local.ip(), listen.ip());
            collides.then(|| inode.to_owned())
        })
        .collect()
}

/// Reads `0100007F:1F90`: the words of the address in the byte order of the machine, the port as a
/// number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<[u8; 4]> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| Some(u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<_>>()?;
    let bytes = words.concat();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::*;

    /// Ports that the kernel assigns to no connection of a test that runs at the same time.
    const OWN_PORTS: std::ops::Range<u16> = 14_000..15_000;

    fn listener(ip: &str) -> TcpListener {
        let ip: IpAddr = ip.parse().unwrap();
        OWN_PORTS.into_iter().find_map(|port| TcpListener::bind((ip, port)).ok()).unwrap()
    }

    /// Waits until a condition holds. Children of other tests have the sockets of this process from their
    /// fork until they are replaced by a program.
    fn assert_soon(condition: impl Fn() -> bool, failure: impl Fn() -> String) {
        let until = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < until, "{}", failure());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn listener_takes_its_port_on_its_own_address_and_on_all() {
        for ip in ["127.0.0.1", "::1", "0.0.0.0"] {
            let listener = listener(ip);
            let taken = listener.local_addr().unwrap();
            let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), taken.port());
            for listen in if taken.is_ipv4() { vec![taken, everywhere] } else { vec![taken] } {
                assert!(!is_free(listen).unwrap(), "{listen}");
                let found = || listeners(listen);
                assert_soon(|| found() == [std::process::id()], || format!("{listen}: {:?}", found()));
            }
            let own = std::fs::read_to_string("/proc/self/comm").unwrap();
            let expected = format!("{} (process {})", own.trim_end(), std::process::id());
            let found = || name(&listeners(taken), |_| None);
            assert_soon(|| found() == expected, found);
            drop(listener);
            assert_soon(|| is_free(taken).unwrap() && listeners(taken).is_empty(), || format!("{taken} is taken"));
        }
    }

    #[test]
    fn other_address_or_closing_connection_takes_no_port() {
        let listener = listener("127.0.0.1");
        let taken = listener.local_addr().unwrap();
        let other = SocketAddr::new("127.0.0.2".parse().unwrap(), taken.port());
        assert!(is_free(other).unwrap());
        assert!(listeners(other).is_empty());
        let client = std::net::TcpStream::connect(taken).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop((accepted, listener));
        assert_soon(|| is_free(taken).unwrap(), || format!("{taken} is taken"));
        drop(client);
    }

    #[test]
    fn address_of_another_machine_is_an_error() {
        assert!(is_free("192.0.2.1:8001".parse().unwrap()).is_err());
    }

    #[test]
    fn kernel_tables_are_read_in_native_byte_order() {
        let v4 = format!("{:08X}:1F41", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(address(&v4).unwrap(), "127.0.0.1:8001".parse().unwrap());
        let v6 = format!("{:024X}{:08X}:1F41", 0, u32::from_ne_bytes([0, 0, 0, 1]));
        assert_eq!(address(&v6).unwrap(), "[::1]:8001".parse().unwrap());
        assert_eq!(address("local_address"), None);
    }
}
