//go:build unix

package files_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/keys/internal/files"
)

// A folder is trusted if only this user and root may change it or put another in its
// place.
func TestCheckFolder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(base string) error // base/a/b is a folder of this user with mode 0755
		path    string                  // below base, a/b if empty
		shared  bool
		root    bool   // only root can prepare it
		want    string // part of the error; none if empty
	}{
		{name: "good"},
		{name: "read by others", prepare: chmod("a/b", 0o705)},
		{name: "writable by others", prepare: chmod("a/b", 0o757), want: "a/b must not be writable by group or others without the sticky bit, its mode is 0757"},
		{name: "writable by group", prepare: chmod("a/b", 0o770), want: "a/b must not be writable by group or others without the sticky bit, its mode is 0770"},
		{name: "sticky", prepare: chmod("a/b", os.ModeSticky|0o777), want: "a/b must not be writable by group or others, its mode is 01777"},
		{name: "sticky for others to change", prepare: chmod("a/b", os.ModeSticky|0o772), want: "a/b must not be writable by group or others, its mode is 01772"},
		{name: "sticky and shared", prepare: chmod("a/b", os.ModeSticky|0o777), shared: true},
		{name: "writable and shared", prepare: chmod("a/b", 0o777), shared: true, want: "without the sticky bit"},
		{name: "parent writable by others", prepare: chmod("a", 0o777), want: "a must not be writable by group or others without the sticky bit"},
		{name: "parent writable by others, shared", prepare: chmod("a", 0o777), shared: true, want: "a must not be writable"},
		{name: "parent writable by group", prepare: chmod("a", 0o775), want: "a must not be writable"},
		{name: "sticky parent", prepare: chmod("a", os.ModeSticky|0o777)},
		{name: "parent writable by group in a private folder", prepare: func(base string) error {
			return errors.Join(os.Chmod(base, 0o700), os.Chmod(filepath.Join(base, "a"), 0o775))
		}},
		{name: "parent writable by others in a private folder", prepare: func(base string) error {
			return errors.Join(os.Chmod(base, 0o700), os.Chmod(filepath.Join(base, "a"), 0o777))
		}, want: "a must not be writable"},
		{name: "of another user", prepare: chown("a/b"), root: true, want: "a/b belongs to user 54321"},
		{name: "parent of another user", prepare: chown("a"), root: true, want: "a belongs to user 54321"},
		{name: "link", prepare: link("a/b", "l"), path: "l"},
		{name: "link of another user", prepare: func(base string) error {
			return errors.Join(link("a/b", "l")(base), os.Lchown(filepath.Join(base, "l"), 54321, 54321))
		}, path: "l", root: true, want: "l belongs to user 54321"},
		{name: "link in a writable folder", prepare: func(base string) error {
			return errors.Join(os.Mkdir(filepath.Join(base, "w"), 0o755), link("../a/b", "w/l")(base), chmod("w", 0o777)(base))
		}, path: "w/l", want: "w must not be writable"},
		{name: "link through a writable folder", prepare: func(base string) error {
			return errors.Join(link("a/b", "l")(base), chmod("a", 0o777)(base))
		}, path: "l", want: "a must not be writable"},
		{name: "absolute link to a writable folder", prepare: func(base string) error {
			return errors.Join(link(filepath.Join(base, "a/b"), "l")(base), chmod("a/b", 0o777)(base))
		}, path: "l", want: "a/b must not be writable"},
		{name: "link up out of a private folder", prepare: func(base string) error {
			return errors.Join(os.Mkdir(filepath.Join(base, "p"), 0o700), link("../a/b", "p/l")(base), chmod("a", 0o775)(base))
		}, path: "p/l", want: "a must not be writable"},
		{name: "absolute link out of a private folder", prepare: func(base string) error {
			return errors.Join(os.Mkdir(filepath.Join(base, "p"), 0o700), link(filepath.Join(base, "a/b"), "p/l")(base), chmod("a", 0o775)(base))
		}, path: "p/l", want: "a must not be writable"},
		{name: "parent writable by group in a folder that the group enters", prepare: func(base string) error {
			return errors.Join(os.Chmod(base, 0o710), os.Chmod(filepath.Join(base, "a"), 0o775))
		}, want: "a must not be writable"},
		{name: "parent writable by group in a folder that others enter", prepare: func(base string) error {
			return errors.Join(os.Chmod(base, 0o701), os.Chmod(filepath.Join(base, "a"), 0o775))
		}, want: "a must not be writable"},
		{name: "parent writable by group further down in a private folder", prepare: func(base string) error {
			return errors.Join(os.Chmod(base, 0o700), os.Mkdir(filepath.Join(base, "a/b/c"), 0o755), os.Chmod(filepath.Join(base, "a/b"), 0o775))
		}, path: "a/b/c"},
		{name: "link with dots", prepare: link("./a/../a/./b", "l"), path: "l"},
		{name: "link with dots through a writable folder", prepare: func(base string) error {
			return errors.Join(os.Mkdir(filepath.Join(base, "w"), 0o755), link("w/../a/b", "l")(base), chmod("w", 0o777)(base))
		}, path: "l", want: "w must not be writable"},
		{name: "40 links", prepare: links(40), path: "l1"},
		{name: "41 links", prepare: links(41), path: "l1", want: "l41: too many links"},
		{name: "links in a circle", prepare: func(base string) error { return errors.Join(link("m", "l")(base), link("l", "m")(base)) }, path: "l", want: "too many links"},
		{name: "missing", path: "none", want: "no such file"},
		{name: "file", prepare: func(base string) error { return os.WriteFile(filepath.Join(base, "f"), nil, 0o600) }, path: "f", want: "f is not a folder"},
		{name: "below a file", prepare: func(base string) error { return os.WriteFile(filepath.Join(base, "f"), nil, 0o600) }, path: "f/x", want: "f is not a folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			base, err := os.MkdirTemp("", "")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(base)
			for _, dir := range []string{"", "a", "a/b"} {
				dir = filepath.Join(base, dir)
				if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.prepare != nil {
				if err := tt.prepare(base); err != nil {
					t.Fatal(err)
				}
			}
			if tt.path == "" {
				tt.path = "a/b"
			}
			err = files.CheckFolder(filepath.Join(base, tt.path), tt.shared)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("CheckFolder() = %v, want %q", err, tt.want)
			}
		})
	}
}

