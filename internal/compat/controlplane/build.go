package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// The packages that are built, pinned as tools in go.mod.
var programs = map[string]string{
	"etcd":           "go.etcd.io/etcd/server/v3",
	"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
	"kubectl":        "k8s.io/kubernetes/cmd/kubectl",
}

// Programs returns the folder that holds etcd, kube-apiserver and kubectl. It
// builds those that are missing, with the go command, in the module of the
// current folder. Processes that want the same build wait for each other.
//
// An error comes from the go command, whose output it has, or from the file
// system.
func Programs(ctx context.Context) (string, error) {
	version, err := kubernetesVersion(ctx)
	if err != nil {
		return "", err
	}
	dir, err := programsFolder(ctx, version)
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	for name, pkg := range programs {
		if err := build(ctx, dir, name, pkg, version); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// build makes dir/name if it isn't there. The program appears under its name
// only once it is complete.
func build(ctx context.Context, dir, name, pkg, version string) error {
	target := filepath.Join(dir, name)
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := target + ".partial"
	// kubectl refuses to talk to a server whose version it can't parse, and
	// the version of both is set when they are linked.
	if _, err := goCommand(ctx, "build",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+version,
		"-o", partial, pkg,
	); err != nil {
		return err
	}
	return os.Rename(partial, target)
}

// programsFolder returns a folder of its own for what would be built now.
func programsFolder(ctx context.Context, version string) (string, error) {
	mod, err := goCommand(ctx, "env", "GOMOD", "GOVERSION", "GOOS", "GOARCH", "GOFLAGS", "CGO_ENABLED")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	hash.Write(mod)
	gomod, _, _ := strings.Cut(string(mod), "\n")
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

func kubernetesVersion(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	return strings.TrimSpace(string(out)), err
}

func goCommand(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "go", args...).Output()
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
