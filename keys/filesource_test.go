package keys_test

import (
	"context"
	"crypto"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// A clock is set by hand.
// A keyFile is a file that is written at the time of a clock.
type keyFile struct {
	t     *testing.T
	name  string
	clock *keystest.Clock
}

func (f keyFile) write(data string) {
	f.t.Helper()
	if err := os.WriteFile(f.name, []byte(data), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chtimes(f.name, f.clock.Now(), f.clock.Now()); err != nil {
		f.t.Fatal(err)
	}
}

// KEY-58, SECURITY K11: a change counts once it has settled, and not before.
func TestFileSourceReload(t *testing.T) {
	clock := keystest.NewClock()
	one := keyFile{t, filepath.Join(t.TempDir(), "one.pub"), clock}
	two := keyFile{t, filepath.Join(t.TempDir(), "two.pub"), clock}
	one.write(keystest.PEMs(keystest.RSAKey()))
	two.write(keystest.PEMs(keystest.P256Key(), keystest.P384Key()))
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{one.name, two.name}, Now: clock.Now}))
	check := func(want string) {
		t.Helper()
		if got := keystest.Algorithms(t, source); got != want {
			t.Errorf("the keys are %s, want %s", got, want)
		}
		if err := source.Err(); err != nil {
			t.Errorf("Err() = %v", err)
		}
	}
	check("RS256 ES256 ES384")

	two.write(keystest.PEMs(keystest.P521Key()))
	check("RS256 ES256 ES384") // not read yet
	clock.Add(9 * time.Second)
	check("RS256 ES256 ES384")
	clock.Add(time.Second)
	check("RS256 ES512") // quiet for ten seconds

	clock.Add(9 * time.Second)
	two.write(keystest.PEMs(keystest.P384Key()))
	clock.Add(time.Second)
	check("RS256 ES512") // written a second ago: perhaps not all of it
	clock.Add(time.Second)
	two.write(keystest.PEMs(keystest.P384Key(), keystest.P256Key()))
	clock.Add(9 * time.Second)
	check("RS256 ES384 ES256")

	// Something writes all the time, but always the same.
	two.write(keystest.PEMs(keystest.P521Key()))
	for range 2 {
		check("RS256 ES384 ES256")
		clock.Add(10 * time.Second)
		two.write(keystest.PEMs(keystest.P521Key()))
	}
	check("RS256 ES512")
}

// Known keys are returned without a look at the files.
func TestFileSourceKnownKey(t *testing.T) {
	clock := keystest.NewClock()
	file := keyFile{t, filepath.Join(t.TempDir(), "sa.pub"), clock}
	file.write(keystest.PEMs(keystest.RSAKey()))
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{file.name}, Now: clock.Now}))
	id := keystest.ID(keystest.RSAKey())
	if n := testing.AllocsPerRun(100, func() { _, _ = source.PublicKeys(t.Context(), id) }); n > 0 {
		t.Errorf("PublicKeys() of a known key makes %v allocations", n)
	}
}

