//! The location of this process: on the engine's machine or in one of its containers.

use bollard::Docker;

use super::inspect;

/// Location of this process. It decides which ports and directories of the engine are accessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// On the engine's machine: its directories and ports are accessible.
    Host,
    /// In a container of the engine: neither directories nor published ports are accessible.
    Container,
    /// In a container of the engine with the host's network: ports are accessible, directories are
    /// not.
    ContainerOnHostNetwork,
}

/// Returns the location of this process: the engine is asked for the container that the mounts of
/// this process name. A mark such as `/.dockerenv` proves less, because whole machines are made
/// from images.
pub(super) async fn detect(docker: &Docker) -> Location {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for id in own_containers(&mounts) {
        if let Ok(container) = inspect::inspect_container(docker, id).await {
            let network = container.host_config.and_then(|host| host.network_mode);
            return if network.as_deref() == Some("host") {
                Location::ContainerOnHostNetwork
            } else {
                Location::Container
            };
        }
    }
    Location::Host
}

/// Returns the ids of containers in the sources of the files that engines mount into each
/// container.
fn own_containers(mountinfo: &str) -> Vec<&str> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    mountinfo
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(3);
            let (source, target) = (fields.next()?, fields.next()?);
            matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf")
                .then_some(source)?
                .split('/')
                .find(is_id)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_container_is_read_from_mountinfo() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let inside = format!(
            "1 2 0:1 / / rw - overlay overlay rw\n3 1 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(own_containers(&inside), [id]);
        let other = format!(
            "3 1 8:1 /var/lib/docker/containers/{id}/hostname /mnt/x rw - ext4 /dev/sda1 rw\n22 1 0:5 / /proc rw - proc proc rw\n"
        );
        assert!(own_containers(&other).is_empty());
    }
}
