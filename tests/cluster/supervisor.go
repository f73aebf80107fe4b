// The supervisor: starts the programs in order inside the namespaces, says each stage, follows orders, ends everything.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Files that it inherits.
const (
	wiredFile  = 3 // says the cluster's number once the network is connected
	stagesFile = 4 // takes the stages
	lockFile   = 5 // is locked as long as the cluster runs
)

// readyLine is the last stage.
const readyLine = "ready"

// note writes into the supervisor's log.
func note(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, arguments...))
}

func supervise(place place, arguments []string) error {
	options, err := parseOptions("supervise", arguments)
	if err != nil {
		return err
	}
	for _, inherited := range []int{wiredFile, stagesFile, lockFile} {
		syscall.CloseOnExec(inherited)
	}
	if options.attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			note("standard input has ended")
			os.Exit(0)
		}()
	}
	stages := os.NewFile(stagesFile, "stages")
	begun := time.Now()
	say := func(stage string) {
		note("%s", stage)
		fmt.Fprintf(stages, "%5.1f s  %s\n", time.Since(begun).Seconds(), stage)
	}
	programs, err := begin(place, options, say)
	if err != nil {
		note("%v", err)
		fmt.Fprintln(stages, err)
		return err
	}
	defer os.Remove(place.path("control.sock"))
	orders, err := listen(place)
	if err != nil {
		return err
	}
	fmt.Fprintln(stages, readyLine)
	stages.Close()
	obey(orders, programs)
	end(programs)
	return nil
}

func begin(place place, options options, say func(string)) ([]*program, error) {
	line, err := bufio.NewReader(os.NewFile(wiredFile, "wired")).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the network was not connected: %w", err)
	}
	parsed, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return nil, err
	}
	n := number(parsed)
	if err := furnish(place); err != nil {
		return nil, err
	}
	if err := wireInside(n); err != nil {
		return nil, err
	}
	if err := makeKeys(place, n); err != nil {
		return nil, err
	}
	say("keys and network " + n.node())
	programs := controlPlane(place, n)
	if !options.controlPlane {
		if err := makeCgroups(n); err != nil {
			return nil, err
		}
		node, err := node(place, n)
		if err != nil {
			return nil, err
		}
		programs = append(programs, node...)
	}
	for _, program := range programs {
		if err := program.start(); err != nil {
			return nil, err
		}
		say(program.name)
		if program.name == "containerd" {
			if err := importPause(place); err != nil {
				return nil, err
			}
		}
	}
	if err := waitForControllers(place); err != nil {
		return nil, err
	}
	say("controllers work")
	if !options.controlPlane {
		if err := waitForNode(place); err != nil {
			return nil, err
		}
		say("node is ready")
	}
	return programs, nil
}

// obey follows orders until one says that it is over.
func obey(orders net.Listener, programs []*program) {
	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for {
			connection, err := orders.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				order, _ := bufio.NewReader(connection).ReadString('\n')
				order = strings.TrimSpace(order)
				note("order: %s", order)
				if order == "down" {
					fmt.Fprintln(connection, "ok")
					over <- syscall.SIGTERM
					return
				}
				if err := follow(order, programs); err != nil {
					fmt.Fprintln(connection, err)
					return
				}
				fmt.Fprintln(connection, "ok")
			}()
		}
	}()
	<-over
}

func follow(order string, programs []*program) error {
	verb, name, _ := strings.Cut(order, " ")
	found := slices.IndexFunc(programs, func(p *program) bool { return p.name == name })
	if found < 0 {
		return fmt.Errorf("%s does not run here", name)
	}
	program := programs[found]
	switch verb {
	case "stop":
		program.stop(syscall.SIGTERM)
		return nil
	case "start":
		return program.start()
	case "restart":
		program.stop(syscall.SIGTERM)
		return program.start()
	case "kill":
		program.stop(syscall.SIGKILL)
		return program.start()
	}
	return fmt.Errorf("what is %q?", verb)
}

// end stops the programs in reverse; containers end with the first process, as on a machine that is switched off.
func end(programs []*program) {
	for _, program := range slices.Backward(programs) {
		signal := syscall.SIGTERM
		// All that it holds is in etcd.
		if program.name == "kube-apiserver" {
			signal = syscall.SIGKILL
		}
		program.stop(signal)
	}
	note("ended")
}

func listen(place place) (net.Listener, error) {
	_ = os.Remove(place.path("control.sock"))
	return net.Listen("unix", place.path("control.sock"))
}

// order tells the supervisor what to do and waits until it is done.
func order(place place, text string) error {
	connection, err := net.Dial("unix", place.path("control.sock"))
	if err != nil {
		return fmt.Errorf("no cluster runs in %s (%w); start one with: mai-cluster up", place.dir, err)
	}
	defer connection.Close()
	fmt.Fprintln(connection, text)
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the cluster in %s ended over the order %q: %w", place.dir, text, err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return fmt.Errorf("%s: %s", text, answer)
	}
	return nil
}
