package controlplane

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A process is a server that this package started.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read it after done
}

// startProcess starts program with args; what it writes goes to a file in dir.
func startProcess(w *watchdog, dir, program string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(program), log: filepath.Join(dir, filepath.Base(program)+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A group of its own: an interrupt from the terminal must not end it
	// before its clients are done.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("controlplane: starting %s: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := w.watch(p.cmd.Process.Pid); err != nil {
		p.stop()
		return nil, fmt.Errorf("controlplane: the watchdog is gone: %w", err)
	}
	return p, nil
}

// stop asks the process to end, insists after a while, and returns when it has
// ended.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// failure describes the end of the process by the last lines that it wrote.
func (p *process) failure() error {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	const lines = 15
	all := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return fmt.Errorf("controlplane: %s ended: %v\n%s", p.name, p.err, bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// freePort returns a loopback port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
