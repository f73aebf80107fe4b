//! Settings of a container's host configuration that no document declares. They count for a
//! container that somebody created again with our labels, and most of them give it more rights.

use std::collections::BTreeMap;

use bollard::models::HostConfig;
use serde_json::Value;

use crate::core::Field;

/// Settings that [`super::fields`] compares under names of their own, or that show in the mounts of
/// a container.
const COMPARED_ELSEWHERE: [&str; 31] = [
    "Binds",
    "BlkioWeight",
    "CapAdd",
    "CapDrop",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "ExtraHosts",
    "Init",
    "LogConfig",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "Mounts",
    "NanoCpus",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "ReadonlyRootfs",
    "RestartPolicy",
    "SecurityOpt",
    "Tmpfs",
    // Of the client that created it, on Windows, or without effect.
    "ConsoleSize",
    "ContainerIDFile",
    "Isolation",
    "VolumeDriver",
    "VolumesFrom",
];

/// Settings that the update call of an engine may change on a container that exists.
const UPDATABLE: [&str; 16] = [
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "CgroupParent",
    "CpuCount",
    "CpuPercent",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "MemorySwappiness",
    "OomKillDisable",
    "Ulimits",
];

/// Returns whether an engine may change a setting of a container that exists.
pub(super) fn is_updatable(setting: &str) -> bool {
    UPDATABLE.contains(&setting)
}

/// Returns the settings that are neither compared elsewhere nor a default of an engine.
pub(super) fn settings(host: &HostConfig) -> BTreeMap<Field, String> {
    let Ok(Value::Object(all)) = serde_json::to_value(host) else { return BTreeMap::new() };
    let further = all.into_iter().filter(|(name, _)| !COMPARED_ELSEWHERE.contains(&name.as_str()));
    further
        .filter_map(|(name, value)| {
            let text = changed(&name, value)?;
            Some((Field::HostSetting(name), text))
        })
        .collect()
}

