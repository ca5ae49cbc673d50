package keeper_test

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/kubesa/serviceaccount/tokens/keeper"
)

// KUB-23, KUB-34: a file gets its owner, and another owner is a change. Without the
// privilege, the old files stay.
func TestWriteVolumeOwner(t *testing.T) {
	dir, uid, gid := memDir(t), os.Getuid(), os.Getgid()
	for _, tt := range []struct {
		name     string
		uid, gid *int
		changed  bool
	}{
		{name: "at first", changed: true},
		{name: "the user", uid: &uid},
		{name: "the group", gid: &gid},
		{name: "another user", uid: ptr(uid + 1), changed: true},
		{name: "another user and the group", uid: ptr(uid + 1), gid: &gid},
		{name: "another group", gid: ptr(gid + 1), changed: true},
		{name: "another group and the user", uid: &uid, gid: ptr(gid + 1)},
		{name: "both", uid: ptr(uid + 1), gid: ptr(gid + 1), changed: true},
		{name: "both again", uid: ptr(uid + 1), gid: ptr(gid + 1)},
		{name: "neither"},
	} {
		changed, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": {Data: []byte("x"), UID: tt.uid, GID: tt.gid}})
		if uid != 0 && (tt.uid != nil && *tt.uid != uid || tt.gid != nil && *tt.gid != gid) {
			if !errors.Is(err, fs.ErrPermission) || changed || read(t, dir)["token"] != "x 600" {
				t.Errorf("%s, without the privilege: WriteVolume() = %v, %v", tt.name, changed, err)
			}
		} else if err != nil || changed != tt.changed || read(t, dir)["token"] != "x 600" {
			t.Errorf("%s: WriteVolume() = %v, %v, want %v", tt.name, changed, err, tt.changed)
		}
	}
	if uid != 0 {
		return
	}
	// A folder that hands down its group keeps doing so for files with a user alone.
	dir = memDir(t)
	if err := errors.Join(os.Chown(dir, 0, 1), os.Chmod(dir, fs.ModeSetgid|0o755)); err != nil {
		t.Fatal(err)
	}
	for _, group := range []*int{nil, ptr(1)} {
		changed, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": {UID: ptr(1), GID: group}})
		if err != nil || changed != (group == nil) {
			t.Errorf("a folder that hands down its group: WriteVolume() = %v, %v", changed, err)
		}
	}
}

// Whatever the umask, who may read a file finds it (KUB-28); the folder itself isn't
// WriteVolume's.
func TestWriteVolumeUmask(t *testing.T) {
	dir := memDir(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0o077)
	_, err := keeper.WriteVolume(dir, map[string]keeper.File{"a/b/c": text("x")})
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o711, "..data": 0o755, "a": 0o755, "a/b": 0o755, "a/b/c": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has %v, %v, want the mode %o", name, info.Mode(), err, want)
		}
	}
}

// On a full disk the old files stay, and nothing of the new ones.
func TestWriteVolumeDiskFull(t *testing.T) {
	dir := memDir(t)
	if _, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": text("one")}); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	// As large files as may be, the new one is larger; the tests' own output isn't.
	const most = 64 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	changed, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": {Data: make([]byte, most+1), UID: &uid}})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) || changed {
		t.Errorf("WriteVolume() = %v, %v, want the error of the disk", changed, err)
	}
	if got := hidden(t, dir); read(t, dir)["token"] != "one 644" || !slices.Equal(got, []string{"..data", "..time"}) {
		t.Errorf("hidden names %q, want the old files alone", got)
	}
}

// A folder that is kept for years leaves no descriptor open.
func TestWriteVolumeCloses(t *testing.T) {
	dir, open := memDir(t), func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	for i := range 20 {
		if _, err := keeper.WriteVolume(dir, map[string]keeper.File{"a/token": {Data: []byte{byte(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if after := open(); after >= before+20 {
		t.Errorf("20 writes opened %d descriptors", after-before)
	}
}