// A key that isn't known is looked for at once, but once a second at most.
func TestFileSourceUnknownKey(t *testing.T) {
	clock := keystest.NewClock()
	file := keyFile{t, filepath.Join(t.TempDir(), "sa.pub"), clock}
	file.write(keystest.PEMs(keystest.RSAKey()))
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{file.name}, Now: clock.Now}))
	known := func(key crypto.Signer) int {
		t.Helper()
		return len(keystest.Must(source.PublicKeys(t.Context(), keystest.ID(key))))
	}
	clock.Add(time.Minute)
	if known(keystest.RSAKey()) != 1 {
		t.Error("the key is not known")
	}
	file.write(keystest.PEMs(keystest.RSAKey(), keystest.P256Key()))
	clock.Add(3 * time.Second)
	if known(keystest.P256Key()) != 1 {
		t.Error("the new key is not found three seconds after it was written")
	}
	file.write(keystest.PEMs(keystest.RSAKey(), keystest.P256Key(), keystest.P384Key()))
	if err := os.Chtimes(file.name, time.Time{}, clock.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	clock.Add(999 * time.Millisecond)
	// The file isn't read twice in a second, so nobody can tell.
	keystest.WantUnavailable(t, source, keystest.ID(keystest.P384Key()), "the files have changed")
	clock.Add(time.Millisecond)
	if known(keystest.P384Key()) != 1 {
		t.Error("the new key is not found after a second")
	}
	for range 3 { // of files that haven't changed everybody can tell
		if known(keystest.P521Key()) != 0 {
			t.Error("an unknown key is known")
		}
	}
	// A file that is being written may have any key, but the known ones are known.
	if err := os.WriteFile(file.name, []byte(keystest.PEMs(keystest.P521Key())), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file.name, time.Time{}, clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	clock.Add(time.Second)
	keystest.WantUnavailable(t, source, keystest.ID(keystest.P521Key()), "the files have changed")
	if known(keystest.RSAKey()) != 1 {
		t.Error("a key that was known isn't while the file is being written")
	}
	clock.Add(time.Second)
	if known(keystest.P521Key()) != 1 || known(keystest.RSAKey()) != 0 {
		t.Error("the file that two readings have found isn't used")
	}
	// So may one that can't be read.
	if err := os.Remove(file.name); err != nil {
		t.Fatal(err)
	}
	clock.Add(time.Second)
	keystest.WantUnavailable(t, source, keystest.ID(keystest.RSAKey()), "no such file")
	if known(keystest.P521Key()) != 1 {
		t.Error("the last good key is not known")
	}
	// A clock that was set back doesn't keep it from being read again.
	file.write(keystest.PEMs(keystest.P256Key()))
	clock.Add(-time.Hour)
	if err := os.Chtimes(file.name, time.Time{}, clock.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if known(keystest.P256Key()) != 1 {
		t.Error("the file is not read after the clock was set back")
	}
}

// Whether a key is unknown, or may be in files that have changed, says what the files
// look like, until they are read again.
func TestFileSourceSeesChanges(t *testing.T) {
	text := keystest.PEMs(keystest.RSAKey())
	for _, tt := range []struct {
		name    string
		change  func(f keyFile) error
		changed bool
	}{
		{name: "untouched", change: func(keyFile) error { return nil }},
		{name: "written again", change: func(f keyFile) error { f.write(text); return nil }},
		{name: "longer", changed: true, change: func(f keyFile) error { f.write(text + "\n"); return nil }},
		{name: "touched", changed: true, change: func(f keyFile) error {
			return os.Chtimes(f.name, time.Time{}, f.clock.Now().Add(time.Nanosecond*1000))
		}},
		{name: "removed", changed: true, change: func(f keyFile) error { return os.Remove(f.name) }},
		{name: "replaced by an equal one", changed: true, change: func(f keyFile) error {
			f.name += ".new"
			f.write(text)
			return os.Rename(f.name, strings.TrimSuffix(f.name, ".new"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := keystest.NewClock()
			file := keyFile{t, filepath.Join(t.TempDir(), "sa.pub"), clock}
			file.write(text)
			source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{file.name}, Now: clock.Now}))
			if err := tt.change(file); err != nil {
				t.Fatal(err)
			}
			unknown := keystest.ID(keystest.P256Key())
			if tt.changed {
				keystest.WantUnavailable(t, source, unknown, "the files have changed")
			} else if found, err := source.PublicKeys(t.Context(), unknown); err != nil || len(found) != 0 {
				t.Errorf("PublicKeys(unknown) = %v, %v, want none: the files are as they were", found, err)
			}
			if tt.name == "removed" {
				return
			}
			clock.Add(time.Hour) // it is read again, and has the same keys
			if found, err := source.PublicKeys(t.Context(), unknown); err != nil || len(found) != 0 {
				t.Errorf("PublicKeys(unknown) after a reading = %v, %v, want none", found, err)
			}
		})
	}
}

// Unknown ids make nobody wait for files that haven't changed, and known ones none at
// all: they are read every ten seconds.
func TestFileSourceReadsWhenNeeded(t *testing.T) {
	clock := keystest.NewClock()
	file := keyFile{t, filepath.Join(t.TempDir(), "sa.pub"), clock}
	file.write(keystest.PEMs(keystest.RSAKey()))
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{file.name}, Now: clock.Now}))
	clock.Add(5 * time.Second)
	if found := keystest.Must(source.PublicKeys(t.Context(), keystest.ID(keystest.P256Key()))); len(found) != 0 {
		t.Errorf("an unknown key is %v", found)
	}
	file.write(keystest.PEMs(keystest.P256Key()))
	clock.Add(4 * time.Second)
	if found := keystest.Must(source.PublicKeys(t.Context(), keystest.ID(keystest.RSAKey()))); len(found) != 1 {
		t.Error("the files were read for a known key after nine seconds")
	}
	clock.Add(time.Second)
	if got := keystest.Algorithms(t, source); got != "ES256" {
		t.Errorf("the keys after ten seconds are %s, want ES256: unknown ids must not put it off", got)
	}
}

