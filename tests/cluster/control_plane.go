// The control plane: etcd, API server, controller manager, scheduler and the volumes, with the flags that they need here.
package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

func controlPlane(place place, n number) []*program {
	return []*program{
		own(place, "etcd", answers(etcdAddress+"/health"), place.path("etcd")),
		own(place, "kube-apiserver", apiServerReady(place, n), apiServerFlags(place, n)...),
		own(place, "kube-controller-manager", answers("https://127.0.0.1:10257/healthz"), controllerFlags(place, n)...),
		own(place, "kube-scheduler", answers("https://127.0.0.1:10259/healthz"), clientFlags(place, "scheduler")...),
		own(place, "volumes", func() error { return nil }, place.kubeconfig("admin"), place.path("volumes")),
	}
}

// own is a program of this binary.
func own(place place, name string, ready func() error, arguments ...string) *program {
	return &program{
		name:    name,
		command: func() *exec.Cmd { return selfCommand(append([]string{"run", name}, arguments...)...) },
		ready:   ready,
		log:     place.path("log", name),
	}
}

func programNames() []string {
	return []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "volumes", "containerd", "kubelet", "kube-proxy",
	}
}

func apiServerFlags(place place, n number) []string {
	return []string{
		"--etcd-servers=" + etcdAddress,
		"--bind-address=" + n.node(),
		"--advertise-address=" + n.node(),
		"--secure-port=6443",
		"--service-cluster-ip-range=" + n.services(),
		"--tls-cert-file=" + place.certificate("apiserver"),
		"--tls-private-key-file=" + place.key("apiserver"),
		"--client-ca-file=" + place.certificate("ca"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		// A test of changes that admission makes, as webhooks do.
		"--feature-gates=MutatingAdmissionPolicy=true",
		"--runtime-config=admissionregistration.k8s.io/v1beta1=true",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + place.path("keys", "service-accounts.pub"),
		"--service-account-signing-key-file=" + place.key("service-accounts"),
		"--kubelet-client-certificate=" + place.certificate("apiserver-kubelet"),
		"--kubelet-client-key=" + place.key("apiserver-kubelet"),
		"--kubelet-certificate-authority=" + place.certificate("ca"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + place.certificate("ca"),
		"--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + place.certificate("front-proxy"),
		"--proxy-client-key-file=" + place.key("front-proxy"),
		"--profiling=false",
	}
}

func controllerFlags(place place, n number) []string {
	return append(clientFlags(place, "controller-manager"),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+place.key("service-accounts"),
		"--root-ca-file="+place.certificate("ca"),
		"--cluster-signing-cert-file="+place.certificate("ca"),
		"--cluster-signing-key-file="+place.key("ca"),
		"--cluster-cidr="+n.pods(),
		// A machine under load must not make its only node look dead.
		"--node-monitor-grace-period=3m",
	)
}

func clientFlags(place place, who string) []string {
	kubeconfig := place.kubeconfig(who)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
	}
}

// answers asks a health address on loopback. Certificates that programs make for themselves are not looked at there.
func answers(address string) func() error {
	client := &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: strings.HasPrefix(address, "https://127.0.0.1:")}},
	}
	return func() error { return healthy(client, address) }
}

// apiServerReady asks with the administrator's certificate; only then do the built-in roles exist that the others need.
func apiServerReady(place place, n number) func() error {
	return func() error {
		client, err := clientFor(place.kubeconfig("admin"))
		if err != nil {
			return err
		}
		return client.RESTClient().Get().AbsPath("/readyz").Timeout(2 * time.Second).Do(background).Error()
	}
}

func healthy(client *http.Client, address string) error {
	answer, err := client.Get(address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", address, answer.Status)
	}
	return nil
}
