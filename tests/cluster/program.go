// One program under supervision: started, waited for until it is ready, started anew when it ends by itself, stopped.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	startPatience = 90 * time.Second
	// An API server with open watches takes over half a minute to end by SIGTERM.
	stopPatience = 10 * time.Second
)

type program struct {
	name    string
	command func() *exec.Cmd
	ready   func() error
	log     string

	// changing is held by whoever starts or stops it, state by whoever looks.
	changing, state sync.Mutex
	process         *os.Process
	ended           chan struct{}
	wanted          bool
}

func (p *program) start() error {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.state.Lock()
	running := p.process != nil
	p.wanted = true
	p.state.Unlock()
	if running {
		return nil
	}
	if err := p.spawn(); err != nil {
		return err
	}
	return p.waitReady()
}

func (p *program) spawn() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := p.command()
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("%s cannot be started: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.state.Lock()
	p.process, p.ended = command.Process, ended
	p.state.Unlock()
	go p.follow(command, ended)
	return nil
}

// follow waits for its end, and starts it anew when nobody wanted that.
func (p *program) follow(command *exec.Cmd, ended chan struct{}) {
	err := command.Wait()
	p.state.Lock()
	p.process = nil
	wanted := p.wanted
	p.state.Unlock()
	close(ended)
	if !wanted {
		return
	}
	note("%s ended by itself (%v) and is started anew; its log is %s", p.name, err, p.log)
	time.Sleep(time.Second)
	p.changing.Lock()
	defer p.changing.Unlock()
	p.state.Lock()
	again := p.wanted && p.process == nil
	p.state.Unlock()
	if again {
		if err := p.spawn(); err != nil {
			note("%v", err)
		}
	}
}

func (p *program) waitReady() error {
	var last error
	for until := time.Now().Add(startPatience); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if last = p.ready(); last == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready after %s (%v); its log is %s", p.name, startPatience, last, p.log)
}

func (p *program) stop(signal syscall.Signal) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.state.Lock()
	process, ended := p.process, p.ended
	p.wanted = false
	p.state.Unlock()
	if process == nil {
		return
	}
	_ = process.Signal(signal)
	select {
	case <-ended:
	case <-time.After(stopPatience):
		_ = process.Kill()
		<-ended
	}
}
