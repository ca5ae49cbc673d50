package controlplane

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// SetIssuers makes the API server issue tokens as issuer, and believe those of
// former issuers too: it is asked to end, started again with the same data and the
// same address, and waited for. The same holds for concurrent calls as for
// [ControlPlane.Restart].
func (c *ControlPlane) SetIssuers(ctx context.Context, issuer string, former ...string) error {
	if issuer == "" {
		return errors.New("controlplane: no issuer")
	}
	c.cfg.Issuer, c.cfg.FormerIssuers = issuer, former
	for i, p := range c.running {
		if p.name != "kube-apiserver" {
			continue
		}
		p.stop()
		return c.again(ctx, i, c.serverFlags())
	}
	return errors.New("controlplane: no API server is running")
}

// again starts the process of index i, which has ended, again.
func (c *ControlPlane) again(ctx context.Context, i int, flags []string) error {
	p, err := startProcess(c.watchdog, c.dir, filepath.Join(c.programs, c.running[i].name), flags...)
	if err != nil {
		return err
	}
	c.running[i] = p
	return c.waitReady(ctx)
}

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
		return c.again(ctx, i, p.cmd.Args[1:])
	}
	return fmt.Errorf("controlplane: no %q is running", program)
}
