package keyring

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/files"
)

// A memFS is a files.System that stops after some number of changes, as if the
// process was killed, or fails one of them. It knows which names would be there
// after a loss of power: those of which SyncDir has been told.
type memFS struct {
	files    map[string]memFile // as the system shows them
	durable  map[string]memFile // as they are on the disk
	pending  []func(map[string]memFile)
	temps    int
	steps    int // changes until now
	killAt   int // this change and all later ones don't happen; 0 for never
	failAt   int // this change fails; 0 for never
	killed   bool
	failedOn string
}

type memFile struct {
	data []byte
	mode fs.FileMode
}

var (
	errKilled = errors.New("killed")
	errFailed = errors.New("no space left on device")
)

func newMemFS(files map[string]memFile) *memFS {
	m := &memFS{files: map[string]memFile{}, durable: map[string]memFile{}}
	maps.Copy(m.files, files)
	maps.Copy(m.durable, files)
	return m
}

// change makes one change, unless the process is gone.
func (m *memFS) change(what string) error {
	if m.killed {
		return errKilled
	}
	m.steps++
	switch m.steps {
	case m.killAt:
		m.killed = true
		return errKilled
	case m.failAt:
		m.failedOn = what
		return errFailed
	}
	return nil
}

func (m *memFS) apply(f func(map[string]memFile)) {
	f(m.files)
	m.pending = append(m.pending, f)
}

func (m *memFS) MkdirAll(string, fs.FileMode) error { return nil }