func chmod(name string, mode os.FileMode) func(string) error {
	return func(base string) error { return os.Chmod(filepath.Join(base, name), mode) }
}

func chown(name string) func(string) error {
	return func(base string) error { return os.Chown(filepath.Join(base, name), 54321, 54321) }
}

func link(target, name string) func(string) error {
	return func(base string) error { return os.Symlink(target, filepath.Join(base, name)) }
}

// links returns a chain of links to a/b.
func links(n int) func(string) error {
	return func(base string) error {
		err := link("a/b", fmt.Sprint("l", n))(base)
		for i := range n - 1 {
			err = errors.Join(err, link(fmt.Sprint("l", i+2), fmt.Sprint("l", i+1))(base))
		}
		return err
	}
}

// nowhere is a file that isn't of the operating system.
type nowhere struct{ os.FileInfo }

func (nowhere) Sys() any { return nil }

// A relative path is that from the working folder.
func TestCheckFolderRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.Mkdir("a", 0o755), os.Chmod("a", 0o755), files.CheckFolder("a", false), os.Chmod("a", 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := files.CheckFolder("a", false); err == nil {
		t.Error("CheckFolder() = nil for a writable folder")
	}
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(gone)
	if err := errors.Join(os.Remove(gone), files.CheckFolder("a", false)); err == nil || strings.Contains(err.Error(), "/a") {
		t.Errorf("CheckFolder() in a folder that is gone = %v", err)
	}
}

// Without a look at the parents, the folder itself is checked all the same.
func TestCheckFolderInsecureParents(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "ring")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(base, 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := (files.Disk{}).CheckFolder(dir); err == nil {
		t.Error("CheckFolder() = nil below a writable folder")
	}
	insecure := files.Disk{InsecureParents: true}
	if err := insecure.CheckFolder(dir); err != nil {
		t.Errorf("CheckFolder() with InsecureParents = %v", err)
	}
	for _, mode := range []os.FileMode{0o770, 0o702, os.ModeSticky | 0o777} {
		if err := errors.Join(os.Chmod(dir, mode), insecure.CheckFolder(dir)); err == nil || !strings.Contains(err.Error(), "must not be writable by group or others") {
			t.Errorf("mode %v: CheckFolder() = %v", mode, err)
		}
	}
	if err := errors.Join(os.Chmod(dir, os.ModeSticky|0o777), os.Chmod(base, 0o755), (files.Disk{}).CheckFolder(dir)); err == nil {
		t.Error("CheckFolder() of a sticky folder = nil")
	}
	if err := errors.Join(os.Chmod(dir, 0o755), insecure.CheckFolder(dir)); err != nil {
		t.Errorf("CheckFolder() of a folder that others read = %v", err)
	}
	file := filepath.Join(base, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), insecure.CheckFolder(file)); err == nil || !strings.HasSuffix(err.Error(), "file is not a folder") {
		t.Errorf("CheckFolder() of a file = %v", err)
	}
	if err := files.CheckOwner("x", nowhere{}); err != nil {
		t.Errorf("CheckOwner() of what isn't of the operating system = %v", err)
	}
	if err := insecure.CheckFolder(filepath.Join(base, "none")); err == nil {
		t.Error("CheckFolder() = nil without the folder")
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 54321, 54321)); err != nil {
			t.Fatal(err)
		}
		if err := insecure.CheckFolder(dir); err == nil || !strings.Contains(err.Error(), "belongs to user 54321") {
			t.Errorf("CheckFolder() of another user's = %v", err)
		}
	}
}
