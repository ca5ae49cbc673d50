package controlplane

import (
	"os"
	"path/filepath"
	"testing"
)

// What happens when the test process ends without Stop: the kernel closes its
// end of the pipe.
func TestWatchdogCleansUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "controlplane")
	if err := os.MkdirAll(filepath.Join(dir, "etcd"), 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := startWatchdog(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(w, dir, "/bin/sh", "-c", "trap '' INT TERM; while :; do sleep 1; done")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("the watchdog ended with %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after the watchdog Stat(%s) = %v, want that it doesn't exist", dir, err)
	}
}

func TestWatchdogDismissed(t *testing.T) {
	dir := t.TempDir()
	w, err := startWatchdog(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.dismiss()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a dismissed watchdog removed the folder: %v", err)
	}
}