func (m *memFS) ReadFile(name string) ([]byte, fs.FileInfo, error) {
	file, ok := m.files[name]
	switch {
	case m.killed:
		return nil, nil, errKilled
	case !ok:
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(file.data), memInfo{file: file}, nil
}

type memInfo struct {
	fs.FileInfo
	file memFile
}

func (i memInfo) Sys() any { return nil }

func (i memInfo) Mode() fs.FileMode { return i.file.mode }

func (m *memFS) WriteTemp(dir string, data []byte, mode fs.FileMode) (string, error) {
	m.temps++
	name := filepath.Join(dir, fmt.Sprint(files.TempPrefix, m.temps))
	if err := m.change("create"); err != nil {
		return "", err
	}
	m.apply(func(files map[string]memFile) { files[name] = memFile{data[:len(data)/2], 0o600} })
	if err := m.change("write"); err != nil {
		if !m.killed {
			m.apply(func(files map[string]memFile) { delete(files, name) })
		}
		return "", err
	}
	// The content is safe, the name isn't yet.
	m.apply(func(files map[string]memFile) { files[name] = memFile{bytes.Clone(data), mode} })
	return name, nil
}

func (m *memFS) Rename(from, to string) error {
	if err := m.change("rename"); err != nil {
		return err
	}
	file := m.files[from]
	m.apply(func(files map[string]memFile) {
		delete(files, from)
		files[to] = file
	})
	return nil
}

func (m *memFS) Remove(name string) error {
	if err := m.change("remove"); err != nil {
		return err
	}
	m.apply(func(files map[string]memFile) { delete(files, name) })
	return nil
}

func (m *memFS) SyncDir(string) error {
	if err := m.change("sync"); err != nil {
		return err
	}
	m.durable, m.pending = maps.Clone(m.files), nil
	return nil
}

func (m *memFS) CheckFolder(string) error { return nil }

func (m *memFS) List(string) ([]string, error) {
	if m.killed {
		return nil, errKilled
	}
	var names []string
	for name := range m.files {
		names = append(names, filepath.Base(name))
	}
	slices.Sort(names)
	return names, nil
}

// after returns the folders that may be found when m is gone: what the system
// has shown, and after a loss of power the disk with any of the changes since.
func (m *memFS) after() []map[string]memFile {
	worlds := []map[string]memFile{m.files}
	for subset := range 1 << len(m.pending) {
		world := maps.Clone(m.durable)
		for i, f := range m.pending {
			if subset>>i&1 == 1 {
				f(world)
			}
		}
		worlds = append(worlds, world)
	}
	return worlds
}

func noLock(context.Context, string) (func() error, error) {
	return func() error { return nil }, nil
}

// A script is steps of a ring in a folder, each when it is allowed.
type script struct {
	t    *testing.T
	fsys *memFS
	now  time.Time
	ring *Ring
	err  error
	// The keys before and after the last step that was tried.
	before, after string
}

func (s *script) open() {
	s.ring, s.err = openRing(context.Background(), "ring", Config{MaxAge: time.Hour, MaxTokenLifetime: time.Hour, Now: func() time.Time { return s.now }}, s.fsys, noLock)
}

// A listFS fails to list folders after some calls, or to remove some files.
type listFS struct {
	*memFS
	lists int    // how many more calls of List succeed
	keep  string // the end of names that can't be removed
}

func (m *listFS) List(dir string) ([]string, error) {
	if m.lists--; m.lists < 0 {
		return nil, errFailed
	}
	return m.memFS.List(dir)
}

func (m *listFS) Remove(name string) error {
	if m.keep != "" && strings.HasSuffix(name, m.keep) {
		return errFailed
	}
	return m.memFS.Remove(name)
}

// A folder that can't be listed opens no ring and takes no step.
func TestRingFolderNotListed(t *testing.T) {
	_, err := openRing(t.Context(), "ring", Config{}, &listFS{memFS: newMemFS(nil)}, noLock)
	if !errors.Is(err, errFailed) || !strings.HasPrefix(err.Error(), "keyring: opening ring: ") {
		t.Errorf("opened without listing keys: %v", err)
	}
	// That nobody knows what is left keeps no ring from being opened, but is told.
	var last keys.Event
	fsys := &listFS{memFS: newMemFS(nil), lists: 1}
	ring, err := openRing(t.Context(), "ring", Config{Observe: func(_ context.Context, e keys.Event) { last = e }}, fsys, noLock)
	if err != nil || !errors.Is(last.Err, errFailed) {
		t.Fatalf("opened: %v; Observe got %v, want the failure", err, last.Err)
	}
	fsys.lists = 0
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Add(t.Context(), key); !errors.Is(err, errFailed) || len(ring.Keys()) != 0 {
		t.Errorf("Add() to a folder that can't be listed = %v with %d keys", err, len(ring.Keys()))
	}
	fsys.lists = 1
	if _, err := ring.Add(t.Context(), key); err != nil {
		t.Errorf("Add() afterwards = %v", err)
	}
}

// A change of a folder that isn't as a ring leaves it changes nothing.
func TestFolderSwapRefuses(t *testing.T) {
	good := []byte(`{"version":1,"keys":[]}`)
	for _, tt := range []struct {
		name  string
		index memFile
		check error // of the folder
		next  []byte
		want  string
	}{
		{"index of an odd mode", memFile{good, 0o755}, nil, good, ""},
		{"index for all", memFile{good, 0o666}, nil, good, "the mode of ring/ring.json is 0666, it must not be writable by group or others"},
		{"damaged", memFile{[]byte("{}"), 0o644}, nil, good, "ring/ring.json has version 0, want 1"},
		{"folder for all", memFile{good, 0o644}, errFailed, good, errFailed.Error()},
		{"no next index", memFile{good, 0o644}, nil, []byte("{}"), "has version 0, want 1"},
	} {
		fsys := &checkFS{newMemFS(map[string]memFile{"ring/ring.json": tt.index}), tt.check}
		f := &folder{dir: "ring", fsys: fsys, lock: noLock}
		_, err := f.Swap(t.Context(), versionOf(tt.index.data), Change{Index: tt.next})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want || !bytes.Equal(fsys.files["ring/ring.json"].data, tt.index.data)) {
			t.Errorf("%s: Swap() = %v, want %s", tt.name, err, tt.want)
		}
	}
}

// A checkFS has a folder that is as err says.
type checkFS struct {
	*memFS
	err error
}

func (c *checkFS) CheckFolder(string) error { return c.err }

