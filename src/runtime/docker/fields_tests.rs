//! Both forms of a container are the same text, and every manual difference is named.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::runtime::docker::spec;

fn image() -> Image {
    Image {
        id: "sha256:aaaaaaaaaaaaaaaa".into(),
        digest: "sha256:d".into(),
        env: vec!["PATH=/bin".into()],
        labels: HashMap::from([("maintainer".into(), "us".into())]),
        entrypoint: vec!["/mai".into()],
        command: vec!["serve".into()],
        ..Image::default()
    }
}

fn body() -> ContainerCreateBody {
    serde_json::from_value(json!({
        "Image": "mai:1", "User": "65532:65532", "Env": ["A=1", "KEY=s3cret"], "StopTimeout": 15,
        "Labels": {"caddy": "abc.example.com", "mai.dev/hash": "h"},
        "HostConfig": {
            "Memory": 536870912, "NanoCpus": 500000000, "Init": true, "ReadonlyRootfs": true, "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"], "RestartPolicy": {"Name": "unless-stopped"},
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "Mounts": [{"Type": "volume", "Source": "mai-abc-data", "Target": "/app/backend/data"}]
        },
        "NetworkingConfig": {"EndpointsConfig": {"mai": {"Aliases": ["mai-abc"]}}}
    }))
    .unwrap()
}

/// As Docker 20.10 shows the container that was created from [`body`].
fn shown() -> Value {
    json!({
        "Id": "0123456789abcdef", "Name": "/mai-abc.next", "Image": "sha256:aaaaaaaaaaaaaaaa",
        "Config": {
            "Image": "mai:1", "User": "65532:65532", "Env": ["KEY=s3cret", "A=1", "PATH=/bin"], "StopTimeout": 15,
            "Entrypoint": ["/mai"], "Cmd": ["serve"],
            "Labels": {"caddy": "abc.example.com", "maintainer": "us", "mai.dev/hash": "other"}
        },
        "HostConfig": {
            "Memory": 536870912, "MemorySwap": 1073741824, "CpusetCpus": "", "CpusetMems": "",
            "PidsLimit": null, "BlkioWeight": 0, "CpuRealtimeRuntime": 0, "NanoCpus": 500000000, "CpuQuota": 0, "CpuShares": 0, "Init": true, "ReadonlyRootfs": true,
            "CapAdd": null, "CapDrop": ["CAP_ALL"], "SecurityOpt": ["no-new-privileges:true"], "Privileged": false,
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]},
            "LogConfig": {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}, "ExtraHosts": null, "Tmpfs": {}
        },
        "Mounts": [
            {"Type": "volume", "Name": "mai-abc-data", "Source": "/var/lib/docker/volumes/mai-abc-data/_data", "Destination": "/app/backend/data", "RW": true},
            {"Type": "volume", "Name": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "Destination": "/cache", "RW": true}
        ],
        "NetworkSettings": {"Networks": {"mai": {"NetworkID": "n", "IPAMConfig": null, "Aliases": ["mai-abc", "0123456789ab"]}}}
    })
}

