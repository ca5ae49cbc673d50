//go:build linux

package files_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys/internal/files"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	names, err := files.Disk{}.List(dir)
	ok(t, err)
	slices.Sort(names)
	return names
}

// A file has the new content and mode, or is as it was, and nothing else is left.
func TestReplace(t *testing.T) {
	var disk files.Disk
	dir := filepath.Join(t.TempDir(), "a", "b")
	ok(t, disk.MkdirAll(dir, 0o700))
	name := filepath.Join(dir, "f")
	for _, tt := range []struct {
		data string
		mode fs.FileMode
	}{{"old", 0o644}, {"newer", 0o600}, {"", 0o640}} {
		ok(t, files.Replace(disk, name, []byte(tt.data), tt.mode))
		data, info, err := disk.ReadFile(name)
		if err != nil || string(data) != tt.data || info.Mode() != tt.mode || !slices.Equal(list(t, dir), []string{"f"}) {
			t.Errorf("the file has %q, %v, %v in %q, want %q", data, info, err, list(t, dir), tt.data)
		}
	}
	ok(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	for name, want := range map[string]string{
		filepath.Join(dir, "folder"):    "rename",
		filepath.Join(dir, "none", "f"): "no such file or directory",
	} {
		if err := files.Replace(disk, name, []byte("x"), 0o600); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Replace(%s) = %v, want %s", name, err, want)
		}
	}
	if got := list(t, dir); !slices.Equal(got, []string{"f", "folder"}) {
		t.Errorf("the folder has %q", got)
	}
}

// The names of a new file are safe when Replace returns.
func TestReplaceSyncs(t *testing.T) {
	dir := t.TempDir()
	disk := &syncing{}
	ok(t, files.Replace(disk, filepath.Join(dir, "f"), []byte("x"), 0o600))
	if !slices.Equal(disk.synced, []string{dir}) {
		t.Errorf("the folders %q are safe, want %q", disk.synced, dir)
	}
	disk.err = errors.New("lost")
	if err := files.Replace(disk, filepath.Join(dir, "f"), []byte("x"), 0o600); err != disk.err {
		t.Errorf("Replace() = %v, want that the folder isn't safe", err)
	}
	if name, err := disk.WriteTemp(filepath.Join(dir, "none"), nil, 0o600); name != "" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteTemp() = %q, %v, want an error", name, err)
	}
}

// A syncing Disk notes which folders are safe.
type syncing struct {
	files.Disk
	synced []string
	err    error
}

func (s *syncing) SyncDir(dir string) error {
	s.synced = append(s.synced, dir)
	return s.err
}

