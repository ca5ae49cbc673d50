package keyring_test

import (
	"bufio"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// A ring that is opened again is the same ring.
func TestOpen(t *testing.T) {
	clock := keystest.NewClock()
	dir := filepath.Join(t.TempDir(), "issuer", "ring")
	ring := keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock)))
	if len(ring.Keys()) != 0 {
		t.Errorf("a new ring has %v", ring)
	}
	ok(t, ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), keystest.RSAKey()))))
	keystest.Must(ring.AddPublic(t.Context(), keystest.P384Key().Public()))
	keystest.Must(ring.Add(t.Context(), keystest.P521Key()))
	token := mint(t, ring)

	again := keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock)))
	if diff := cmp.Diff(ring.Keys(), again.Keys()); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	if !verifies(t, again, token) || !verifies(t, ring, mint(t, again)) {
		t.Error("the ring that was opened again does not verify what the first one signs, or the other way round")
	}
	if info := keystest.Must(os.Stat(dir)); info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %s", info.Mode())
	}
	modes := map[string]fs.FileMode{"ring.json": 0o644, "ring.lock": 0o600,
		keystest.ID(keystest.RSAKey()) + ".key": 0o600, keystest.ID(keystest.P521Key()) + ".key": 0o600, keystest.ID(keystest.P384Key()) + ".pub": 0o644}
	got := map[string]fs.FileMode{}
	for _, entry := range keystest.Must(os.ReadDir(dir)) {
		got[entry.Name()] = keystest.Must(entry.Info()).Mode()
	}
	if diff := cmp.Diff(modes, got); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}

	clock.Add(maxAge + settle)
	ok(t, again.Promote(t.Context(), keystest.ID(keystest.P521Key())))
	clock.Add(lifetime + settle)
	ok(t, again.Retire(t.Context(), keystest.ID(keystest.RSAKey())))
	if _, err := os.Stat(filepath.Join(dir, keystest.ID(keystest.RSAKey())+".key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a retired key: %v", err)
	}
	clock.Add(time.Second)
	if verifies(t, ring, token) || mint(t, ring).KeyID != keystest.ID(keystest.P521Key()) || ring.Err() != nil {
		t.Errorf("the other ring hasn't noticed: %v, %v", ring, ring.Err())
	}
	_, err := ring.Add(t.Context(), elsewhere{keystest.P256Key()})
	if e, ok := errors.AsType[*keys.KeyError](err); !ok || e.Reason != keys.ReasonType {
		t.Errorf("Add(a key elsewhere) = %v, want a KeyError: it can't be in a folder", err)
	}
}

// A key that is elsewhere signs, but can't be encoded.
type elsewhere struct{ crypto.Signer }

// kubeadm's files are imported, once, and stay.
func TestOpenImports(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"sa.key": keystest.PKCS1(keystest.RSAKey()), "sa.pub": keystest.PEMs(keystest.RSAKey(), keystest.P256Key(), keystest.P256Key())}
	for name, text := range files {
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	clock := keystest.NewClock()
	names := map[string]string{keystest.ID(keystest.RSAKey()): "sa", keystest.ID(keystest.P256Key()): "old", keystest.ID(keystest.P384Key()): "new"}
	ring := keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock)))
	if got, want := states(ring, names), "sa Signing, old Retiring"; got != want {
		t.Errorf("the ring is %s, want %s", got, want)
	}
	ok(t, keys.SelfTest(t.Context(), ring, keystest.Must(keys.NewSet(keystest.RSAKey().Public()))))
	keystest.Must(ring.Add(t.Context(), keystest.P384Key()))
	clock.Add(maxAge + settle)
	ok(t, ring.Promote(t.Context(), keystest.ID(keystest.P384Key())))
	clock.Add(lifetime + settle)
	ok(t, ring.Retire(t.Context(), keystest.ID(keystest.RSAKey())))
	if got, want := states(keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock))), names), "old Retiring, new Signing"; got != want {
		t.Errorf("opened again the ring is %s, want %s", got, want)
	}
	for name, text := range files {
		if got := string(keystest.Must(os.ReadFile(filepath.Join(dir, name)))); got != text {
			t.Errorf("%s has changed", name)
		}
	}
}

func TestOpenImportRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, private, public string
		mode                  fs.FileMode
		want                  string
	}{
		{"loose mode", keystest.PKCS1(keystest.RSAKey()), "", 0o640, "its mode is 0640, want 0600 or stricter"},
		{"no key", "canary", "", 0o600, "data does not contain a valid RSA or ECDSA private key: it has no PEM block"},
		{"weak key", keystest.PKCS1(keystest.WeakKey()), "", 0o600, "PEM block 1: unusable key: RSA modulus of 1024 bits, want 2048 to 8192"},
		{"no public key", keystest.PKCS1(keystest.RSAKey()), "canary", 0o600, "data does not contain any valid RSA or ECDSA public keys: it has no PEM block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := "private key file " + filepath.Join(dir, "sa.key")
			ok(t, os.WriteFile(filepath.Join(dir, "sa.key"), []byte(tt.private), 0o600))
			ok(t, os.Chmod(filepath.Join(dir, "sa.key"), tt.mode))
			if tt.public != "" {
				file = "public key file " + filepath.Join(dir, "sa.pub")
				ok(t, os.WriteFile(filepath.Join(dir, "sa.pub"), []byte(tt.public), 0o644))
			}
			ring, err := keyring.Open(t.Context(), dir, keyring.Config{})
			if want := "keyring: error reading " + file + ": " + tt.want; ring != nil || err == nil || err.Error() != want {
				t.Errorf("Open() = %v, want %s", err, want)
			}
		})
	}
}