// Without its lock, nobody makes a folder a ring, takes a step or removes what is left.
func TestRingFolderNotLocked(t *testing.T) {
	all, ids, names := scriptKeys(t)
	locked := func(context.Context, string) (func() error, error) { return nil, errFailed }
	fsys := newMemFS(nil)
	if _, err := openRing(t.Context(), "ring", Config{}, fsys, locked); !errors.Is(err, errFailed) || !strings.HasPrefix(err.Error(), "keyring: opening ring: ") || len(fsys.files) > 0 {
		t.Errorf("opened without a lock: %v, and there are %v", err, fsys.files)
	}
	ring, err := openRing(t.Context(), "ring", Config{}, fsys, noLock)
	if err == nil {
		_, err = ring.Add(t.Context(), all["a"])
	}
	if err != nil {
		t.Fatal(err)
	}
	var told []error
	observe := func(_ context.Context, e keys.Event) { told = append(told, e.Err) }
	left := filepath.Join("ring", files.TempPrefix+"x")
	fsys.files[left] = memFile{}
	ring, err = openRing(t.Context(), "ring", Config{Observe: observe}, fsys, locked)
	if err != nil || show(ring, names) != "a Published" || len(told) != 1 || !errors.Is(told[0], errFailed) {
		t.Fatalf("opened without a lock: %v, %v; Observe got %v, want the failure", ring, err, told)
	}
	if err := ring.Promote(t.Context(), ids["a"]); !errors.Is(err, errFailed) || show(ring, names) != "a Published" {
		t.Errorf("Promote() without a lock = %v, and the ring is %s", err, show(ring, names))
	}
	if _, ok := fsys.files[left]; !ok {
		t.Error("what is left was removed without a lock")
	}
	// What can't be removed is told.
	told, fsys.failAt = nil, fsys.steps+1
	if _, err := openRing(t.Context(), "ring", Config{Observe: observe}, fsys, noLock); err != nil || len(told) != 1 || !errors.Is(told[0], errFailed) {
		t.Fatalf("opened, and what is left stays: %v; Observe got %v, want the failure", err, told)
	}
	// One that can't be let go says so.
	told = nil
	stuck := func(context.Context, string) (func() error, error) { return func() error { return errFailed }, nil }
	ring, err = openRing(t.Context(), "ring", Config{Observe: observe}, fsys, stuck)
	if err != nil || len(told) != 1 || !errors.Is(told[0], errFailed) {
		t.Fatalf("opened with a lock that can't be let go: %v; Observe got %v, want the failure", err, told)
	}
	if err := ring.Promote(t.Context(), ids["a"]); !errors.Is(err, errFailed) {
		t.Errorf("Promote() with a lock that can't be let go = %v", err)
	}
	if _, err := openRing(t.Context(), "other", Config{}, newMemFS(nil), stuck); !errors.Is(err, errFailed) {
		t.Errorf("opened a new ring with a lock that can't be let go: %v", err)
	}
}

// What looked left when there was no lock is looked at again with it.
func TestRingFolderChangesBeforeTidying(t *testing.T) {
	left := filepath.Join("ring", files.TempPrefix+"x")
	for name, tt := range map[string]struct {
		index *memFile // what the index has become; nil if it is gone
		want  string   // what Observe gets
	}{
		"unreadable": {&memFile{[]byte(`{"version":1,"keys":[]}`), 0o666}, "the mode of ring/ring.json is 0666"},
		"gone":       {nil, ""},
	} {
		fsys := newMemFS(map[string]memFile{"ring/ring.json": {[]byte(`{"version":1,"keys":[]}`), 0o644}, left: {}})
		var told []error
		lock := func(context.Context, string) (func() error, error) {
			delete(fsys.files, "ring/ring.json")
			if tt.index != nil {
				fsys.files["ring/ring.json"] = *tt.index
			}
			return func() error {
				fsys.files["ring/ring.json"] = memFile{[]byte(`{"version":1,"keys":[]}`), 0o644}
				return nil
			}, nil
		}
		_, err := openRing(t.Context(), "ring", Config{Observe: func(_ context.Context, e keys.Event) { told = append(told, e.Err) }}, fsys, lock)
		if _, stays := fsys.files[left]; err != nil || !stays || (tt.want == "") != (len(told) == 0) || len(told) == 1 && !strings.Contains(told[0].Error(), tt.want) {
			t.Errorf("an index that is %s: %v, Observe got %v; what is left stays: %t", name, err, told, stays)
		}
	}
}

// A folder with private keys of a ring has lost its index; other files are nobody's.
func TestRingFolderWithoutIndex(t *testing.T) {
	_, ids, _ := scriptKeys(t)
	for name, lost := range map[string]bool{ids["a"] + ".key": true, ids["a"]: false, ids["a"] + ".pub": false, "x.key": false, ids["a"] + "x.key": false} {
		_, err := openRing(t.Context(), "ring", Config{}, newMemFS(map[string]memFile{filepath.Join("ring", name): {}}), noLock)
		if lost != (err != nil) || lost && err.Error() != "keyring: opening ring: there are keys but no ring/ring.json" {
			t.Errorf("a folder with %s: %v", name, err)
		}
	}
}

