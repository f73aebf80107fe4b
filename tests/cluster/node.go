// The node: containerd, kubelet and kube-proxy, and the files that configure them.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const cniPlugins = "/usr/lib/cni"

func node(place place, n number) ([]*program, error) {
	files := map[string]string{
		"containerd.toml":      containerdConfig(place),
		"cni/10-pods.conflist": cniConfig(n),
		"kubelet.yaml":         kubeletConfig(place, n),
		"proxy.yaml":           proxyConfig(place, n),
		"resolv.conf":          "",
	}
	for name, content := range files {
		path := place.path("etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	containerd := &program{
		name:    "containerd",
		command: func() *exec.Cmd { return exec.Command("containerd", "--config", place.path("etc", "containerd.toml")) },
		ready:   func() error { return ctr(place, "version") },
		log:     place.path("log", "containerd"),
	}
	return []*program{
		containerd,
		own(place, "kubelet", answers("http://127.0.0.1:10248/healthz"),
			"--config="+place.path("etc", "kubelet.yaml"), "--kubeconfig="+place.kubeconfig("kubelet"),
			"--hostname-override="+nodeName, "--node-ip="+n.node()),
		own(place, "kube-proxy", answers("http://127.0.0.1:10256/livez"),
			"--config="+place.path("etc", "proxy.yaml"), "--hostname-override="+nodeName),
	}, nil
}

// snapshotter is overlayfs, or copies where the state itself is on an overlay, as in a container.
func snapshotter(place place) string {
	const overlay = 0x794c7630
	var found syscall.Statfs_t
	if syscall.Statfs(place.dir, &found) == nil && found.Type == overlay {
		return "native"
	}
	return "overlayfs"
}

func containerdConfig(place place) string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "%s"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%s"
  stream_server_address = "127.0.0.1"
  # Where root may not lower the OOM score, no sandbox starts without it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "%s"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%s"
    conf_dir = "%s"
`, place.path("containerd.sock"), pauseImage, snapshotter(place), cniPlugins, place.path("etc", "cni"))
}

func cniConfig(n number) string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "firewall", "backend": "iptables"}
]}
`, n.pods())
}

func kubeletConfig(place place, n number) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "%s"}}
authorization: {mode: Webhook}
tlsCertFile: "%s"
tlsPrivateKeyFile: "%s"
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
containerRuntimeEndpoint: "unix://%s"
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: "%s"
serializeImagePulls: false
evictionHard: {memory.available: 50Mi, nodefs.available: "1%%", nodefs.inodesFree: "1%%", imagefs.available: "1%%"}
imageGCHighThresholdPercent: 100
`, n.node(), place.certificate("ca"), place.certificate("kubelet-server"), place.key("kubelet-server"), n.cgroup(),
		place.path("containerd.sock"), n.dns(), place.path("etc", "resolv.conf"))
}

func proxyConfig(place place, n number) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: "%s"}
mode: iptables
clusterCIDR: %s
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: ["%s/32"]
oomScoreAdj: 0
iptables: {minSyncPeriod: 100ms}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s, udpTimeout: 0s, udpStreamTimeout: 0s}
`, place.kubeconfig("proxy"), n.pods(), n.node())
}
