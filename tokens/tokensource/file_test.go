package tokensource_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// tokenUntil returns a token that nobody signed, with an expiry.
func tokenUntil(expiry time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode(fmt.Appendf(nil, `{"jti":"7","exp":%d}`, expiry.Unix())) + "." + encode(make([]byte, 64))
}

// A mounted token, and a clock.
type mount struct {
	t      *testing.T
	path   string
	now    time.Time
	events []tokensource.FileEvent
	*tokensource.File
}

func newMount(t *testing.T) *mount {
	m := &mount{t: t, path: filepath.Join(t.TempDir(), "token"), now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	file, err := tokensource.NewFile(tokensource.FileConfig{
		Path: m.path, Now: func() time.Time { return m.now },
		Observe: func(_ context.Context, e tokensource.FileEvent) { m.events = append(m.events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.File = file
	return m
}

func (m *mount) write(text string) {
	m.t.Helper()
	if err := os.WriteFile(m.path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mount) want(when, value string) {
	m.t.Helper()
	token, err := m.Token(m.t.Context())
	if err != nil || token.Value != value {
		m.t.Errorf("%s: Token() = %v, %v, want another one", when, token, err)
	}
}

// KUB-41, KUB-43, KUB-44
func TestFile(t *testing.T) {
	m := newMount(t)
	first := tokenUntil(m.now.Add(10 * time.Minute))
	second := tokenUntil(m.now.Add(20 * time.Minute))
	m.write(first + "\n")
	token, err := m.Token(t.Context())
	if err != nil || token.Value != first || token.ID != "7" || !token.Expiry.Equal(m.now.Add(10*time.Minute)) {
		t.Fatalf("Token() = %v, %v, want the file's, with its id and expiry", token, err)
	}
	token.Value = "changed"
	m.write(second)
	m.now = m.now.Add(50*time.Second - 1)
	m.want("just before the time", first)
	m.now = m.now.Add(1)
	m.want("at the time", second)

	m.write(first)
	m.Discard("another")
	m.now = m.now.Add(time.Second)
	m.Discard("another")
	m.want("another token was rejected", second)
	m.Discard(second)
	m.want("it was rejected", first)
	m.write(second)
	m.Discard(first)
	m.want("rejected as soon as it was read", first)

	// While the file can't be read, the old one is good, for as long as it is.
	if err := os.Remove(m.path); err != nil {
		t.Fatal(err)
	}
	m.now = m.now.Add(time.Minute)
	m.want("the file is gone", first)
	if len(m.events) != 1 || !errors.Is(m.events[0].Err, fs.ErrNotExist) || m.events[0].Expiry.IsZero() {
		t.Errorf("Observe got %v, want the error and the expiry", m.events)
	}
	m.want("again", first)
	if len(m.events) != 1 {
		t.Errorf("the file was read %d times within a second", len(m.events))
	}
	m.now = m.now.Add(time.Second)
	m.want("a second later", first)
	if len(m.events) != 2 {
		t.Errorf("the file was read %d times, want again after a second", len(m.events))
	}
	m.now = time.Date(2026, 1, 1, 12, 11, 0, 0, time.UTC)
	if _, err := m.Token(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a minute after the expiry, Token() = %v, want the error of the read", err)
	}
	m.write(second)
	m.now = m.now.Add(time.Second)
	m.want("the file is back", second)
}

// Nor does it delay the next read after one that failed.
func TestFileClockSetBackAfterFailure(t *testing.T) {
	clock := now
	name := filepath.Join(t.TempDir(), "token")
	f := must(tokensource.NewFile(tokensource.FileConfig{Path: name, Now: func() time.Time { return clock }}))
	if _, err := f.Token(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("of no file: Token() = %v, want the error of the read", err)
	}
	if err := os.WriteFile(name, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(-time.Hour)
	if _, err := f.Token(t.Context()); err != nil {
		t.Errorf("after the clock was set back: %v, want another read", err)
	}
}

// Whoever waits for a read, and for its Observe, waits as long as its own context allows.
// The time of a read doesn't bound that of Observe.
func TestFileWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	observed, release := make(chan context.Context), make(chan struct{})
	f := must(tokensource.NewFile(tokensource.FileConfig{Path: filepath.Join(t.TempDir(), "token"), Observe: func(ctx context.Context, _ tokensource.FileEvent) {
		cancel()
		<-release
		observed <- ctx
	}}))
	if _, err := f.Token(ctx); err != context.Canceled {
		t.Errorf("Token() = %v, want the error of its context", err)
	}
	close(release)
	if deadline, ok := (<-observed).Deadline(); ok {
		t.Errorf("the context of Observe ends at %v", deadline)
	}
}

// A clock that is set back doesn't keep a token in use.
func TestFileClockSetBack(t *testing.T) {
	m := newMount(t)
	first, second := tokenUntil(m.now.Add(time.Hour)), tokenUntil(m.now.Add(2*time.Hour))
	m.write(first)
	m.want("at first", first)
	m.write(second)
	m.now = m.now.Add(-time.Hour)
	m.want("an hour earlier", second)
}

// KUB-42
func TestFileWithoutToken(t *testing.T) {
	expired := tokenUntil(time.Date(2026, 1, 1, 11, 59, 0, 0, time.UTC))
	for _, tt := range []struct {
		name   string
		make   func(*mount)
		want   string
		opaque bool
	}{
		{name: "none", make: func(*mount) {}, want: "no such file"},
		{name: "a folder", make: func(m *mount) { os.Mkdir(m.path, 0o700) }, want: "it is not a regular file"},
		{name: "empty", make: func(m *mount) { m.write("") }, want: "it is empty"},
		{name: "blank", make: func(m *mount) { m.write(" \n") }, want: "it is empty"},
		{name: "two lines", make: func(m *mount) { m.write("hunter2\nhunter3") }, want: "it holds more than a token"},
		{name: "binary", make: func(m *mount) { m.write("hunter2\x00") }, want: "it holds more than a token"},
		{name: "a header's worth more", make: func(m *mount) { m.write("hunter2\r\nX-Other: y") }, want: "it holds more than a token"},
		{name: "huge", make: func(m *mount) { m.write(strings.Repeat("hunter2", 10000)) }, want: "it has more than 65536 bytes"},
		{name: "two words", make: func(m *mount) { m.write("hunter2 hunter3") }, want: "it holds more than a token"},
		{name: "DEL", make: func(m *mount) { m.write("hunter2\x7f") }, want: "it holds more than a token"},
		{name: "not ASCII", make: func(m *mount) { m.write("hunter2é") }, want: "it holds more than a token"},
		{name: "the largest, with the first and the last character that may be", make: func(m *mount) { m.write("hunter2!" + strings.Repeat("~", 65536-8)) }, opaque: true},
		{name: "a byte too large", make: func(m *mount) { m.write("hunter2!" + strings.Repeat("~", 65536-7)) }, want: "it has more than 65536 bytes"},
		{name: "expired", make: func(m *mount) { m.write(expired) }, want: "its token expired at 2026-01-01T11:59:00Z"},
		{name: "opaque", make: func(m *mount) { m.write("hunter2") }, opaque: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMount(t)
			tt.make(m)
			token, err := m.Token(t.Context())
			if tt.opaque {
				if err != nil || strings.TrimRight(token.Value, "!~") != "hunter2" || !token.Expiry.IsZero() {
					t.Errorf("Token() = %v, %v, want it without expiry", token, err)
				}
				return
			}
			if e, ok := errors.AsType[*tokensource.FileError](err); !ok || e.Path != m.path || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Token() = %v, %v, want a FileError: %s", token, err, tt.want)
			}
		})
	}
}

func TestFileContextAndPrinting(t *testing.T) {
	m := newMount(t)
	m.Discard("") // there is none
	if text := m.String(); text != "tokensource.File("+m.path+", no token)" {
		t.Errorf("without a token it prints as %s", text)
	}
	secret := tokenUntil(m.now.Add(time.Hour))
	m.write(secret)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Token() = %v, want Canceled", err)
	}
	m.want("then", secret)
	if _, err := m.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a token, Token() = %v, want Canceled", err)
	}
	if text := fmt.Sprint(m.File); text != m.String() {
		t.Errorf("it prints as %q", text)
	}
	encoded, _ := json.Marshal(m.File)
	if text := fmt.Sprintf("%v %+v %#v %s", m.File, m.File, m.File, encoded); strings.Contains(text, secret) || !strings.Contains(text, "JTI=7") {
		t.Errorf("it prints as %s, want the id without the token", text)
	}
	if text := must(tokensource.NewFile(tokensource.FileConfig{})).String(); !strings.Contains(text, tokensource.MountedTokenFile) {
		t.Errorf("without a Path it is %s, want the mounted token", text)
	}
	clock := m.now
	often := must(tokensource.NewFile(tokensource.FileConfig{Path: m.path, Reread: 5 * time.Second, Now: func() time.Time { return clock }}))
	for _, want := range []string{"one", "two"} {
		m.write(want)
		if token, err := often.Token(t.Context()); err != nil || token.Value != want {
			t.Errorf("Token() = %v, %v, want the new one after Reread", token, err)
		}
		clock = clock.Add(5 * time.Second)
	}
	_, err := tokensource.NewFile(tokensource.FileConfig{Reread: -1})
	if _, ok := errors.AsType[*tokensource.ConfigError](err); !ok || err.Error() != "tokensource: FileConfig.Reread is -1ns, want 0 for the default or a positive value" {
		t.Errorf("NewFile() = %v, want a ConfigError", err)
	}
}

// Send requests with the token that a pod has mounted.
func ExampleNewFile() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "token") // in a pod: leave it out
	if err := os.WriteFile(path, []byte(tokenUntil(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	file, err := tokensource.NewFile(tokensource.FileConfig{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := file.Token(context.Background())
	fmt.Println(token, err)
	// client := &http.Client{Transport: &tokensource.Transport{Source: file}}

	// Output:
	// tokens.Token(JTI=7, expires 2100-01-01T00:00:00Z) <nil>
}
