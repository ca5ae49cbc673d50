package keeper_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/tokens/keeper"
)

func text(s string) keeper.File { return keeper.File{Data: []byte(s), Mode: 0o644} }

// read returns what readers of dir see: the visible files, with their modes.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		top := filepath.Join(dir, entry.Name())
		real, err := filepath.EvalSymlinks(top)
		if err != nil {
			t.Fatal(err)
		}
		if err := filepath.WalkDir(real, func(p string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(p)
			info, _ := entry.Info()
			seen[filepath.Base(top)+strings.TrimPrefix(p, real)] = fmt.Sprintf("%s %o", data, info.Mode().Perm())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return seen
}

// hidden returns the names in dir that begin with "..", the folders of times as "..time".
func hidden(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasPrefix(name, "..20"):
			names = append(names, "..time")
		case strings.HasPrefix(name, ".."):
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// KUB-17, KUB-21, KUB-22, KUB-23, KUB-24, KUB-27, KUB-28
func TestWriteVolume(t *testing.T) {
	dir := t.TempDir()
	write := func(files map[string]keeper.File, wantChanged bool, want map[string]string) {
		t.Helper()
		changed, err := keeper.WriteVolume(dir, files)
		if err != nil || changed != wantChanged {
			t.Errorf("WriteVolume() = %v, %v, want %v", changed, err, wantChanged)
		}
		if diff := cmp.Diff(want, read(t, dir)); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		if got := hidden(t, dir); !slices.Equal(got, []string{"..data", "..time"}) {
			t.Errorf("hidden names %q, want one folder and the link to it", got)
		}
	}
	current := func() string {
		target, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	files := map[string]keeper.File{"token": {Data: []byte("one")}, "ca/ca.crt": text("ca"), "ca//more": text("x")}
	write(files, true, map[string]string{"token": "one 600", "ca/ca.crt": "ca 644", "ca/more": "x 644"})
	before := current()
	write(files, false, map[string]string{"token": "one 600", "ca/ca.crt": "ca 644", "ca/more": "x 644"})
	if current() != before {
		t.Error("the same files were written anew")
	}
	files["token"] = keeper.File{Data: []byte("one"), Mode: 0o640}
	write(files, true, map[string]string{"token": "one 640", "ca/ca.crt": "ca 644", "ca/more": "x 644"})
	if current() == before {
		t.Error("another mode was not written")
	}
	delete(files, "ca/ca.crt")
	write(files, true, map[string]string{"token": "one 640", "ca/more": "x 644"})
	delete(files, "ca//more")
	files["new"] = text("n")
	write(files, true, map[string]string{"token": "one 640", "new": "n 644"})
	if err := os.Remove(filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	write(files, true, map[string]string{"token": "one 640", "new": "n 644"})
	write(map[string]keeper.File{}, true, map[string]string{})
}

// What a crash leaves is removed by the next write (KUB-26, KUB-27).
func TestWriteVolumeAfterACrash(t *testing.T) {
	dir := t.TempDir()
	files := map[string]keeper.File{"token": text("one")}
	if _, err := keeper.WriteVolume(dir, files); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "..2026_01_01_00_00_00.0000000001")
	if err := os.MkdirAll(filepath.Join(old, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "token"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2026_01_01_00_00_00.0000000001", filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"one", "two"} {
		files["token"] = text(value)
		if _, err := keeper.WriteVolume(dir, files); err != nil {
			t.Fatal(err)
		}
		if got := hidden(t, dir); !slices.Equal(got, []string{"..data", "..time"}) {
			t.Errorf("hidden names %q, want one folder and the link to it", got)
		}
		if got := read(t, dir)["token"]; got != value+" 644" {
			t.Errorf("token is %q, want %q", got, value)
		}
	}
}

// KUB-18, KUB-19, KUB-20, KUB-25
func TestWriteVolumeRefuses(t *testing.T) {
	for _, p := range []string{"", "/a", "../a", "..a", "a/../../b", "a/../b", ".", "a/b", "a\x00b", strings.Repeat("n", 256), strings.Repeat("n/", 2049)} {
		dir := t.TempDir()
		_, err := keeper.WriteVolume(dir, map[string]keeper.File{p: text("x"), "a": text("y")})
		if e, ok := errors.AsType[*keeper.PathError](err); !ok || e.Path != p {
			t.Errorf("path %.20q: WriteVolume() = %v, want a PathError", p, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("path %.20q: something was written", p)
		}
	}
	if _, err := keeper.WriteVolume(t.TempDir(), map[string]keeper.File{"a": {Mode: fs.ModeSetuid | 0o755}}); err == nil {
		t.Error("a setuid file was written")
	}
	if _, err := keeper.WriteVolume(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the folder, WriteVolume() = %v", err)
	}
	elsewhere := t.TempDir()
	for name, place := range map[string]func(string) error{
		"a file":                  func(p string) error { return os.WriteFile(p, []byte("theirs"), 0o600) },
		"a folder":                func(p string) error { return os.Mkdir(p, 0o755) },
		"a link to another place": func(p string) error { return os.Symlink(elsewhere, p) },
	} {
		for _, at := range []string{"token", "..data"} {
			dir := t.TempDir()
			if err := place(filepath.Join(dir, at)); err != nil {
				t.Fatal(err)
			}
			_, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": text("x")})
			if e, ok := errors.AsType[*keeper.PathError](err); !ok || e.Path != at {
				t.Errorf("%s at %s: WriteVolume() = %v, want a PathError", name, at, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("%s at %s: something was written", name, at)
			}
		}
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) > 0 {
		t.Error("something was written elsewhere")
	}
	// A foreign file that isn't in the way stays.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": text("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "theirs")); err != nil {
		t.Error("a foreign file was removed")
	}
}