// A folder that isn't as a ring leaves it is refused, and a ring that is open
// keeps its keys.
func TestOpenDamaged(t *testing.T) {
	id1, id2, idPub := keystest.ID(keystest.P256Key()), keystest.ID(keystest.P384Key()), keystest.ID(keystest.P521Key())
	index := func(from, to string) func(string) error {
		return func(dir string) error {
			name := filepath.Join(dir, "ring.json")
			text := string(keystest.Must(os.ReadFile(name)))
			if !strings.Contains(text, from) {
				return errors.New("the index has no " + from)
			}
			return os.WriteFile(name, []byte(strings.Replace(text, from, to, 1)), 0o644)
		}
	}
	file := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
	}
	chmod := func(name string, mode fs.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
	}
	chown := func(name string) func(string) error {
		return func(dir string) error { return os.Chown(filepath.Join(dir, name), 54321, 54321) }
	}
	tests := []struct {
		name   string
		damage func(dir string) error
		want   string // after the name of the folder is cut out
		keeps  bool   // whether an open ring goes on without noticing
	}{
		{"no JSON", file("ring.json", "canary"), "keyring: reading ring: ring.json is damaged: not a JSON object at byte 0", false},
		{"cut short", file("ring.json", `{"version": 1`), "keyring: reading ring: ring.json is damaged: neither a comma nor the end of an object at byte 13", false},
		{"empty", file("ring.json", ""), "keyring: reading ring: ring.json is damaged: not a JSON object at byte 0", false},
		{"no keys", file("ring.json", `{"version": 1}`), `keyring: reading ring: ring.json is damaged: no "keys"`, false},
		{"another version", index(`"version": 1`, `"version": 2`), "keyring: reading ring: ring.json has version 2, want 1", false},
		{"no version", index(`"version": 1,`, ``), "keyring: reading ring: ring.json has version 0, want 1", false},
		{"unknown member", index(`"version"`, `"canary":1,"version"`), "keyring: reading ring: ring.json is damaged: a member that is unknown or of the wrong type", false},
		{"member in another case", index(`"keys"`, `"Keys"`), "keyring: reading ring: ring.json is damaged: name that differs from a known one only in case at byte 20", false},
		{"null for keys", file("ring.json", `{"version": 1, "keys": null}`), `keyring: reading ring: ring.json is damaged: no "keys"`, false},
		{"keys of another type", file("ring.json", `{"version": 1, "keys": {}}`), "keyring: reading ring: ring.json is damaged: a member that is unknown or of the wrong type", false},
		{"a time that is none", index(`"added": "`, `"added": "canary`), "keyring: reading ring: ring.json is damaged: a member that is unknown or of the wrong type", false},
		{"no time", index(`"added"`, `"demoted"`), "keyring: reading ring: ring.json is damaged: a key that was never added", false},
		{"two signing", index(`"alg": "ES384"`, `"alg": "ES384","promoted":"2026-01-01T00:00:00Z"`), "keyring: reading ring: ring.json is damaged: two keys that sign", false},
		{"id of a path", index(id1, "../../../../../../../../../../../etc/passwd/x"), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
		{"id twice", index(id1, id2), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
		{"verify-only that signs", index(`"verifyOnly": true`, `"verifyOnly": true,"promoted":"2026-01-01T00:00:00Z"`), "keyring: reading ring: ring.json is damaged: a key without a private half that signs", false},
		{"removed that is there", index(`"version"`, `"removed":["`+id1+`"],"version"`), "keyring: reading ring: ring.json is damaged: a bad id of a removed key", false},
		{"another algorithm", index("ES384", "ES256"), "keyring: error reading private key file " + id2 + ".key: it has another key", true},
		{"folder for an index", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "ring.json")), os.Mkdir(filepath.Join(dir, "ring.json"), 0o755))
		}, "keyring: reading ring: read ring.json: is a directory", false},
		{"link to itself for an index", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "ring.json")), os.Symlink("ring.json", filepath.Join(dir, "ring.json")))
		}, "keyring: reading ring: open ring.json: too many levels of symbolic links", false},
		{"no index", remove("ring.json"), "keyring: opening ring: there are keys but no ring.json", false},
		{"no key", remove(id2 + ".key"), "keyring: error reading private key file " + id2 + ".key: open " + id2 + ".key: no such file or directory", true},
		{"no public key", remove(idPub + ".pub"), "keyring: error reading public key file " + idPub + ".pub: open " + idPub + ".pub: no such file or directory", true},
		{"another key", file(id2+".key", keystest.SEC1(keystest.P256Key())), "keyring: error reading private key file " + id2 + ".key: it has another key", true},
		{"another public key", file(idPub+".pub", keystest.PEMs(keystest.P256Key())), "keyring: error reading public key file " + idPub + ".pub: it has another key", true},
		{"more public keys", file(idPub+".pub", keystest.PEMs(keystest.P521Key(), keystest.P256Key())), "keyring: error reading public key file " + idPub + ".pub: it has another key", true},
		{"key damaged", file(id2+".key", "canary"), "keyring: error reading private key file " + id2 + ".key: data does not contain a valid RSA or ECDSA private key: it has no PEM block", true},
		{"key for the group", chmod(id2+".key", 0o640), "keyring: error reading private key file " + id2 + ".key: its mode is 0640, want 0600 or stricter", true},
		{"key for all", chmod(id2+".key", 0o604), "keyring: error reading private key file " + id2 + ".key: its mode is 0604, want 0600 or stricter", true},
		{"key for all to run", chmod(id2+".key", 0o601), "keyring: error reading private key file " + id2 + ".key: its mode is 0601, want 0600 or stricter", true},
		{"index for others", chmod("ring.json", 0o642), "keyring: reading ring: the mode of ring.json is 0642, it must not be writable by group or others", false},
		{"folder for all", chmod(".", 0o777), "keyring: opening ring: . must not be writable by group or others without the sticky bit, its mode is 0777", true},
		{"folder for the group", chmod(".", 0o770), "keyring: opening ring: . must not be writable by group or others, its mode is 0770", true},
		{"sticky folder", chmod(".", fs.ModeSticky|0o777), "keyring: opening ring: . must not be writable by group or others, its mode is 01777", true},
		{"folder above for all", chmod("..", 0o777), "keyring: opening ring: .. must not be writable by group or others without the sticky bit, its mode is 0777", true},
		{"index for all", chmod("ring.json", 0o666), "keyring: reading ring: the mode of ring.json is 0666, it must not be writable by group or others", false},
		{"index for the group", chmod("ring.json", 0o664), "keyring: reading ring: the mode of ring.json is 0664, it must not be writable by group or others", false},
		{"public key for all", chmod(idPub+".pub", 0o666), "keyring: error reading public key file " + idPub + ".pub: the mode of " + idPub + ".pub is 0666, it must not be writable by group or others", true},
		{"folder of another user", chown("."), "keyring: opening ring: . belongs to user 54321, it must belong to this user, 0, or to root", true},
		{"folder above of another user", chown(".."), "keyring: opening ring: .. belongs to user 54321, it must belong to this user, 0, or to root", true},
		{"index of another user", chown("ring.json"), "keyring: reading ring: ring.json belongs to user 54321, it must belong to this user, 0, or to root", false},
		{"private key of another user", chown(id2 + ".key"), "keyring: error reading private key file " + id2 + ".key: " + id2 + ".key belongs to user 54321, it must belong to this user, 0, or to root", true},
		{"public key of another user", chown(idPub + ".pub"), "keyring: error reading public key file " + idPub + ".pub: " + idPub + ".pub belongs to user 54321, it must belong to this user, 0, or to root", true},
		{"bad id of a key that is added", index(`"version"`, `"adding":["../x"],"version"`), "keyring: reading ring: ring.json is damaged: a bad id of a removed key", false},
		{"key that is added and there", index(`"version"`, `"adding":["`+id1+`"],"version"`), "keyring: reading ring: ring.json is damaged: a bad id of a removed key", false},
		{"id of 42 bytes", index(id1, id1[1:]), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
		{"id of 43 bytes with a slash", index(id1, "/"+id1[1:]), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
		{"id of 43 bytes with dots", index(id1, ".."+id1[2:]), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
		{"id of 43 bytes, not ASCII", index(id1, "é"+id1[2:]), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
		{"id of 44 bytes", index(id1, id1+"A"), "keyring: reading ring: ring.json is damaged: a bad or repeated id", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.name, "another user") && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			dir := filepath.Join(t.TempDir(), "ring")
			clock := keystest.NewClock()
			ring := keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock)))
			ok(t, ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), keystest.P256Key()))))
			keystest.Must(ring.Add(t.Context(), keystest.P384Key()))
			keystest.Must(ring.AddPublic(t.Context(), keystest.P521Key().Public()))
			before := ring.String()
			ok(t, tt.damage(dir))

			_, err := keyring.Open(t.Context(), dir, ringConfig(clock))
			got := ""
			if err != nil {
				got = strings.ReplaceAll(strings.ReplaceAll(err.Error(), dir+"/", ""), dir, ".")
				got = strings.ReplaceAll(got, filepath.Dir(dir), "..")
			}
			if got != tt.want {
				t.Errorf("Open() = %s\nwant %s", got, tt.want)
			}
			clock.Add(time.Second)
			if token := mint(t, ring); token.KeyID != id1 || ring.String() != before {
				t.Errorf("the open ring is %v, want %s", ring, before)
			}
			if err := ring.Err(); (err == nil) != tt.keeps {
				t.Errorf("Err() = %v", err)
			}
		})
	}
}