// What can't be written whole, as on a full disk, isn't written at all.
func TestReplaceWithoutRoom(t *testing.T) {
	var disk files.Disk
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	ok(t, files.Replace(disk, name, []byte("old"), 0o600))
	var limit syscall.Rlimit
	ok(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	short := limit
	short.Cur = 1 << 20
	ok(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &short))
	err := files.Replace(disk, name, make([]byte, 1<<20+1), 0o600)
	ok(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	data, _, _ := disk.ReadFile(name)
	if !errors.Is(err, syscall.EFBIG) || string(data) != "old" || !slices.Equal(list(t, dir), []string{"f"}) {
		t.Errorf("Replace() = %v, and left %.10q in %q", err, data, list(t, dir))
	}
}

func TestReadFile(t *testing.T) {
	var disk files.Disk
	name := filepath.Join(t.TempDir(), "f")
	for size, want := range map[int]int{0: 0, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1, 1<<20 + 2: 1<<20 + 1} {
		ok(t, os.WriteFile(name, make([]byte, size), 0o600))
		if data, info, err := disk.ReadFile(name); err != nil || len(data) != want || info.Size() != int64(size) {
			t.Errorf("ReadFile() of %d bytes = %d bytes, %v, want %d", size, len(data), err, want)
		}
	}
	ok(t, os.WriteFile(name, nil, 0o600))
	before := len(list(t, "/proc/self/fd"))
	for range 100 {
		_, _, _ = disk.ReadFile(name)
		_, _ = disk.List(filepath.Dir(name))
		_ = disk.SyncDir(filepath.Dir(name))
	}
	if after := len(list(t, "/proc/self/fd")); after > before+10 {
		t.Errorf("%d files are open after 100 were read", after)
	}
	if _, _, err := disk.ReadFile(filepath.Dir(name)); err == nil {
		t.Error("ReadFile() of a folder = nil")
	}
	if _, _, err := disk.ReadFile(name + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile() of nothing = %v", err)
	}
}

// What interrupted writers have left goes, the rest stays.
func TestRemoveTemps(t *testing.T) {
	var disk files.Disk
	dir := t.TempDir()
	for _, name := range []string{".tmp-1", ".tmp-", "a.tmp-", "tmp-1", "f"} {
		ok(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	ok(t, files.RemoveTemps(disk, dir))
	if got, want := list(t, dir), []string{"a.tmp-", "f", "tmp-1"}; !slices.Equal(got, want) {
		t.Errorf("%q are left, want %q", got, want)
	}
	stuck := filepath.Join(dir, ".tmp-folder", "f")
	ok(t, errors.Join(disk.MkdirAll(filepath.Dir(stuck), 0o700), os.WriteFile(stuck, nil, 0o600), os.WriteFile(filepath.Join(dir, ".tmp-z"), nil, 0o600)))
	if err := files.RemoveTemps(disk, dir); !errors.Is(err, syscall.ENOTEMPTY) || slices.Contains(list(t, dir), ".tmp-z") {
		t.Errorf("RemoveTemps() = %v and left %q, want the error, and the others removed", err, list(t, dir))
	}
	if err := files.RemoveTemps(disk, filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("RemoveTemps() of nothing = %v", err)
	}
	if err := errors.Join(disk.Remove(filepath.Join(dir, "f")), disk.Remove(filepath.Join(dir, "f"))); err != nil || slices.Contains(list(t, dir), "f") {
		t.Errorf("Remove() twice = %v", err)
	}
	if err := disk.Remove(filepath.Dir(stuck)); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("Remove() of a full folder = %v", err)
	}
}

// A folder that has more files than a ring can have isn't read whole.
func TestList(t *testing.T) {
	var disk files.Disk
	dir := t.TempDir()
	if got := list(t, dir); len(got) != 0 {
		t.Errorf("an empty folder has %q", got)
	}
	for i := range 4096 {
		ok(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
	}
	if got := list(t, dir); len(got) != 4096 {
		t.Errorf("List() = %d names, want 4096", len(got))
	}
	ok(t, os.WriteFile(filepath.Join(dir, "more"), nil, 0o600))
	if names, err := disk.List(dir); names != nil || err == nil || err.Error() != dir+" has more than 4096 files" {
		t.Errorf("List() of 4097 files = %d names, %v", len(names), err)
	}
	for _, name := range []string{filepath.Join(dir, "more"), filepath.Join(dir, "none")} {
		if names, err := disk.List(name); names != nil || err == nil {
			t.Errorf("List(%s) = %q, %v, want an error", name, names, err)
		}
	}
	if err := disk.SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir() of nothing = %v", err)
	}
	ok(t, disk.SyncDir(dir))
}

// One has the lock, until it is unlocked; another waits for no longer than its context.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "lock")
	for what, lock := range map[string]func(context.Context) (func() error, error){
		"file":   func(ctx context.Context) (func() error, error) { return files.Lock(ctx, name) },
		"folder": func(ctx context.Context) (func() error, error) { return files.LockFolder(ctx, dir) },
	} {
		unlock, err := lock(t.Context())
		ok(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if again, err := lock(ctx); again != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the lock is taken, and another one gets %v", what, err)
		}
		cancel()
		got := make(chan error)
		go func() {
			again, err := lock(t.Context())
			if err == nil {
				err = again()
			}
			got <- err
		}()
		ok(t, unlock())
		ok(t, <-got)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 || !slices.Equal(list(t, dir), []string{"lock"}) {
		t.Errorf("the lock is %v, %v in %q", info, err, list(t, dir))
	}
	ok(t, os.Symlink("other", filepath.Join(dir, "link")))
	if _, err := files.Lock(t.Context(), filepath.Join(dir, "link")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("Lock() of a link = %v", err)
	}
	if _, err := files.LockFolder(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LockFolder() of nothing = %v", err)
	}
}
