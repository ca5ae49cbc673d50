package tokensource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
)

// MountedTokenFile is where pods have the token of their ServiceAccount.
const MountedTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Bounds of a [File].
const (
	reread       = 50 * time.Second // as client-go: a minute, less 10 seconds
	fileTimeout  = 10 * time.Second
	maxFileBytes = 64 << 10
	maxFileReads = 4 // that may hang

	// expiryLeeway is how long servers accept a token after its expiry.
	expiryLeeway = tokens.DefaultLeeway
)

// FileConfig configures [NewFile].
type FileConfig struct {
	// Path is the file. If empty, it is [MountedTokenFile].
	Path string

	// Reread is how long a token is used before the file is read again. The
	// kubelet, or whoever else writes the file, must replace a token at least that
	// long before it expires. Zero means 50 seconds, as client-go.
	Reread time.Duration

	// Observe, if set, is called with the error of every read that fails. It must be
	// fast and safe for concurrent use.
	Observe func(ctx context.Context, e FileEvent)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// A FileEvent is a read of a file that failed. It holds nothing of the file.
type FileEvent struct {
	Err error

	// Expiry is that of the token in use, zero if there is none or it isn't known.
	// The token is used until then.
	Expiry time.Time
}

// LogValue returns e for log/slog.
func (e FileEvent) LogValue() slog.Value { return logvalue.Of(e) }

// A File reads a token from a file that somebody else keeps fresh, such as the one that
// the kubelet mounts into pods. It reads the file at the first [File.Token], and again
// when the token has been used for Reread, whether or not the file has changed. While
// the file can't be read, the old token is used until it expires.
//
// A File has no goroutine but that of a read, so it needs no Close. It is safe for
// concurrent use, and prints without the token.
type File struct {
	cfg   FileConfig
	guard *flight.Guard
	reads flight.Group[struct{}, struct{}]

	mu    sync.Mutex
	token *tokens.Token // nil for none
	err   error         // of the last read
	quiet age.Span      // since the last read: the file isn't read
}

// NewFile returns a File, or an error naming every invalid field, each as a
// [*ConfigError]. It doesn't read the file.
func NewFile(cfg FileConfig) (*File, error) {
	mistakes := configerror.List{Config: "tokensource.FileConfig"}
	configerror.NotNegative(&mistakes, "Reread", cfg.Reread)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Path == "" {
		cfg.Path = MountedTokenFile
	}
	if cfg.Reread == 0 {
		cfg.Reread = reread
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &File{cfg: cfg, guard: flight.NewGuard("the file system", maxFileReads)}, nil
}

// Token returns the token of the file; the caller may keep it. Its Expiry and ID are
// read from the token, unverified, and zero if it isn't a JWT of ServiceAccounts.
//
// The error is that of ctx, or says why the file can't be read or holds no token that
// is still valid: a [*FileError]. It is returned again for a second before the file
// is read again.
func (f *File) Token(ctx context.Context) (*tokens.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := f.cfg.Now()
	f.mu.Lock()
	if f.quiet.Holds(now) {
		defer f.mu.Unlock()
		return f.usable(now)
	}
	read := f.reads.Start(ctx, struct{}{}, f.read)
	f.mu.Unlock()
	if _, err := read.Wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usable(f.cfg.Now())
}

// usable returns the token unless it has expired, or else why there is none. f.mu is
// held.
func (f *File) usable(now time.Time) (*tokens.Token, error) {
	switch {
	case f.token != nil && (f.token.Expiry.IsZero() || now.Before(f.token.Expiry.Add(expiryLeeway))):
		token := *f.token
		return &token, nil
	case f.err != nil:
		return nil, f.err
	}
	return nil, &FileError{f.cfg.Path, fmt.Errorf("its token expired at %s", f.token.Expiry.UTC().Format(time.RFC3339))}
}

// A FileError means that a [File] has no token. It holds nothing of the file.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("tokensource: token file %q: %v", e.Path, e.Err)
}

// Unwrap returns what is wrong, such as the error of the operating system.
func (e *FileError) Unwrap() error { return e.Err }

// read reads the file and remembers the result; it returns none itself.
func (f *File) read(ctx context.Context) (none struct{}, _ error) {
	began := f.cfg.Now()
	reading, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	token, err := flight.Do(reading, f.guard, func(context.Context) (*tokens.Token, error) { return readToken(f.cfg.Path) })
	quiet := age.Span{From: began, Until: began.Add(f.cfg.Reread)}
	if err != nil {
		err = &FileError{f.cfg.Path, err}
		now := f.cfg.Now()
		quiet = age.Span{From: now, Until: now.Add(retryFirst)}
	}
	e := FileEvent{Err: err}
	f.mu.Lock()
	if err == nil {
		f.token = token
	} else if f.token != nil {
		e.Expiry = f.token.Expiry
	}
	f.err, f.quiet = err, quiet
	f.mu.Unlock()
	if err != nil && f.cfg.Observe != nil {
		f.cfg.Observe(ctx, e)
	}
	return none, nil
}

// readToken reads the token in the file called name.
func readToken(name string) (*tokens.Token, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, errors.New("it is not a regular file")
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	value := string(bytes.TrimSpace(data))
	switch {
	case len(data) > maxFileBytes:
		return nil, fmt.Errorf("it has more than %d bytes", maxFileBytes)
	case value == "":
		return nil, errors.New("it is empty")
	case bytes.ContainsFunc([]byte(value), func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, errors.New("it holds more than a token: want printable ASCII without spaces")
	}
	token := &tokens.Token{Value: value}
	if claims, err := inspect.PeekUnverified(value); err == nil {
		token.ID, token.IssuedAt, token.Expiry, token.WarnAfter = claims.ID, claims.IssuedAt, claims.Expiry, claims.WarnAfter
	}
	return token, nil
}

// Discard makes the next [File.Token] read the file, because a server rejected the
// token with this value. It does nothing if f has another token by now, or if the token
// was read less than a second ago.
func (f *File) Discard(value string) {
	now := f.cfg.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.token != nil && f.token.Value == value && now.Sub(f.quiet.From) >= retryFirst {
		f.quiet = age.Span{}
	}
}

// String describes the token in use, without its value.
func (f *File) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.token == nil {
		return fmt.Sprintf("tokensource.File(%s, no token)", f.cfg.Path)
	}
	return fmt.Sprintf("tokensource.File(%s, %v)", f.cfg.Path, *f.token)
}

// Format writes what String returns, whatever the verb.
func (f *File) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// MarshalText returns what String returns, so that no encoder writes the token.
func (f *File) MarshalText() ([]byte, error) { return []byte(f.String()), nil }
