package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
)

// startEtcd runs etcd until ctx is done, and returns its address and what waits for its
// end. What it stores is in folder.
func startEtcd(ctx context.Context, program, folder, sockets string, output io.Writer) (address string, wait func(), err error) {
	address = "unix://" + filepath.Join(sockets, "etcd.sock")
	cmd := exec.CommandContext(ctx, program,
		"--data-dir="+folder, "--listen-client-urls="+address, "--advertise-client-urls="+address,
		"--listen-peer-urls=http://127.0.0.1:0", "--log-level=error", "--unsafe-no-fsync")
	cmd.Stderr = output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting etcd: %w", err)
	}
	return address, func() { _ = cmd.Wait() }, nil // it was told to end
}

// programs returns the folder of etcd and kubectl, which are built if they are missing.
func programs(ctx context.Context, progress io.Writer) (string, error) {
	return controlplane.Programs(ctx, progress, "etcd", "kubectl")
}