fn differences(shown: Value, body: &ContainerCreateBody, image: Option<&Image>) -> Vec<String> {
    let container: ContainerInspectResponse = serde_json::from_value(shown).unwrap();
    let same = image.is_some_and(|image| Some(&image.id) == container.image.as_ref());
    let secrets = ["KEY".to_owned()].into();
    Fields::observed(&container)
        .differences(&Fields::desired(body, image, same), &secrets)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn new_container_does_not_differ() {
    assert_eq!(differences(shown(), &body(), Some(&image())), Vec::<String>::new());
    assert_eq!(differences(shown(), &body(), None), Vec::<String>::new(), "an image that was removed meanwhile");
    let with_hostname = |name: &str| {
        let mut shown = shown();
        shown["Config"]["Env"].as_array_mut().unwrap().push(json!(format!("HOSTNAME={name}")));
        differences(shown, &body(), Some(&image()))
    };
    assert_eq!(with_hostname("0123456789ab"), Vec::<String>::new(), "what Podman adds");
    assert_eq!(with_hostname("web"), ["env.HOSTNAME: web -> none"]);
}

#[test]
fn differences_are_named_without_secret_values() {
    let cases: [(&str, Value, &str); 25] = [
        ("/HostConfig/Memory", json!(268435456), "memory: 256 MiB -> 512 MiB"),
        ("/HostConfig/MemorySwap", json!(-1), "memory swap: unlimited -> 1024 MiB"),
        ("/HostConfig/CpusetCpus", json!("0"), "cpu set: 0 -> none"),
        ("/HostConfig/CpusetMems", json!("0"), "memory nodes: 0 -> none"),
        ("/HostConfig/PidsLimit", json!(50), "pids limit: 50 -> none"),
        ("/HostConfig/BlkioWeight", json!(300), "block I/O weight: 300 -> none"),
        ("/HostConfig/CpuRealtimeRuntime", json!(950000), "cpu realtime: 950000 -> none"),
        ("/HostConfig/NanoCpus", json!(0), "cpus: none -> 0.5"),
        ("/HostConfig/RestartPolicy/Name", json!("no"), "restart: no -> unless-stopped"),
        (
            "/HostConfig/PortBindings/8080~1tcp/0/HostPort",
            json!("9"),
            "port.8080/tcp: 127.0.0.1 port 9 -> 127.0.0.1 port 8001",
        ),
        (
            "/HostConfig/PortBindings/8080~1tcp/0/HostIp",
            json!(""),
            "port.8080/tcp: 0.0.0.0 port 8001 -> 127.0.0.1 port 8001",
        ),
        ("/HostConfig/CapDrop", json!(null), "capabilities dropped: none -> ALL"),
        ("/HostConfig/Privileged", json!(true), "privileged: true -> false"),
        ("/Config/User", json!("0"), "user: 0 -> 65532:65532"),
        ("/Config/Env/1", json!("A=2"), "env.A: 2 -> 1"),
        ("/Config/Env/0", json!("KEY=older"), "env.KEY: (a secret) -> (changed)"),
        ("/Config/Env/2", json!("PATH=/evil"), "env.PATH: /evil -> /bin"),
        ("/Config/Cmd", json!(["sleep"]), "command: /mai sleep -> /mai serve"),
        ("/Config/Labels/caddy", json!("x"), "label.caddy: x -> abc.example.com"),
        ("/Mounts/0/Name", json!("other"), "mount./app/backend/data: volume other -> volume mai-abc-data"),
        (
            "/Mounts/0/RW",
            json!(false),
            "mount./app/backend/data: volume mai-abc-data, read-only -> volume mai-abc-data",
        ),
        ("/NetworkSettings/Networks", json!({}), "network.mai: none -> connected"),
        (
            "/NetworkSettings/Networks/mai/Aliases",
            json!(["mai-other", "mai-abc", "0123456789ab"]),
            "network.mai as: mai-abc, mai-other -> mai-abc",
        ),
        ("/NetworkSettings/Networks/mai/Aliases", json!(["mai-abc.next"]), "network.mai as: none -> mai-abc"),
        (
            "/NetworkSettings/Networks/mai/IPAMConfig",
            json!({"IPv4Address": "10.9.0.9"}),
            "network.mai as: address 10.9.0.9, mai-abc -> mai-abc",
        ),
    ];
    for (path, value, expected) in cases {
        let mut other = shown();
        *other.pointer_mut(path).unwrap() = value;
        assert_eq!(differences(other, &body(), Some(&image())), [expected], "{path}");
    }
    let mut more = shown();
    more["Config"]["Env"].as_array_mut().unwrap().push(json!("B=1"));
    more["NetworkSettings"]["Networks"]["web"] = json!({});
    more["HostConfig"]["PidMode"] = json!("host");
    assert_eq!(
        differences(more, &body(), Some(&image())),
        ["env.B: 1 -> none", "host.PidMode: host -> none", "network.web: connected -> none"]
    );
}

#[test]
fn other_image_is_one_difference() {
    let mut other = image();
    other.id = "sha256:bbbbbbbbbbbbbbbb".into();
    other.env = vec!["PATH=/new".into()];
    assert_eq!(differences(shown(), &body(), Some(&other)), ["image: mai:1 (aaaaaaaaaaaa) -> mai:1 (bbbbbbbbbbbb)"]);
    let renamed = ContainerCreateBody { image: Some("mai:latest".into()), ..body() };
    assert_eq!(differences(shown(), &renamed, Some(&image())), Vec::<String>::new(), "another tag of the same image");
    assert_eq!(differences(shown(), &renamed, None), ["image: mai:1 (aaaaaaaaaaaa) -> mai:latest"]);
}

#[test]
fn cpu_quota_and_period_are_compared_as_cpus() {
    let mut limited = shown();
    limited["HostConfig"]["NanoCpus"] = json!(0);
    limited["HostConfig"]["CpuQuota"] = json!(20000);
    assert_eq!(differences(limited.clone(), &body(), Some(&image())), ["cpus: 0.2 -> 0.5"]);
    limited["HostConfig"]["CpuQuota"] = json!(-1);
    limited["HostConfig"]["CpuPeriod"] = json!(50000);
    assert_eq!(differences(limited, &body(), Some(&image())), ["cpus: none, period 50000 -> 0.5"]);
}

#[test]
fn recreate_hash_of_existing_containers_stays_the_same() {
    // As the version before the comparison had a number wrote it to the label of this container.
    let hash = "7ee1b4ac5d61d7886fe4bc56f8736fec190e387738df5a0f4e663ca17ea0aa05";
    assert_eq!(spec::recreate_hash(&Fields::desired(&body(), Some(&image()), true)), hash);
}

#[test]
fn engine_defaults_of_earlier_containers_are_not_compared() {
    for field in [Field::MemorySwap, Field::PidsLimit] {
        assert!(!is_compared(&field, "") && is_compared(&field, "2") && is_compared(&field, VERSION), "{field}");
    }
    for field in [Field::Endpoint("mai".into()), Field::HostSetting("Dns".into())] {
        assert!(!is_compared(&field, "") && !is_compared(&field, "2") && is_compared(&field, VERSION), "{field}");
    }
    assert!(is_compared(&Field::CpuSet, "") && is_compared(&Field::Memory, ""));
}

#[test]
fn limits_change_in_place_and_other_fields_recreate() {
    let network = || Field::Network("web".into());
    for (field, to, expected) in [
        (Field::Memory, "1 MiB", Effect::InPlace),
        (Field::RestartPolicy, "no", Effect::InPlace),
        (network(), "none", Effect::InPlace),
        (network(), "connected", Effect::Auxiliary),
        (Field::Endpoint("web".into()), "mai-abc", Effect::Auxiliary),
        (Field::HostSetting("PidMode".into()), "none", Effect::Recreate),
        (Field::Name, "a", Effect::Auxiliary),
        (Field::User, "0", Effect::Recreate),
        (Field::MemorySwap, "2 MiB", Effect::InPlace),
        (Field::PidsLimit, "none", Effect::InPlace),
        // The engine cannot remove these.
        (Field::Memory, "none", Effect::Recreate),
        (Field::CpuSet, "none", Effect::Recreate),
        (Field::BlkioWeight, "none", Effect::Recreate),
    ] {
        assert_eq!(effect(&field, to), expected, "{field} to {to}");
    }
}
