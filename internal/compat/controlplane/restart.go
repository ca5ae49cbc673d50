package controlplane

import (
	"context"
	"fmt"
	"path/filepath"
)

// Restart kills program, which is "etcd" or "kube-apiserver", as a crash of its
// machine would, starts it again with the same data and the same address, and
// waits until the API server is ready. It must not be called at the same time as
// itself or as [ControlPlane.Stop].
func (c *ControlPlane) Restart(ctx context.Context, program string) error {
	for i, p := range c.running {
		if p.name != program {
			continue
		}
		if err := p.cmd.Process.Kill(); err != nil {
			return fmt.Errorf("controlplane: killing %s: %w", program, err)
		}
		<-p.done
		again, err := startProcess(c.watchdog, c.dir, filepath.Join(c.programs, program), p.cmd.Args[1:]...)
		if err != nil {
			return err
		}
		c.running[i] = again
		return c.waitReady(ctx)
	}
	return fmt.Errorf("controlplane: no %q is running", program)
}
