// The Kubernetes programs in this binary. Their flags are global, so each runs as a process of its own: `mai-cluster run PROGRAM`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectlcmd.NewDefaultKubectlCommand,
}

func runProgram(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("run needs the name of a program")
	}
	name := arguments[0]
	// The programs read os.Args themselves.
	os.Args = append([]string{name}, arguments[1:]...)
	switch name {
	case "etcd":
		return runEtcd(arguments[1:])
	case "volumes":
		return runVolumes(arguments[1:])
	}
	command, found := commands[name]
	if !found {
		return fmt.Errorf("there is no program %q in this binary", name)
	}
	os.Exit(cli.Run(command()))
	return nil
}

// kubectl becomes kubectl; a KUBECONFIG of the caller's is kept.
func kubectl(place place, arguments []string) error {
	environment := os.Environ()
	if os.Getenv("KUBECONFIG") == "" {
		environment = append(environment, "KUBECONFIG="+place.kubeconfig("admin"))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, append([]string{self, "run", "kubectl"}, arguments...), environment)
}

// selfCommand is this binary with other arguments.
func selfCommand(arguments ...string) *exec.Cmd {
	return exec.Command("/proc/self/exe", arguments...)
}