// One lock at a time, in this process and in others; waiting ends with the
// context.
func TestRingWaitsForTheLock(t *testing.T) {
	dir := t.TempDir()
	ring := keystest.Must(keyring.Open(t.Context(), dir, keyring.Config{}))
	holder := startRingProcess(t, "hold", dir)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ring.Add(ctx, keystest.P256Key()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Add() while another process has the lock = %v, want context.DeadlineExceeded", err)
	}
	holder.kill(t) // takes the lock along
	if _, err := ring.Add(t.Context(), keystest.P256Key()); err != nil {
		t.Errorf("Add() after the other process was killed = %v", err)
	}
}

// A process that rotates all the time is killed again and again: the folder
// always opens, and with a key that signs.
func TestRingProcessKilled(t *testing.T) {
	dir := t.TempDir()
	ring := keystest.Must(keyring.Open(t.Context(), dir, keyring.Config{}))
	ok(t, ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), keystest.P256Key()))))
	kills := 12
	if testing.Short() {
		kills = 3
	}
	for i := range kills {
		process := startRingProcess(t, "rotate", dir)
		time.Sleep(time.Duration(i) * 700 * time.Microsecond)
		process.kill(t)
		again, err := keyring.Open(t.Context(), dir, keyring.Config{})
		if err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
		if !verifies(t, again, mint(t, again)) {
			t.Fatalf("after kill %d: the ring does not verify what it signs", i)
		}
		for _, entry := range keystest.Must(os.ReadDir(dir)) {
			name := entry.Name()
			if id, private := strings.CutSuffix(name, ".key"); strings.HasPrefix(name, ".tmp-") || private && !strings.Contains(again.String(), id) {
				t.Errorf("after kill %d: %s is left", i, name)
			}
		}
		if _, err := again.Add(t.Context(), keystest.NewKey()); err != nil {
			t.Fatalf("after kill %d: Add() = %v", i, err)
		}
		for _, key := range again.Keys() {
			if key.State() == keyring.Published {
				ok(t, again.Retire(t.Context(), key.ID))
			}
		}
	}
}

// A ringProcess is this test program, started anew to do something with a ring.
type ringProcess struct{ cmd *exec.Cmd }

