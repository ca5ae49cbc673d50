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

// memDir returns a folder in memory where there is one: to sync takes a disk milliseconds.
func memDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "volume")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

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
	dir := memDir(t)
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
	dir := memDir(t)
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
	if err := os.Mkdir(filepath.Join(dir, "..2026_01_01_00_00_00.1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"..data_tmp": "..2026_01_01_00_00_00.0000000001", "gone": "..data/gone"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, value := range []string{"one", "two"} {
		files["token"] = text(value)
		if changed, err := keeper.WriteVolume(dir, files); err != nil || !changed {
			t.Fatalf("WriteVolume() = %v, %v, want a change", changed, err)
		}
		if got := hidden(t, dir); !slices.Equal(got, []string{"..data", "..time"}) {
			t.Errorf("hidden names %q, want one folder and the link to it", got)
		}
		if got := read(t, dir)["token"]; got != value+" 644" {
			t.Errorf("token is %q, want %q", got, value)
		}
	}
}

// What differs from what was written is written anew (KUB-22, KUB-23).
func TestWriteVolumeRepairs(t *testing.T) {
	elsewhere := func(dir string) string { return filepath.Join(dir, "xy") }
	for name, tamper := range map[string]func(dir, folder string) error{
		"a file more":     func(_, folder string) error { return os.WriteFile(filepath.Join(folder, "zzz"), nil, 0o600) },
		"a file less":     func(_, folder string) error { return os.Remove(filepath.Join(folder, "token")) },
		"another content": func(_, folder string) error { return os.WriteFile(filepath.Join(folder, "token"), []byte("HELLO"), 0) },
		"another length":  func(_, folder string) error { return os.WriteFile(filepath.Join(folder, "token"), []byte("hello!"), 0) },
		"another mode":    func(_, folder string) error { return os.Chmod(filepath.Join(folder, "token"), 0o700) },
		"another file without a mode": func(_, folder string) error {
			return errors.Join(os.Remove(filepath.Join(folder, "token")), os.WriteFile(filepath.Join(folder, "zzz"), nil, 0))
		},
		"the folder is gone": func(_, folder string) error { return os.RemoveAll(folder) },
		"a link that looks the same, even": func(dir, folder string) error {
			token := filepath.Join(folder, "token")
			return errors.Join(os.Remove(token), os.WriteFile(elsewhere(dir), []byte("hello"), 0o777), os.Symlink("../xy", token))
		},
	} {
		for _, files := range []map[string]keeper.File{{"token": {Data: []byte("hello"), Mode: 0o777}}, {}} {
			if len(files) == 0 && name != "the folder is gone" && name != "a file more" {
				continue
			}
			dir := memDir(t)
			if _, err := keeper.WriteVolume(dir, files); err != nil {
				t.Fatal(err)
			}
			folder, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
			if err != nil {
				t.Fatal(err)
			}
			if err := tamper(dir, folder); err != nil {
				t.Fatal(err)
			}
			for _, want := range []bool{true, false} {
				if changed, err := keeper.WriteVolume(dir, files); err != nil || changed != want {
					t.Errorf("%s, of %d files: WriteVolume() = %v, %v, want %v", name, len(files), changed, err, want)
				}
			}
		}
	}
}

func TestFilePrintsNoData(t *testing.T) {
	if got := fmt.Sprintf("%v %d %#v", text("hunter2"), text("hunter2"), text("hunter2")); got != strings.TrimSpace(strings.Repeat("keeper.File(7 bytes, mode 0644) ", 3)) {
		t.Errorf("a File prints as %q", got)
	}
}

