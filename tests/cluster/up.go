// `up` and `down`, from outside the namespaces.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct{ controlPlane, attached, discard bool }

func parseOptions(verb string, arguments []string) (options, error) {
	var options options
	flags := flag.NewFlagSet("mai-cluster "+verb, flag.ContinueOnError)
	flags.BoolVar(&options.controlPlane, "control-plane", false, "leave the node out")
	flags.BoolVar(&options.attached, "attached", false, "end with standard input")
	flags.BoolVar(&options.discard, "discard", false, "forget the state at the end")
	if err := flags.Parse(arguments); err != nil {
		return options, err
	}
	if flags.NArg() > 0 {
		return options, fmt.Errorf("%s: what is %q?", verb, flags.Arg(0))
	}
	return options, nil
}

func up(place place, arguments []string) error {
	options, err := parseOptions("up", arguments)
	if err != nil {
		return err
	}
	if err := checkMachine(options); err != nil {
		return err
	}
	if err := os.MkdirAll(place.path("log"), 0o755); err != nil {
		return err
	}
	lock, err := takeLock(place)
	if err != nil {
		return err
	}
	// The first process is to end with this one, which the kernel takes for the thread that started it.
	runtime.LockOSThread()
	first, stages, err := startInside(place, arguments, options, lock)
	if err != nil {
		return err
	}
	lock.Close()
	if options.attached {
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, syscall.SIGTERM, syscall.SIGINT)
		go func() {
			<-interrupted
			_ = first.Process.Signal(syscall.SIGTERM)
		}()
	}
	if err := tell(stages); err != nil {
		_ = first.Process.Kill()
		_ = first.Wait()
		cleanUp(place, options.discard)
		return err
	}
	if !options.attached {
		return nil
	}
	_ = first.Wait()
	cleanUp(place, options.discard)
	return nil
}

// startInside starts the first process in namespaces of its own and connects their network.
func startInside(place place, arguments []string, options options, lock *os.File) (*exec.Cmd, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	wiredRead, wired, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	stages, stagesWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(place.path("log", "supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	first := exec.Command(self, append([]string{"init"}, arguments...)...)
	first.Env = append(os.Environ(), "MAI_CLUSTER_DIR="+place.dir)
	first.Stdout, first.Stderr = log, log
	first.ExtraFiles = []*os.File{wiredRead, stagesWrite, lock}
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Setsid:     true,
	}
	if options.attached {
		first.Stdin = os.Stdin
		first.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := first.Start(); err != nil {
		return nil, nil, fmt.Errorf("cannot start in namespaces of its own: %w", err)
	}
	for _, file := range []*os.File{wiredRead, stagesWrite, log} {
		file.Close()
	}
	n, err := wire(place, first.Process.Pid)
	if err == nil {
		err = savePid(place, first.Process.Pid)
	}
	if err != nil {
		_ = first.Process.Kill()
		_ = first.Wait()
		return nil, nil, err
	}
	fmt.Fprintln(wired, int(n))
	wired.Close()
	return first, stages, nil
}

// tell prints the stages until the last one.
func tell(stages *os.File) error {
	last := ""
	for lines := bufio.NewScanner(stages); lines.Scan(); {
		last = lines.Text()
		fmt.Println(last)
	}
	if last != readyLine {
		return errors.New("the cluster did not become ready")
	}
	return nil
}

func down(place place, arguments []string) error {
	options, err := parseOptions("down", arguments)
	if err != nil {
		return err
	}
	if pid, running := runningPid(place); running {
		if err := order(place, "down"); err != nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		for until := time.Now().Add(30 * time.Second); time.Now().Before(until) && running; _, running = runningPid(place) {
			time.Sleep(50 * time.Millisecond)
		}
		if running {
			// With its first process the kernel ends everything inside.
			_ = syscall.Kill(pid, syscall.SIGKILL)
			time.Sleep(time.Second)
		}
	}
	cleanUp(place, options.discard)
	return nil
}

// cleanUp removes what namespaces do not take with them.
func cleanUp(place place, discard bool) {
	if n, err := place.savedNumber(); err == nil {
		removeCgroups(n)
		// The kernel takes a moment to dissolve a network; the next cluster must not find half of it.
		_ = ip("link", "delete", n.link())
	}
	for _, file := range []string{"pid", "control.sock", "containerd.sock", "containerd.sock.ttrpc"} {
		_ = os.Remove(place.path(file))
	}
	if discard {
		if err := os.RemoveAll(place.dir); err != nil {
			fmt.Fprintln(os.Stderr, "mai-cluster: not everything could be removed:", err)
		}
	}
}

func takeLock(place place) (*os.File, error) {
	lock, err := os.OpenFile(place.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("a cluster already runs in %s; end it with: mai-cluster down --dir %s", place.dir, place.dir)
	}
	return lock, nil
}

// savePid keeps the pid with its time of start, because pids are used again.
func savePid(place place, pid int) error {
	return os.WriteFile(place.path("pid"), fmt.Appendf(nil, "%d %s\n", pid, startOf(pid)), 0o644)
}

func runningPid(place place) (int, bool) {
	text, err := os.ReadFile(place.path("pid"))
	if err != nil {
		return 0, false
	}
	pidText, start, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err := strconv.Atoi(pidText)
	return pid, err == nil && start != "" && startOf(pid) == start
}

// startOf is field 22 of /proc/PID/stat, counted behind the name, which may hold spaces. A zombie has none.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// checkMachine says what is missing before anything is started.
func checkMachine(options options) error {
	if os.Getuid() != 0 {
		return errors.New("only root can make namespaces and networks; run it as root")
	}
	needed := []string{"ip"}
	if !options.controlPlane {
		needed = append(needed, "containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", cniPlugins+"/bridge")
	}
	for _, command := range needed {
		if _, err := exec.LookPath(command); err != nil {
			return fmt.Errorf("%s is missing; tests/cluster/packages installs it on Debian", command)
		}
	}
	return nil
}