// startRingProcess returns when the process has begun.
func startRingProcess(t *testing.T, what, dir string) ringProcess {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRingProcess$")
	cmd.Env = append(os.Environ(), "RING_PROCESS="+what, "RING_DIR="+dir)
	cmd.Stderr = os.Stderr
	out := keystest.Must(cmd.StdoutPipe())
	ok(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	return ringProcess{cmd}
}

func (p ringProcess) kill(t *testing.T) {
	t.Helper()
	ok(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait() // it was killed
}

// TestRingProcess is what a ringProcess runs.
func TestRingProcess(t *testing.T) {
	dir := os.Getenv("RING_DIR")
	switch os.Getenv("RING_PROCESS") {
	case "":
		t.Skip("only run by other tests")
	case "hold":
		_, err := keyring.HoldRingLock(dir)
		ok(t, err)
		fmt.Println("ready")
		select {}
	case "rotate":
		ring := keystest.Must(keyring.Open(t.Context(), dir, keyring.Config{}))
		fmt.Println("ready")
		for {
			added := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
			signing := ring.Keys()[0].ID
			for _, key := range ring.Keys() {
				if key.State() == keyring.Signing {
					signing = key.ID
				}
			}
			ok(t, ring.Revoke(t.Context(), signing)) // the oldest takes over
			for _, key := range ring.Keys() {
				if key.State() == keyring.Published && key.ID != added {
					ok(t, ring.Retire(t.Context(), key.ID))
				}
			}
		}
	}
}

// SECURITY K10: replicas of a control plane sign and verify all the time with one
// folder, whichever of them rotates. Each token verifies with each replica.
func TestRingReplicas(t *testing.T) {
	clock := keystest.NewClock()
	dir := t.TempDir()
	cfg := ringConfig(clock)
	cfg.ReloadEvery = time.Nanosecond
	var replicas []*keyring.Ring
	for range 3 {
		replicas = append(replicas, keystest.Must(keyring.Open(t.Context(), dir, cfg)))
	}
	ok(t, replicas[0].Promote(t.Context(), keystest.Must(replicas[0].Add(t.Context(), keystest.NewKey()))))
	clock.Add(time.Second)

	var latest [3]atomic.Pointer[jose.Token]
	var refused atomic.Int64
	for i, replica := range replicas {
		latest[i].Store(mint(t, replica))
	}
	load := startLoad(len(replicas), func(i, n int) {
		clock.Add(1) // so that it looks at the folder
		latest[i].Store(mint(t, replicas[i]))
		if !verifies(t, replicas[i], latest[n%3].Load()) {
			refused.Add(1)
		}
	})
	for i := range 4 {
		next := keystest.Must(replicas[i%3].Add(t.Context(), keystest.NewKey()))
		load.wait()
		clock.Add(maxAge + settle)
		ok(t, replicas[(i+1)%3].Promote(t.Context(), next))
		load.wait() // the last tokens of the old key are gone
		clock.Add(lifetime + settle)
		load.wait()
		safe, _ := replicas[(i+2)%3].Plan(clock.Now())
		if len(safe) != 1 || safe[0].Action != keyring.Retire {
			t.Fatalf("the safe steps are %+v, want one to retire", safe)
		}
		ok(t, replicas[(i+2)%3].Take(t.Context(), safe[0]))
		load.wait()
	}
	count := load.stop()
	if refused.Load() > 0 {
		t.Errorf("%d of %d tokens were refused", refused.Load(), count)
	}
	for _, replica := range replicas {
		if err := replica.Err(); err != nil || replica.String() != replicas[0].String() || len(replica.Keys()) != 1 {
			t.Errorf("a replica ends as %v, %v", replica, err)
		}
	}
}

// Two that add at the same time both succeed.
func TestRingConcurrentSteps(t *testing.T) {
	dir := t.TempDir()
	var adders sync.WaitGroup
	added := make([]crypto.Signer, 6)
	for i := range added {
		added[i] = keystest.NewKey()
		adders.Go(func() {
			ring, err := keyring.Open(t.Context(), dir, keyring.Config{})
			if err == nil {
				_, err = ring.Add(t.Context(), added[i])
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	adders.Wait()
	ring := keystest.Must(keyring.Open(t.Context(), dir, keyring.Config{}))
	for _, key := range added {
		if list := keystest.Must(ring.PublicKeys(t.Context(), keystest.ID(key))); len(list) != 1 {
			t.Errorf("key %s was lost", keystest.ID(key))
		}
	}
}