/// Returns the text of a value, unless it is what an engine sets by itself.
fn changed(name: &str, mut value: Value) -> Option<String> {
    match (name, &mut value) {
        // Without these an engine hides nothing of the kernel; it never leaves both empty itself.
        ("MaskedPaths" | "ReadonlyPaths", Value::Array(paths)) => return paths.is_empty().then(|| "none".to_owned()),
        ("Annotations", Value::Object(notes)) => notes.retain(|key, _| !key.starts_with("io.")),
        _ => {}
    }
    let is_default = match &value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Number(number) => match name {
            "ShmSize" => number.as_i64().is_some_and(|bytes| bytes == 0 || bytes == 64 << 20),
            "MemorySwappiness" => number.as_i64().is_some_and(|value| value <= 0),
            _ => number.as_i64() == Some(0),
        },
        Value::String(text) => match name {
            "CgroupnsMode" => matches!(text.as_str(), "" | "private" | "host"),
            "IpcMode" => matches!(text.as_str(), "" | "private" | "shareable"),
            "Runtime" => matches!(text.as_str(), "" | "runc" | "crun" | "oci"),
            _ => matches!(text.as_str(), "" | "private" | "default"),
        },
    };
    if is_default {
        return None;
    }
    Some(match value {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bollard::models::ContainerUpdateBody;
    use serde_json::json;

    use super::*;

    fn of(host: Value) -> Vec<String> {
        let host: HostConfig = serde_json::from_value(host).unwrap();
        settings(&host).into_iter().map(|(field, value)| format!("{field}: {value}")).collect()
    }

    #[test]
    fn settings_of_an_untouched_container_are_none() {
        // As Docker 20.10 and 28 show a container that nobody gave more.
        assert_eq!(
            of(json!({
                "NetworkMode": "", "CgroupnsMode": "host", "IpcMode": "private", "PidMode": "", "UTSMode": "",
                "UsernsMode": "", "Cgroup": "", "CgroupParent": "", "Runtime": "runc", "ShmSize": 67108864, "Dns": [],
                "Devices": null, "Ulimits": [], "OomKillDisable": false, "OomScoreAdj": 0, "AutoRemove": false,
                "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"], "ConsoleSize": [0, 0],
                "Isolation": "default", "GroupAdd": null, "Sysctls": {}, "MemorySwappiness": null,
            })),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_setting_that_gives_a_container_more_is_named() {
        for (name, value) in [
            ("PidMode", json!("host")),
            ("IpcMode", json!("host")),
            ("UTSMode", json!("host")),
            ("UsernsMode", json!("host")),
            ("NetworkMode", json!("container:abc")),
            ("CgroupParent", json!("/other")),
            ("Runtime", json!("nvidia")),
            ("Devices", json!([{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}])),
            ("DeviceRequests", json!([{"Count": -1}])),
            ("DeviceCgroupRules", json!(["a *:* rwm"])),
            ("GroupAdd", json!(["docker"])),
            ("Sysctls", json!({"net.ipv4.ip_forward": "1"})),
            ("Dns", json!(["10.0.0.1"])),
            ("DnsOptions", json!(["ndots:1"])),
            ("DnsSearch", json!(["example.com"])),
            ("Links", json!(["/db:/abc/db"])),
            ("OomKillDisable", json!(true)),
            ("OomScoreAdj", json!(-1000)),
            ("AutoRemove", json!(true)),
            ("PublishAllPorts", json!(true)),
            ("Ulimits", json!([{"Name": "nofile", "Soft": 1, "Hard": 1}])),
            ("ShmSize", json!(1)),
            ("MaskedPaths", json!([])),
            ("BlkioDeviceReadBps", json!([{"Path": "/dev/sda", "Rate": 1}])),
        ] {
            let named = of(json!({name: value}));
            assert!(named.len() == 1 && named[0].starts_with(&format!("host.{name}: ")), "{name}: {named:?}");
        }
    }

    #[test]
    fn everything_an_update_can_change_is_compared() {
        // Each part of the update call by name, so that a new one of the engine's API does not
        // compile before it is thought of.
        let ContainerUpdateBody {
            cpu_shares: _,
            memory: _,
            cgroup_parent: _,
            blkio_weight: _,
            blkio_weight_device: _,
            blkio_device_read_bps: _,
            blkio_device_write_bps: _,
            blkio_device_read_iops: _,
            blkio_device_write_iops: _,
            cpu_period: _,
            cpu_quota: _,
            cpu_realtime_period: _,
            cpu_realtime_runtime: _,
            cpuset_cpus: _,
            cpuset_mems: _,
            devices: _,
            device_cgroup_rules: _,
            device_requests: _,
            memory_reservation: _,
            memory_swap: _,
            memory_swappiness: _,
            nano_cpus: _,
            oom_kill_disable: _,
            init: _,
            pids_limit: _,
            ulimits: _,
            cpu_count: _,
            cpu_percent: _,
            io_maximum_iops: _,
            io_maximum_bandwidth: _,
            restart_policy: _,
        } = ContainerUpdateBody::default();
        let everything = json!({
            "CpuShares": 2, "Memory": 1, "CgroupParent": "a", "BlkioWeight": 10,
            "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 10}], "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1}],
            "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 1}], "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 1}],
            "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 1}], "CpuPeriod": 1, "CpuQuota": 1,
            "CpuRealtimePeriod": 1, "CpuRealtimeRuntime": 1, "CpusetCpus": "0", "CpusetMems": "0",
            "Devices": [{"PathOnHost": "/dev/sda"}], "DeviceCgroupRules": ["a"], "DeviceRequests": [{"Count": 1}],
            "MemoryReservation": 1, "MemorySwap": 1, "MemorySwappiness": 1, "NanoCpus": 1, "OomKillDisable": true,
            "Init": true, "PidsLimit": 1, "Ulimits": [{"Name": "nofile"}], "CpuCount": 1, "CpuPercent": 1,
            "IOMaximumIOps": 1, "IOMaximumBandwidth": 1, "RestartPolicy": {"Name": "always"},
        });
        let update: ContainerUpdateBody = serde_json::from_value(everything.clone()).unwrap();
        assert_eq!(serde_json::to_value(update).unwrap(), everything, "a part of the call has another name");
        let named = settings(&serde_json::from_value(everything.clone()).unwrap());
        for name in everything.as_object().unwrap().keys() {
            let further = named.contains_key(&Field::HostSetting(name.clone()));
            assert_eq!(further, UPDATABLE.contains(&name.as_str()), "{name}");
            assert!(further || COMPARED_ELSEWHERE.contains(&name.as_str()), "{name} is not compared");
        }
    }
}
