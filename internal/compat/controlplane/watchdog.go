package controlplane

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// A watchdog is a shell that outlives this process by a moment: when the pipe
// to it closes, it ends the processes that it was told of and removes the
// folder.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

const watchdogScript = `
pids=
while read -r pid; do pids="$pids $pid"; done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
`

// startWatchdog starts a watchdog in a session of its own, so that an
// interrupt from the terminal or the end of the process group leaves it alone.
func startWatchdog(dir string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "watchdog", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("controlplane: starting the watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// watch tells the watchdog of a process.
func (w *watchdog) watch(pid int) error {
	_, err := fmt.Fprintln(w.pipe, pid)
	return err
}

// dismiss ends the watchdog before it acts. Process numbers are used again, so
// it has to go once the processes are gone.
func (w *watchdog) dismiss() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
	_ = w.pipe.Close()
}
