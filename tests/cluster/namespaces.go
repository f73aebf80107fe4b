// The machine inside the machine: processes, mounts and network of the cluster are its own, so that it disturbs nothing, several run side
// by side, and all of it is gone with its first process, however that ends. Only control groups are shared, below one of the cluster's own.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// covered are directories that programs use by fixed paths: inside they are empty and in memory.
var covered = []string{"/run", "/var/lib", "/var/log"}

// kept are the directories below the covered ones whose content is state.
var kept = map[string]string{"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet"}

// sysctls are those that a kubelet sets for the whole machine. It is shown that they are set, and the machine stays as it is.
var sysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// runInit is the first process inside. It adopts what containers leave behind, and ends with the supervisor.
func runInit() error {
	for _, inherited := range []int{wiredFile, stagesFile, lockFile} {
		syscall.CloseOnExec(inherited)
	}
	supervisor := selfCommand(append([]string{"supervise"}, os.Args[2:]...)...)
	supervisor.Stdin, supervisor.Stdout, supervisor.Stderr = os.Stdin, os.Stdout, os.Stderr
	for _, inherited := range []int{wiredFile, stagesFile, lockFile} {
		supervisor.ExtraFiles = append(supervisor.ExtraFiles, os.NewFile(uintptr(inherited), "inherited"))
	}
	if err := supervisor.Start(); err != nil {
		return err
	}
	for _, file := range supervisor.ExtraFiles {
		file.Close()
	}
	os.Stdin.Close()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range terminated {
			supervisor.Process.Signal(syscall.SIGTERM)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("the supervisor is lost: %w", err)
		}
		if pid == supervisor.Process.Pid {
			os.Exit(status.ExitStatus())
		}
	}
}

// furnish makes the mounts inside.
func furnish(place place) error {
	// What is mounted outside still shows inside, nothing shows the other way; among containers mounts propagate as on any node.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("cannot part from the machine's mounts: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("cannot share mounts among containers: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	for _, path := range covered {
		if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("cannot cover %s: %w", path, err)
		}
	}
	for name, path := range kept {
		for _, dir := range []string{place.path(name), path} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := syscall.Mount(place.path(name), path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot mount %s on %s: %w", place.path(name), path, err)
		}
	}
	for name, value := range sysctls {
		setting := filepath.Join("/proc/sys", name)
		if !exists(setting) {
			continue
		}
		shown := filepath.Join("/run/sysctls", name)
		if err := os.MkdirAll(filepath.Dir(shown), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(shown, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(shown, setting, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot cover %s: %w", setting, err)
		}
	}
	return nil
}

// wire connects the network inside with this machine, from outside, and finds the cluster its number.
func wire(place place, pid int) (number, error) {
	saved, err := place.savedNumber()
	if err == nil {
		return saved, connect(saved, pid)
	}
	for n := number(0); n <= highestNumber; n++ {
		err = connect(n, pid)
		if err == nil {
			return n, place.saveNumber(n)
		}
		if !strings.Contains(err.Error(), "File exists") {
			return 0, err
		}
	}
	return 0, fmt.Errorf("all %d networks for clusters are taken: %w", highestNumber+1, err)
}

func connect(n number, pid int) error {
	if err := ip("link", "add", n.link(), "type", "veth", "peer", "name", "node0", "netns", fmt.Sprint(pid)); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"addr", "add", n.host() + "/30", "dev", n.link()},
		{"link", "set", n.link(), "up"},
		{"route", "add", n.pods(), "via", n.node(), "dev", n.link()},
		{"route", "add", n.services(), "via", n.node(), "dev", n.link()},
	} {
		if err := ip(arguments...); err != nil {
			return err
		}
	}
	return nil
}

// wireInside sets the other end up. There is no default route: what a pod sends reaches this machine and nothing beyond it.
func wireInside(n number) error {
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", n.node() + "/30", "dev", "node0"},
		{"link", "set", "node0", "up"},
	} {
		if err := ip(arguments...); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func ip(arguments ...string) error {
	output, err := exec.Command("ip", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %s (%w)", strings.Join(arguments, " "), strings.TrimSpace(string(output)), err)
	}
	return nil
}