// SECURITY K11: whatever is wrong with one file, the keys of all stay.
func TestFileSourceKeepsLastGood(t *testing.T) {
	good := keystest.PEMs(keystest.P256Key(), keystest.P384Key())
	for _, tt := range []struct {
		name  string
		spoil func(name string) error
		want  func(error) bool
	}{
		{"empty", write(""), is(keys.ErrNoPublicKeys)},
		{"no PEM", write("canary"), is(keys.ErrNoPublicKeys)},
		{"cut in the first key", write(good[:100]), is(keys.ErrNoPublicKeys)},
		{"cut in the second key", write(good[:len(good)-40]), func(err error) bool { return strings.Contains(err.Error(), "a PEM block is cut short") }},
		{"weak key", write(good + keystest.PKIX(keystest.WeakKey().Public())), isKeyError},
		{"too large", write(good + strings.Repeat("\n", 1<<20)), is(keys.ErrTooLarge)},
		{"gone", os.Remove, is(fs.ErrNotExist)},
		{"a folder", func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) }, func(err error) bool { return strings.Contains(err.Error(), "is a directory") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := keystest.NewClock()
			one := keyFile{t, filepath.Join(t.TempDir(), "one.pub"), clock}
			two := keyFile{t, filepath.Join(t.TempDir(), "two.pub"), clock}
			one.write(keystest.PEMs(keystest.RSAKey()))
			two.write(good)
			source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{one.name, two.name}, Now: clock.Now, ReloadEvery: time.Minute}))
			one.write(keystest.PEMs(keystest.P521Key())) // good, but it stays out with the other
			if err := tt.spoil(two.name); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				clock.Add(time.Minute)
				if got := keystest.Algorithms(t, source); got != "RS256 ES256 ES384" {
					t.Errorf("the keys are %s", got)
				}
				err := source.Err()
				if err == nil || !tt.want(err) || !strings.HasPrefix(err.Error(), "keys: error reading public key file "+two.name+": ") || strings.Contains(err.Error(), "canary") {
					t.Errorf("Err() = %v", err)
				}
			}
			if err := os.RemoveAll(two.name); err != nil {
				t.Fatal(err)
			}
			two.write(good)
			clock.Add(time.Minute)
			if got := keystest.Algorithms(t, source); got != "ES512 ES256 ES384" || source.Err() != nil {
				t.Errorf("after the repair the keys are %s, Err() = %v", got, source.Err())
			}
		})
	}
}