// KUB-18, KUB-19, KUB-20, KUB-25
func TestWriteVolumeRefuses(t *testing.T) {
	long := strings.Repeat(strings.Repeat("n", 240)+"/", 16) + strings.Repeat("n", 240) // 4096 bytes
	for p, problem := range map[string]string{
		"": "it is empty", "/a": "it is absolute", "../a": "it begins with", "..a": "it begins with", "a/../../b": "it begins with", "a/../b": `it has ".." in it`,
		".": "it is the folder itself", "a/b": "its folder is a file: a", "a\x00b": "it has a NUL", strings.Repeat("n", 256): "a name in it has more than 255 bytes",
		strings.Repeat("n/", 2049): "it has more than 4096 bytes", long + "n": "it has more than 4096 bytes",
	} {
		dir := memDir(t)
		changed, err := keeper.WriteVolume(dir, map[string]keeper.File{p: text("x"), "a": text("y")})
		if e, ok := errors.AsType[*keeper.PathError](err); !ok || e.Path != p || !strings.HasPrefix(e.Problem, problem) || changed {
			t.Errorf("path %.20q: WriteVolume() = %v, %v, want a PathError: %s", p, changed, err, problem)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("path %.20q: something was written", p)
		}
	}
	if _, err := keeper.WriteVolume(memDir(t), map[string]keeper.File{"a/b": text("x"), "a//b": text("y")}); err == nil || !strings.HasSuffix(err.Error(), "it is there twice") {
		t.Errorf("two files at one path: WriteVolume() = %v", err)
	}
	for _, p := range []string{long, strings.Repeat("n", 255)} {
		if changed, err := keeper.WriteVolume(memDir(t), map[string]keeper.File{p: text("x")}); err != nil || !changed {
			t.Errorf("a path of %d bytes: WriteVolume() = %v, %v", len(p), changed, err)
		}
	}
	if _, err := keeper.WriteVolume(memDir(t), map[string]keeper.File{"a": {Mode: fs.ModeSetuid | 0o755}}); err == nil {
		t.Error("a setuid file was written")
	}
	if changed, err := keeper.WriteVolume(filepath.Join(memDir(t), "none"), nil); !errors.Is(err, fs.ErrNotExist) || changed {
		t.Errorf("without the folder, WriteVolume() = %v, %v", changed, err)
	}
	elsewhere := memDir(t)
	for name, place := range map[string]func(string) error{
		"a file":                  func(p string) error { return os.WriteFile(p, []byte("theirs"), 0o600) },
		"a folder":                func(p string) error { return os.Mkdir(p, 0o755) },
		"a link to another place": func(p string) error { return os.Symlink(elsewhere, p) },
	} {
		for _, at := range []string{"token", "..data"} {
			dir := memDir(t)
			if err := place(filepath.Join(dir, at)); err != nil {
				t.Fatal(err)
			}
			changed, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": text("x")})
			if e, ok := errors.AsType[*keeper.PathError](err); !ok || e.Path != at || changed || at == "..data" && strings.HasSuffix(e.Problem, "not a link") == strings.HasPrefix(name, "a link") {
				t.Errorf("%s at %s: WriteVolume() = %v, %v, want a PathError", name, at, changed, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("%s at %s: something was written", name, at)
			}
		}
	}
	for _, target := range []string{"data_of_another_with_a_long_name", "..2026", "..2026_01_01_00_00_00.", "..2026_01_01_00_00_00.1/../../x"} {
		dir := memDir(t)
		if err := os.Symlink(target, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		_, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": text("x")})
		if e, ok := errors.AsType[*keeper.PathError](err); !ok || e.Problem != "it is not a link to a folder of this volume" {
			t.Errorf("..data is a link to %s: WriteVolume() = %v, want a PathError", target, err)
		}
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) > 0 {
		t.Error("something was written elsewhere")
	}
	// Foreign files that aren't in the way stay.
	dir := memDir(t)
	theirs := []string{"..mine", "..2026", "..2026_01_01_00_00_00."}
	for _, name := range theirs {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
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
	for _, name := range theirs {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s was removed", name)
		}
	}
	// What can't be removed is an error, and nothing is written.
	if err := os.MkdirAll(filepath.Join(dir, "..data_tmp", "theirs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"new", "x"} {
		if changed, err := keeper.WriteVolume(dir, map[string]keeper.File{"token": text(value)}); err == nil || changed || read(t, dir)["token"] != "x 644" {
			t.Errorf("a folder at ..data_tmp: WriteVolume() = %v, %v, the content %v", changed, err, read(t, dir))
		}
	}
}
