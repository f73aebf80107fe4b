//! Whether this program itself runs in a container of the engine that it speaks to.

use bollard::Docker;

use super::ask;

/// How much of the engine's machine can be seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Beside the engine: its files and its ports are here.
    Beside,
    /// In a container of it: neither directories of the host nor published ports are here.
    Inside,
    /// In a container of it with the network of the host: ports are here, directories are not.
    InsideWithPorts,
}

/// Asks the engine for the container that our own mounts name. A mark such as `/.dockerenv` would say too much: whole machines are made
/// from images.
pub(super) async fn look(docker: &Docker) -> Place {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for id in own_containers(&mounts) {
        if let Ok(container) = ask::container(docker, id).await {
            let network = container.host_config.and_then(|host| host.network_mode);
            return if network.as_deref() == Some("host") { Place::InsideWithPorts } else { Place::Inside };
        }
    }
    Place::Beside
}

/// Ids of containers in the sources of the files that engines mount into each of them.
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
    fn the_own_container_is_read_from_what_the_engine_mounts() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let inside = format!(
            "1 2 0:1 / / rw - overlay overlay rw\n3 1 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(own_containers(&inside), [id]);
        let beside = format!(
            "3 1 8:1 /var/lib/docker/containers/{id}/hostname /mnt/x rw - ext4 /dev/sda1 rw\n22 1 0:5 / /proc rw - proc proc rw\n"
        );
        assert!(own_containers(&beside).is_empty());
    }
}