// The file of a retired public key that can't be removed is an error of the step that
// retired it, and goes with the next step.
func TestRingFolderPublicStays(t *testing.T) {
	fsys := &listFS{memFS: newMemFS(nil), lists: 1 << 20}
	now := scriptStart
	ring, err := openRing(t.Context(), "ring", Config{MaxTokenLifetime: time.Hour, Now: func() time.Time { return now }}, fsys, noLock)
	if err != nil {
		t.Fatal(err)
	}
	add := func() crypto.Signer {
		key, err := keys.Generate(keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	id, err := ring.AddPublic(t.Context(), add().Public())
	if err == nil {
		_, err = ring.Add(t.Context(), add())
	}
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	fsys.keep = publicSuffix
	name := filepath.Join("ring", id+publicSuffix)
	if err := ring.Retire(t.Context(), id); !errors.Is(err, errFailed) || len(ring.Keys()) != 1 || fsys.files[name].data == nil {
		t.Errorf("Retire() = %v with %d keys, want the failure, and the key retired", err, len(ring.Keys()))
	}
	if _, err := ring.Add(t.Context(), add()); !errors.Is(err, errFailed) || len(ring.Keys()) != 1 {
		t.Errorf("Add() = %v with %d keys, want the failure, and nothing added", err, len(ring.Keys()))
	}
	fsys.keep = ""
	if _, err := ring.Add(t.Context(), add()); err != nil || fsys.files[name].data != nil {
		t.Errorf("Add() afterwards = %v; the file is there: %t", err, fsys.files[name].data != nil)
	}
}

// The file of a retired private key that can't be removed is an error, too.
func TestRingFolderPrivateStays(t *testing.T) {
	fsys := &listFS{memFS: newMemFS(nil), lists: 1 << 20}
	ring, err := openRing(t.Context(), "ring", Config{}, fsys, noLock)
	if err != nil {
		t.Fatal(err)
	}
	first := mustAdd(t, ring)
	mustAdd(t, ring)
	name := filepath.Join("ring", first+privateSuffix)
	fsys.keep = privateSuffix
	if err := ring.Retire(t.Context(), first); !errors.Is(err, errFailed) || len(ring.Keys()) != 1 || fsys.files[name].data == nil {
		t.Errorf("Retire() = %v with %d keys, want the failure, and the key retired", err, len(ring.Keys()))
	}
	fsys.keep = ""
	if mustAdd(t, ring); fsys.files[name].data != nil {
		t.Error("the file stays")
	}
}

// Of two that create a folder, the second finds the ring of the first, and a folder
// that was lost in between is an error, not a new ring.
func TestRingTwoCreators(t *testing.T) {
	fsys := newMemFS(nil)
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var first *Ring
	slow := func(context.Context, string) (func() error, error) { // the first has the lock
		if first == nil {
			if first, err = openRing(t.Context(), "ring", Config{}, fsys, noLock); err != nil {
				t.Fatal(err)
			}
			if _, err := first.Add(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		return noLock(t.Context(), "")
	}
	second, err := openRing(t.Context(), "ring", Config{}, fsys, slow)
	if err != nil || second.String() != first.String() || len(second.Keys()) != 1 {
		t.Errorf("the second opened %v, %v, want the ring of the first, %v", second, err, first)
	}
	delete(fsys.files, filepath.Join("ring", indexFile))
	if _, err := openRing(t.Context(), "ring", Config{}, fsys, noLock); err == nil || !strings.Contains(err.Error(), "there are keys but no ") {
		t.Errorf("opened without its index: %v", err)
	}
}

// do takes a step; want is what the ring then is.
func (s *script) do(want string, step func() error) {
	if s.err != nil {
		return
	}
	s.before, s.after = s.after, want
	s.now = s.now.Add(2 * time.Hour)
	s.err = step()
}

// show writes the keys in short.
func show(ring *Ring, names map[string]string) string {
	var out []string
	for _, key := range ring.Keys() {
		out = append(out, names[key.ID]+" "+string(key.State()))
	}
	return strings.Join(out, ", ")
}

func (s *script) run(all map[string]crypto.Signer, ids map[string]string) {
	add := func(name string) func() error {
		return func() error { _, err := s.ring.Add(context.Background(), all[name]); return err }
	}
	s.open()
	if s.err != nil {
		return
	}
	ctx := context.Background()
	s.do("a Published", add("a"))
	s.do("a Signing", func() error { return s.ring.Promote(ctx, ids["a"]) })
	s.do("a Signing, b Published", add("b"))
	s.do("a Signing, b Published, c Retiring", func() error { _, err := s.ring.AddPublic(ctx, all["c"].Public()); return err })
	s.do("a Retiring, b Signing, c Retiring", func() error { return s.ring.Promote(ctx, ids["b"]) })
	s.do("b Signing, c Retiring", func() error { return s.ring.Retire(ctx, ids["a"]) })
	s.do("b Signing", func() error { return s.ring.Retire(ctx, ids["c"]) })
	s.do("b Signing, a Published", add("a"))
	s.do("a Signing", func() error { return s.ring.Revoke(ctx, ids["b"]) })
}

func scriptKeys(t *testing.T) (all map[string]crypto.Signer, ids, names map[string]string) {
	all, ids, names = map[string]crypto.Signer{}, map[string]string{}, map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		key, err := keys.Generate(keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		id, err := keys.ID(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		all[name], ids[name], names[id] = key, id, name
	}
	return all, ids, names
}

var scriptStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Whatever change the process was killed at, and whatever of the last changes the
// disk has kept, the folder opens, with the last step taken or not taken and no
// key lost; and the ring goes on.
func TestRingFolderKilled(t *testing.T) {
	all, ids, names := scriptKeys(t)
	kubeadm := map[string]memFile{}
	for _, start := range []struct {
		name  string
		files map[string]memFile
	}{{"new folder", nil}, {"folder of kubeadm", kubeadm}} {
		if start.files != nil {
			private, err := keys.EncodePrivateKey(all["d"])
			if err != nil {
				t.Fatal(err)
			}
			start.files["ring/sa.key"] = memFile{private, 0o600}
		}
		t.Run(start.name, func(t *testing.T) {
			worlds := 0
			for killAt := 1; ; killAt++ {
				s := &script{t: t, fsys: newMemFS(start.files), now: scriptStart}
				s.fsys.killAt = killAt
				if start.files != nil {
					s.open() // imports
					s.before, s.after = "", "d Signing"
				} else {
					s.run(all, ids)
				}
				if !s.fsys.killed {
					if s.err != nil || show(s.ring, names) != s.after {
						t.Fatalf("the script ends with %v and %s, want %s", s.err, show(s.ring, names), s.after)
					}
					t.Logf("%d changes, %d folders", killAt-1, worlds)
					return
				}
				for _, world := range s.fsys.after() {
					worlds++
					checkWorld(t, s, world, killAt, all, names)
				}
			}
		})
	}
}

// checkWorld opens a folder that a killed process has left.
func checkWorld(t *testing.T, s *script, world map[string]memFile, killAt int, all map[string]crypto.Signer, names map[string]string) {
	t.Helper()
	next := &script{fsys: newMemFS(world), now: s.now.Add(2 * time.Hour)}
	next.open()
	if next.err != nil {
		t.Fatalf("killed at change %d: the folder does not open: %v", killAt, next.err)
	}
	got := show(next.ring, names)
	if got != s.before && got != s.after {
		t.Fatalf("killed at change %d: the ring is %q, want %q or %q", killAt, got, s.before, s.after)
	}
	for _, key := range next.ring.Keys() {
		list, _ := next.ring.PublicKeys(context.Background(), key.ID)
		if len(list) != 1 || !key.VerifyOnly && next.ring.current.Load().signers[key.ID] == nil {
			t.Fatalf("killed at change %d: key %s is lost", killAt, names[key.ID])
		}
	}
	// What was left is cleaned up, now and for good.
	checkLeft := func(when string, files map[string]memFile) {
		t.Helper()
		want := map[string]bool{"ring.json": true, "sa.key": true}
		for _, key := range next.ring.Keys() {
			want[key.ID+map[bool]string{false: ".key", true: ".pub"}[key.VerifyOnly]] = true
		}
		for name := range files {
			if !want[filepath.Base(name)] {
				t.Errorf("killed at change %d: %s is left %s", killAt, name, when)
			}
		}
	}
	checkLeft("after opening", next.fsys.files)
	// It goes on.
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.ring.Add(context.Background(), key); err != nil {
		t.Fatalf("killed at change %d: the next step fails: %v", killAt, err)
	}
	checkLeft("after the next step", next.fsys.files)
	checkLeft("on the disk after the next step", next.fsys.durable)
	if _, err := openRing(context.Background(), "ring", Config{}, newMemFS(next.fsys.durable), noLock); err != nil {
		t.Errorf("killed at change %d: the folder does not open after the next step: %v", killAt, err)
	}
}

// Who is killed while he cleans up leaves a folder that the next one cleans up.
func TestRingFolderKilledTwice(t *testing.T) {
	all, ids, names := scriptKeys(t)
	for first := 1; ; first++ {
		s := &script{t: t, fsys: newMemFS(nil), now: scriptStart}
		s.fsys.killAt = first
		if s.run(all, ids); !s.fsys.killed {
			return
		}
		for second := 1; ; second++ {
			again := &script{fsys: newMemFS(s.fsys.files), now: s.now, before: s.before, after: s.after}
			again.fsys.killAt = second
			again.open()
			if !again.fsys.killed {
				break
			}
			checkWorld(t, again, again.fsys.durable, first, all, names)
		}
	}
}

// A file that a ring didn't write, or whose key it doesn't know, is none that it
// removes.
func TestRingFolderForeign(t *testing.T) {
	all, ids, _ := scriptKeys(t)
	private, err := keys.EncodePrivateKey(all["a"])
	if err != nil {
		t.Fatal(err)
	}
	fsys := newMemFS(nil)
	s := &script{t: t, fsys: fsys, now: scriptStart}
	if s.open(); s.err != nil {
		t.Fatal(s.err)
	}
	foreign := []string{ids["a"] + privateSuffix, "backup.key", "notes"}
	for _, name := range foreign {
		fsys.files[filepath.Join("ring", name)] = memFile{private, 0o600}
	}
	if s.open(); s.err != nil {
		t.Fatal(s.err)
	}
	if _, err := s.ring.Add(t.Context(), all["b"]); err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		if fsys.files[filepath.Join("ring", name)].data == nil {
			t.Errorf("%s was removed", name)
		}
	}
}

// A step that is being taken looks as if it was left. Who opens the folder then waits
// for the lock, and finds it taken.
func TestRingFolderOpenedDuringStep(t *testing.T) {
	all, ids, names := scriptKeys(t)
	for killAt := 1; ; killAt++ {
		s := &script{t: t, fsys: newMemFS(nil), now: scriptStart}
		if s.open(); s.err != nil {
			t.Fatal(s.err)
		}
		s.fsys.killAt = s.fsys.steps + killAt
		if s.do("a Published", func() error { _, err := s.ring.Add(t.Context(), all["a"]); return err }); !s.fsys.killed {
			return
		}
		// As far as it is when it is looked at; the lock comes when it is done.
		fsys := newMemFS(s.fsys.files)
		done := func(context.Context, string) (func() error, error) {
			writer := &script{fsys: newMemFS(nil), now: scriptStart}
			writer.open()
			if _, err := writer.ring.Add(t.Context(), all["a"]); err != nil {
				t.Fatal(err)
			}
			fsys.files = writer.fsys.files
			return func() error { return nil }, nil
		}
		ring, err := openRing(t.Context(), "ring", Config{}, fsys, done)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(ring, names); got != "a Published" && got != "" {
			t.Errorf("at change %d the ring is %q", killAt, got)
		}
		if len(ring.Keys()) == 1 && fsys.files[filepath.Join("ring", ids["a"]+privateSuffix)].data == nil {
			t.Errorf("at change %d the key of the step was removed", killAt)
		}
	}
}

// An unknown key of a ring that can't be read, or that is being changed, may be there.
func TestRingFolderUnknownKey(t *testing.T) {
	all, ids, _ := scriptKeys(t)
	fsys := newMemFS(nil)
	now := scriptStart
	open := func() *Ring {
		ring, err := openRing(t.Context(), "ring", Config{Now: func() time.Time { return now }}, fsys, noLock)
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	one, other := open(), open()
	if list, err := other.PublicKeys(t.Context(), ids["a"]); err != nil || len(list) != 0 {
		t.Errorf("an unknown key of an empty ring: %v, %v", list, err)
	}
	if _, err := one.Add(t.Context(), all["a"]); err != nil {
		t.Fatal(err)
	}
	// In the same second: the first key of a ring signs immediately.
	if list, err := other.PublicKeys(t.Context(), ids["a"]); err != nil || len(list) != 1 {
		t.Errorf("a key that another replica has just added: %v, %v", list, err)
	}
	index := fsys.files["ring/"+indexFile]
	fsys.files["ring/"+indexFile] = memFile{[]byte("damaged"), 0o644}
	for range 2 {
		if list, err := other.PublicKeys(t.Context(), ids["b"]); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "is damaged") || list != nil {
			t.Errorf("an unknown key of a damaged ring: %v, %v, want ErrUnavailable", list, err)
		}
		if list, err := other.PublicKeys(t.Context(), ids["a"]); err != nil || len(list) != 1 {
			t.Errorf("a known key of a damaged ring: %v, %v", list, err)
		}
	}
	fsys.files["ring/"+indexFile] = index
	if list, err := other.PublicKeys(t.Context(), ids["b"]); err != nil || len(list) != 0 {
		t.Errorf("an unknown key after the repair: %v, %v", list, err)
	}
	for name, hold := range map[string]func() (release func()){
		"changed": func() func() { other.steps <- struct{}{}; return func() { <-other.steps } },
		"read":    func() func() { other.loadMu.Lock(); return other.loadMu.Unlock },
	} {
		release := hold()
		if list, err := other.PublicKeys(t.Context(), ids["b"]); !errors.Is(err, keys.ErrUnavailable) || list != nil {
			t.Errorf("an unknown key while the ring is being %s: %v, %v, want ErrUnavailable", name, list, err)
		}
		release()
	}
}

// Whatever change fails, the step says so, the ring in memory is that of the
// folder, and the step can be tried again.
func TestRingFolderFails(t *testing.T) {
	all, ids, names := scriptKeys(t)
	made := &script{t: t, fsys: newMemFS(nil), now: scriptStart}
	made.open()
	for failAt := 1; ; failAt++ {
		s := &script{t: t, fsys: newMemFS(nil), now: scriptStart}
		s.fsys.failAt = failAt
		s.run(all, ids)
		if s.fsys.failedOn == "" {
			if s.err != nil {
				t.Fatal(s.err)
			}
			t.Logf("%d changes", failAt-1)
			return
		}
		if failAt <= made.fsys.steps && s.ring != nil {
			t.Fatalf("change %d (%s) fails: the folder opens, and may get lost", failAt, s.fsys.failedOn)
		}
		if s.ring == nil { // it failed at the beginning
			if !errors.Is(s.err, errFailed) {
				t.Fatalf("change %d (%s) fails: opening says %v", failAt, s.fsys.failedOn, s.err)
			}
			if s.open(); s.err != nil {
				t.Fatalf("change %d (%s) fails: the folder does not open: %v", failAt, s.fsys.failedOn, s.err)
			}
			continue
		}
		if s.err != nil && (!errors.Is(s.err, errFailed) || !strings.HasPrefix(s.err.Error(), "keyring: ")) {
			t.Fatalf("change %d (%s) fails: %v", failAt, s.fsys.failedOn, s.err)
		}
		s.now = s.now.Add(time.Minute)
		got := show(s.ring, names)
		again := &script{fsys: newMemFS(s.fsys.files), now: s.now}
		if again.open(); again.err != nil || show(again.ring, names) != got {
			t.Fatalf("change %d (%s) fails: the folder has %q, %v; the ring %q", failAt, s.fsys.failedOn, show(again.ring, names), again.err, got)
		}
		if got != s.before && got != s.after {
			t.Errorf("change %d (%s) fails: the ring is %q, want %q or %q", failAt, s.fsys.failedOn, got, s.before, s.after)
		}
		if _, err := s.ring.Add(context.Background(), all["d"]); err != nil {
			t.Errorf("change %d (%s) failed: the next step fails too: %v", failAt, s.fsys.failedOn, err)
		}
	}
}
