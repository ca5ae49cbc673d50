package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The packages that are built, pinned as tools in go.mod.
var programs = map[string]string{
	"etcd":           "go.etcd.io/etcd/server/v3",
	"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
	"kubectl":        "k8s.io/kubernetes/cmd/kubectl",
}

// pinning is the module whose go.mod pins the programs.
const pinning = "github.com/kubesa/serviceaccount/internal/compat"

// Programs returns the folder that holds the programs called names: etcd, kube-apiserver
// and kubectl, or all of them if there are no names. It builds those that are missing, with the go command, in the module that pins
// them; the current folder has to be in that one or in one that requires it.
// Processes that want the same build wait for each other. What is built, and how
// long it takes, is told to progress, which may be nil.
//
// An error comes from the go command, whose output it has, or from the file
// system.
func Programs(ctx context.Context, progress io.Writer, names ...string) (string, error) {
	module, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", pinning)
	if err != nil {
		return "", err
	}
	b := &builder{module: strings.TrimSpace(string(module)), progress: progress}
	if b.progress == nil {
		b.progress = io.Discard
	}
	version, err := goCommand(ctx, b.module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return "", err
	}
	b.version = strings.TrimSpace(string(version))
	if b.dir, err = programsFolder(ctx, b.module, b.version); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(b.dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	for name, pkg := range programs {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		if err := b.build(ctx, name, pkg); err != nil {
			return "", err
		}
	}
	return b.dir, nil
}

// A builder makes programs in the folder dir.
type builder struct {
	module, dir, version string
	progress             io.Writer
}

// build makes the program called name if it isn't there. It appears under its name
// only once it is complete.
func (b *builder) build(ctx context.Context, name, pkg string) error {
	target := filepath.Join(b.dir, name)
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer b.tell(name)()
	partial := target + ".partial"
	// kubectl refuses to talk to a server whose version it can't parse, and
	// the version of both is set when they are linked.
	if _, err := goCommand(ctx, b.module, "build",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+b.version,
		"-o", partial, pkg,
	); err != nil {
		return err
	}
	return os.Rename(partial, target)
}

// tell says that name is being built, again every ten seconds, until the function
// that it returns is called.
func (b *builder) tell(name string) (stop func()) {
	started, done := time.Now(), make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			fmt.Fprintf(b.progress, "building %s, once; %.0f s so far\n", name, time.Since(started).Seconds())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(done); told.Wait() }
}

// programsFolder returns a folder of its own for what would be built now. Checkouts of
// the same versions share it.
func programsFolder(ctx context.Context, module, version string) (string, error) {
	mod, err := goCommand(ctx, module, "env", "GOMOD", "GOVERSION", "GOOS", "GOARCH", "GOFLAGS", "CGO_ENABLED")
	if err != nil {
		return "", err
	}
	gomod, settings, _ := strings.Cut(string(mod), "\n")
	hash := sha256.New()
	hash.Write([]byte(settings))
	for _, name := range []string{gomod, filepath.Join(filepath.Dir(gomod), "go.sum")} {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("controlplane: not in the module that pins the programs: %w", err)
		}
		hash.Write(data)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kubesa-serviceaccount", fmt.Sprintf("controlplane-%s-%s-%s",
		version, runtime.Version(), hex.EncodeToString(hash.Sum(nil)[:6])))
	return dir, os.MkdirAll(dir, 0o755)
}

// goCommand runs the go command in dir.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		detail := ""
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			detail = "\n" + string(exit.Stderr)
		}
		return nil, fmt.Errorf("controlplane: go %s: %w%s", strings.Join(args, " "), err, detail)
	}
	return out, nil
}

// lock waits until it holds the lock file called name. The kernel gives the
// lock back when the process ends.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("controlplane: locking %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}
