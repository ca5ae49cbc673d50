package keeper_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/tokens/keeper"
)

var errBroken = errors.New("the disk is broken")

// A brokenDisk is a folder of which one step fails, the one that is left steps ahead. A
// file that is opened fails in two: it isn't opened, or it can't be synced or listed.
type brokenDisk struct {
	t *testing.T
	*os.Root
	left   int
	failed string   // the step that did
	steps  []string // that didn't
}

func (d *brokenDisk) step(name string, args ...any) error {
	text := strings.TrimSpace(fmt.Sprintln(append([]any{name}, args...)...))
	if d.left--; d.left != 0 {
		d.steps = append(d.steps, text)
		return nil
	}
	d.failed = text
	return errBroken
}

func (d *brokenDisk) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	if err := d.step("open", name); err != nil {
		return nil, err
	}
	if d.step("sync", name) == nil {
		return d.Root.OpenFile(name, flag, mode)
	}
	r, w, err := os.Pipe() // which has nothing to sync
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { r.Close() })
	return w, nil
}

func (d *brokenDisk) Open(name string) (*os.File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

func (d *brokenDisk) Lstat(name string) (fs.FileInfo, error) {
	if err := d.step("lstat", name); err != nil {
		return nil, err
	}
	return d.Root.Lstat(name)
}

func (d *brokenDisk) Readlink(name string) (string, error) {
	if err := d.step("readlink", name); err != nil {
		return "", err
	}
	return d.Root.Readlink(name)
}

func (d *brokenDisk) Chmod(name string, mode fs.FileMode) error {
	return cmpOr(d.step("chmod", name), func() error { return d.Root.Chmod(name, mode) })
}

func (d *brokenDisk) Mkdir(name string, mode fs.FileMode) error {
	return cmpOr(d.step("mkdir", name), func() error { return d.Root.Mkdir(name, mode) })
}

func (d *brokenDisk) MkdirAll(name string, mode fs.FileMode) error {
	return cmpOr(d.step("mkdirall", name), func() error { return d.Root.MkdirAll(name, mode) })
}

func (d *brokenDisk) Remove(name string) error {
	return cmpOr(d.step("remove", name), func() error { return d.Root.Remove(name) })
}

func (d *brokenDisk) RemoveAll(name string) error {
	return cmpOr(d.step("removeall", name), func() error { return d.Root.RemoveAll(name) })
}

func (d *brokenDisk) Rename(from, to string) error {
	return cmpOr(d.step("rename", from), func() error { return d.Root.Rename(from, to) })
}

func (d *brokenDisk) Symlink(target, name string) error {
	return cmpOr(d.step("symlink", name), func() error { return d.Root.Symlink(target, name) })
}

func cmpOr(err error, do func() error) error {
	if err != nil {
		return err
	}
	return do()
}

// content returns what is behind ..data, nil if there is none.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	seen := map[string]string{}
	err = errors.Join(err, filepath.WalkDir(folder, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		seen[strings.TrimPrefix(p, folder+"/")] = string(data)
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// state returns which folder is the current one, and the visible names.
func state(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	current, _ := os.Readlink(filepath.Join(dir, "..data"))
	names := []string{current}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "..") {
			names = append(names, entry.Name())
		}
	}
	return names
}

// Whichever step fails, that is an error, there are all old files or all new ones, and
// what is said to have changed has; the next WriteVolume mends what was left (KUB-24,
// KUB-26, KUB-27).
func TestWriteVolumeFaults(t *testing.T) {
	texts := func(files map[string]string) map[string]keeper.File {
		all := map[string]keeper.File{}
		for name, data := range files {
			all[name] = text(data)
		}
		return all
	}
	one := map[string]string{"token": "one", "gone": "x", "a/ca": "y"}
	two := map[string]string{"token": "two", "a/ca": "y", "a/b/more": "z", "new": "n"}
	for name, was := range map[string]map[string]string{"none": nil, "others": one, "the same": two, "the same with other links": two} {
		steps := 0
		for triggered := true; triggered; steps++ {
			dir := memDir(t)
			if was != nil {
				if _, err := keeper.WriteVolume(dir, texts(was)); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasSuffix(name, "other links") {
				if err := errors.Join(os.Remove(filepath.Join(dir, "token")), os.Remove(filepath.Join(dir, "new")), os.Symlink("..data/gone", filepath.Join(dir, "gone"))); err != nil {
					t.Fatal(err)
				}
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			before := state(t, dir)
			disk := &brokenDisk{t: t, Root: root, left: steps + 1}
			changed, err := keeper.WriteVolumeTo(disk, texts(two))
			triggered = disk.failed != ""
			at := fmt.Sprintf("from %s, step %d, %s", name, steps, disk.failed)

			now := content(t, dir)
			isOld, isNew := maps.Equal(now, was) && (now == nil) == (was == nil), maps.Equal(now, two)
			if !isOld && !isNew || err == nil && !isNew {
				t.Errorf("%s: %v, and there is %v", at, err, now)
			}
			reads := strings.HasPrefix(disk.failed, "lstat") || strings.HasPrefix(disk.failed, "readlink")
			if triggered && err == nil && !reads || !errors.Is(err, errBroken) && triggered && !reads && !strings.HasPrefix(disk.failed, "sync") {
				t.Errorf("%s: %v, want the error of the disk", at, err)
			}
			if diff := cmp.Diff(before, state(t, dir)); changed != (diff != "") {
				t.Errorf("%s: %v, changed: %v (-before +after):\n%s", at, err, changed, diff)
			}
			left := hidden(t, dir)
			if isOld && !isNew && !strings.HasPrefix(disk.failed, "remove") && slices.Contains(left, "..time") != (was != nil) || slices.Contains(left, "..data_tmp") {
				t.Errorf("%s: it has left %q", at, left)
			}
			if _, err := keeper.WriteVolume(dir, texts(two)); err != nil {
				t.Errorf("%s: then WriteVolume() = %v", at, err)
			}
			if diff := cmp.Diff([]string{"..data", "..time"}, hidden(t, dir)); diff != "" || len(read(t, dir)) != len(two) || len(state(t, dir)) != 4 {
				t.Errorf("%s: then there is %q", at, append(hidden(t, dir), state(t, dir)...))
			}
			root.Close()
		}
		if steps < 10 {
			t.Errorf("from %s there are %d steps", name, steps)
		}
	}
}

// What ..data names is on the disk before it does, and so is each link when WriteVolume
// returns (KUB-24).
func TestWriteVolumeSteps(t *testing.T) {
	root, err := os.OpenRoot(memDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	disk := &brokenDisk{t: t, Root: root}
	if _, err := keeper.WriteVolumeTo(disk, map[string]keeper.File{"a/token": text("x")}); err != nil {
		t.Fatal(err)
	}
	current, _ := root.Readlink("..data")
	got := strings.ReplaceAll(strings.Join(disk.steps, "\n"), current, "..time")
	const want = `lstat a
readlink ..data
remove ..data_tmp
mkdir ..time
mkdirall ..time/a
open ..time/a/token
sync ..time/a/token
chmod ..time
open ..time
sync ..time
chmod ..time/a
open ..time/a
sync ..time/a
open .
sync .
symlink ..data_tmp
rename ..data_tmp
open .
sync .
open .
sync .
readlink a
symlink a
open .
sync .
open .
sync .`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps, in which names are read twice after the rename (-want +got):\n%s", diff)
	}
}
