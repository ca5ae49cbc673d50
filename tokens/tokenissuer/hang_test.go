package tokenissuer_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// hangs calls f a thousand times, each with a context of one second, and checks that
// at most limit goroutines are left, and that the last error is want.
func hangs(t *testing.T, limit int, f func(context.Context) error, want string) {
	t.Helper()
	before := runtime.NumGoroutine()
	var err error
	for range 1000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err = f(ctx)
		cancel()
	}
	synctest.Wait()
	if left := runtime.NumGoroutine() - before; left > limit+slack {
		t.Errorf("1,000 calls that hang left %d goroutines, want at most %d", left, limit)
	}
	if err == nil || err.Error() != want {
		t.Errorf("the last of 1,000 calls that hang: %v, want %q", err, want)
	}
}

// slack is for goroutines that are ending.
const slack = 4

// A signer that hangs costs a bounded number of goroutines, and is called again once
// its calls have returned.
func TestIssueSignerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := must(keys.NewSigner(ecKey))
		release := make(chan struct{})
		issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) {
			cfg.Signer = tokentest.SignerFunc(func(_ context.Context, payload []byte) (string, error) {
				<-release
				return good.Sign(context.Background(), payload)
			})
		})
		issue := func(ctx context.Context) error {
			_, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
			return err
		}
		hangs(t, 64, issue, "tokenissuer: signing: the signer hangs: 64 calls have not returned")
		close(release)
		synctest.Wait()
		if err := issue(t.Context()); err != nil {
			t.Errorf("after its calls have returned: %v", err)
		}
	})
}

// The error of a panic has the value and the stack for who looks for them; its text
// has neither.
func TestIssueSignerPanics(t *testing.T) {
	issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) {
		cfg.Signer = tokentest.SignerFunc(func(context.Context, []byte) (string, error) { panic("hunter2") })
	})
	_, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
	value, stack := flight.PanicOf(err)
	if err == nil || strings.Contains(err.Error(), "hunter2") || value != "hunter2" || !strings.Contains(string(stack), "TestIssueSignerPanics") {
		t.Errorf("Issue() = %v with the panic %v and a stack of %d bytes, want both, and nothing of them in the text", err, value, len(stack))
	}
}

// oddSource is a signer that is a source of keys, too, whose keys can't be had.
type oddSource struct {
	keys.Signer
	publicKeys func() ([]keys.PublicKey, error)
}

func (s oddSource) PublicKeys(context.Context, string) ([]keys.PublicKey, error) {
	return s.publicKeys()
}

// Neither do keys that hang or panic reach the caller.
func TestIssueKeysOfSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		for want, publicKeys := range map[string]func() ([]keys.PublicKey, error){
			"tokenissuer: signing: what the signer returned can't be verified: context deadline exceeded": func() ([]keys.PublicKey, error) { <-release; return nil, nil },
			"tokenissuer: signing: what the signer returned can't be verified: the signer panicked":       func() ([]keys.PublicKey, error) { panic("hunter2") },
		} {
			issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Signer = oddSource{must(keys.NewSigner(ecKey)), publicKeys} })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}}); err == nil || err.Error() != want {
				t.Errorf("Issue() = %v, want %s", err, want)
			}
			cancel()
		}
		close(release)
	})
}

// Config.Keys are asked rather than those of the signer.
func TestIssueKeysInsteadOfSigners(t *testing.T) {
	issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) {
		cfg.Keys = must(keys.NewSet(ecKey))
		cfg.Signer = oddSource{must(keys.NewSigner(ecKey)), func() ([]keys.PublicKey, error) { t.Error("the signer's keys were asked for"); return nil, nil }}
	})
	if _, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}}); err != nil {
		t.Error(err)
	}
}

// A LocalSigner is trusted: nobody is asked for its keys.
func TestIssueLocalSignerIsTrusted(t *testing.T) {
	issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Keys = tokentest.FailingSource{} })
	if _, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}}); err != nil {
		t.Error(err)
	}
}