func write(data string) func(string) error {
	return func(name string) error { return os.WriteFile(name, []byte(data), 0o600) }
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// Observe is told of changes, of failures and of their end, not of readings that found the
// same. A context
// that is done opens nothing.
func TestFileSourceObserve(t *testing.T) {
	clock := keystest.NewClock()
	file := keyFile{t, filepath.Join(t.TempDir(), "a.pub"), clock}
	file.write(keystest.PEMs(keystest.P256Key()))
	var events []keys.Event
	cfg := keys.FileSourceConfig{Files: []string{file.name}, Now: clock.Now, Observe: func(_ context.Context, e keys.Event) { events = append(events, e) }}
	source := keystest.Must(keys.OpenFileSource(t.Context(), cfg))
	read := func() {
		clock.Add(10 * time.Second)
		keystest.Algorithms(t, source)
	}
	read()
	file.write(keystest.PEMs(keystest.P256Key(), keystest.P384Key()))
	read()
	file.write("nothing")
	read()
	if len(events) != 2 || events[0].Keys != 2 || !events[0].Changed || events[0].Err != nil || !errors.Is(events[1].Err, keys.ErrNoPublicKeys) || events[1].Changed || events[1].Keys != 2 {
		t.Errorf("Observe got %+v, want a change and a failure", events)
	}
	file.write(keystest.PEMs(keystest.P256Key(), keystest.P384Key()))
	read()
	read()
	if len(events) != 3 || events[2].Err != nil || events[2].Changed || events[2].Keys != 2 || events[2].Took <= 0 {
		t.Errorf("Observe got %+v, want one more of the end of the failure", events)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keys.OpenFileSource(ended, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("OpenFileSource() = %v, want context.Canceled", err)
	}
}

// KEY-58: when files are read again, and when a change counts.
func TestFileSourceIntervals(t *testing.T) {
	clock := keystest.NewClock()
	dir := t.TempDir()
	one, two := keyFile{t, filepath.Join(dir, "a.pub"), clock}, keyFile{t, filepath.Join(dir, "b.pub"), clock}
	one.write(keystest.PEMs(keystest.P256Key()))
	two.write(keystest.PEMs(keystest.P256Key()))
	events := 0
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{
		Files: []string{one.name, two.name}, Now: clock.Now, Observe: func(context.Context, keys.Event) { events++ },
	}))
	check := func(what, want string, wantEvents int) {
		t.Helper()
		if got := keystest.Algorithms(t, source); got != want || events != wantEvents {
			t.Errorf("%s: the keys are %s after %d events, want %s after %d", what, got, events, want, wantEvents)
		}
	}
	aged := func(f keyFile, data string, age time.Duration) {
		t.Helper()
		f.write(data)
		if err := os.Chtimes(f.name, clock.Now().Add(-age), clock.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}

	aged(one, keystest.PEMs(keystest.P384Key()), time.Hour)
	check("opened just now", "ES256 ES256", 0)
	clock.Add(10 * time.Second)
	check("after ten seconds", "ES384 ES256", 1)
	clock.Add(10 * time.Second)
	check("nothing changed", "ES384 ES256", 1)

	clock.Add(-time.Hour)
	aged(one, keystest.PEMs(keystest.P521Key()), time.Hour)
	aged(two, keystest.PEMs(keystest.P256Key()), time.Hour)
	check("the clock was set back", "ES512 ES256", 2)

	aged(one, keystest.PEMs(keystest.P256Key()), -8*time.Second) // two seconds old when it is read
	clock.Add(10 * time.Second)
	check("quiet for exactly two seconds", "ES256 ES256", 3)

	aged(one, keystest.PEMs(keystest.P384Key()), -9*time.Second)
	aged(two, keystest.PEMs(keystest.P384Key()), time.Hour)
	clock.Add(10 * time.Second)
	check("one of the files changed a second ago", "ES256 ES256", 3)
	clock.Add(10 * time.Second)
	check("and has settled", "ES384 ES384", 4)
}

func TestOpenFileSourceRefuses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "none")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cfg  keys.FileSourceConfig
		want string
	}{
		{keys.FileSourceConfig{}, "keys: FileSourceConfig.Files is empty, want at least one file"},
		{keys.FileSourceConfig{Files: []string{name}, ReloadEvery: -1}, "keys: FileSourceConfig.ReloadEvery is -1ns, want 0 for the default or a positive value"},
		{keys.FileSourceConfig{Files: []string{name}}, "keys: error reading public key file " + name + ": open " + name + ": no such file or directory"},
		{keys.FileSourceConfig{Files: []string{empty}}, "keys: error reading public key file " + empty + ": data does not contain any valid RSA or ECDSA public keys: it is empty"},
	} {
		_, err := keys.OpenFileSource(t.Context(), tt.cfg)
		if err == nil {
			t.Fatalf("OpenFileSource(%+v) = nil, want %s", tt.cfg, tt.want)
		}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Errorf("OpenFileSource() (-want +got):\n%s", diff)
		}
	}
}

// Readers never see a set that is neither the old nor the new one.
func TestFileSourceConcurrent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sa.pub")
	texts := []string{keystest.PEMs(keystest.P256Key(), keystest.P384Key()), keystest.PEMs(keystest.P521Key(), keystest.RSAKey())}
	replace := func(text string) {
		if err := errors.Join(os.WriteFile(name+".new", []byte(text), 0o600), os.Rename(name+".new", name)); err != nil {
			t.Error(err)
		}
	}
	replace(texts[0])
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{name}, ReloadEvery: time.Nanosecond}))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := keystest.Algorithms(t, source); got != "ES256 ES384" && got != "ES512 RS256" {
					t.Errorf("the keys are %s", got)
				}
			}
		})
	}
	for i := range 50 {
		replace(texts[i%2])
	}
	close(stop)
	readers.Wait()
}
