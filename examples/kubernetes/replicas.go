package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// How long a manager that has ended is left before it is started again, and how long one
// may take to end.
const (
	restartPause = 500 * time.Millisecond
	endLimit     = 15 * time.Second
)

// startManagers runs the managers, each as a process of its own, as they would be on
// several machines.
func (p *plane) startManagers(serving context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	rootCA := filepath.Join(p.own, "root-ca.crt")
	if err := os.WriteFile(rootCA, p.server.CA(), 0o600); err != nil {
		return err
	}
	for i := range p.replicas {
		args := []string{
			managerCommand, "-kubeconfig=" + p.server.Kubeconfig(), "-keys=" + filepath.Join(p.folder, "keys"),
			"-root-ca=" + rootCA, "-era=" + p.era, fmt.Sprintf("-identity=manager-%d", i),
		}
		p.part(func() error { p.supervise(serving, self, args); return nil })
	}
	return nil
}

// supervise keeps a process running until serving is done.
func (p *plane) supervise(serving context.Context, program string, args []string) {
	for serving.Err() == nil {
		cmd := exec.CommandContext(serving, program, args...)
		cmd.Stderr = p.log
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it gives its lease back
		cmd.WaitDelay = endLimit
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process
		err := cmd.Run()
		if serving.Err() != nil {
			return
		}
		fmt.Fprintf(p.log, "%s ended: %v; it is started again\n", args[len(args)-1], err)
		select {
		case <-serving.Done():
		case <-time.After(restartPause):
		}
	}
}
