package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How long to wait before a manager is restarted, and how long it may take to stop.
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
		name := fmt.Sprintf("manager-%d", i)
		args := []string{
			managerCommand, "-kubeconfig=" + p.server.Kubeconfig(), "-keys=" + filepath.Join(p.folder, "keys"),
			"-root-ca=" + rootCA, "-era=" + p.era,
		}
		p.part(func() error { p.supervise(serving, name, self, args); return nil })
	}
	return nil
}

// supervise keeps a manager running until serving is done. Each process has a new
// identity: with that of a killed one, it would hold its lease too.
func (p *plane) supervise(serving context.Context, name, program string, args []string) {
	for n := 1; serving.Err() == nil; n++ {
		identity := fmt.Sprintf("%s.%d", name, n)
		cmd := exec.CommandContext(serving, program, append(args, "-identity="+identity)...)
		cmd.Stderr = p.log
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it releases its lease
		cmd.WaitDelay = endLimit
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process
		err := cmd.Start()
		if err == nil {
			p.running.Store(identity, cmd.Process)
			err = cmd.Wait()
		}
		if serving.Err() != nil {
			return
		}
		fmt.Fprintf(p.log, "%s ended: %v; it is started again\n", identity, err)
		select {
		case <-serving.Done():
		case <-time.After(restartPause):
		}
	}
}

// killLeader waits until a manager leads, kills it, and returns its identity.
func (p *plane) killLeader(ctx context.Context) (identity string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		lease, err := p.client.CoordinationV1().Leases(leaseNamespace).Get(ctx, leaseName, metav1.GetOptions{})
		if err == nil && lease.Spec.HolderIdentity != nil {
			// The holder may have stopped.
			if process, ok := p.running.Load(*lease.Spec.HolderIdentity); ok && process.(*os.Process).Kill() == nil {
				return *lease.Spec.HolderIdentity, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no manager leads: %w (%v)", ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
