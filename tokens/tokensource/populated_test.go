package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// filled gives the token Secret of newWorld a token.
func filled(w *tokentest.World) *tokentest.World {
	w.Secrets["ci/builder-token"].Data[corev1.ServiceAccountTokenKey] = []byte("secret-token")
	return w
}

func TestWaitPopulatedSaysWhy(t *testing.T) {
	deleted := metav1.NewTime(now)
	tests := []struct {
		name   string
		change func(*tokentest.World)
		secret string // "builder-token" if empty
		reason tokensource.PopulatedReason
		text   string
		waits  bool
	}{
		{name: "pending", change: func(*tokentest.World) {}, reason: tokensource.PopulatedPending, waits: true,
			text: "no token controller has filled it: the signer is down: context deadline exceeded"},
		{name: "no UID annotation yet", change: func(w *tokentest.World) {
			delete(filled(w).Secrets["ci/builder-token"].Annotations, corev1.ServiceAccountUIDKey)
		}, reason: tokensource.PopulatedPending, waits: true, text: "no token controller has filled it"},
		{name: "no secret", change: func(*tokentest.World) {}, secret: "other", reason: tokensource.PopulatedNoSecret, waits: true, text: "there is no such Secret"},
		{name: "wrong type", change: func(*tokentest.World) {}, secret: "settings", reason: tokensource.PopulatedWrongType,
			text: "its type is not kubernetes.io/service-account-token"},
		{name: "secret being deleted", change: func(w *tokentest.World) { filled(w).Secrets["ci/builder-token"].DeletionTimestamp = &deleted },
			reason: tokensource.PopulatedSecretTerminating, waits: true, text: "it is being deleted"},
		{name: "no account name", change: func(w *tokentest.World) {
			delete(w.Secrets["ci/builder-token"].Annotations, corev1.ServiceAccountNameKey)
		}, reason: tokensource.PopulatedNoAccountName, waits: true, text: "it has no annotation kubernetes.io/service-account.name"},
		{name: "account name that can't be", change: func(w *tokentest.World) {
			w.Secrets["ci/builder-token"].Annotations[corev1.ServiceAccountNameKey] = "../../../namespaces/kube-system/secrets/x"
			w.Accounts["ci/../../../namespaces/kube-system/secrets/x"] = w.Accounts["ci/builder"]
		}, reason: tokensource.PopulatedInvalidName, waits: true, text: `its annotation kubernetes.io/service-account.name is "../../../namespaces/kube-system/secrets/x", which is no name of a ServiceAccount`},
		{name: "name that can't be", change: func(w *tokentest.World) { w.Secrets["ci/../builder-token"] = filled(w).Secrets["ci/builder-token"] }, secret: "../builder-token",
			reason: tokensource.PopulatedInvalidName, text: "this is no name of a Secret"},
		{name: "no account", change: func(w *tokentest.World) { delete(filled(w).Accounts, "ci/builder") },
			reason: tokensource.PopulatedNoAccount, waits: true, text: "there is no ServiceAccount ci/builder"},
		{name: "account made anew", change: func(w *tokentest.World) { filled(w).Accounts["ci/builder"].UID = "another" },
			reason: tokensource.PopulatedAccountRecreated, waits: true, text: "the ServiceAccount ci/builder is not the one"},
		{name: "account being deleted", change: func(w *tokentest.World) { filled(w).Accounts["ci/builder"].DeletionTimestamp = &deleted },
			reason: tokensource.PopulatedAccountTerminating, waits: true, text: "the ServiceAccount ci/builder is being deleted"},
		{name: "down", change: func(w *tokentest.World) { w.Err = errors.New("etcd is down") },
			reason: tokensource.PopulatedUnavailable, waits: true, text: "it could not be looked up: etcd is down: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := tokentest.NewWorld()
				tt.change(w)
				if tt.secret == "" {
					tt.secret = "builder-token"
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := tokensource.WaitPopulated(ctx, w, "ci", tt.secret, tokensource.WaitOptions{LastError: func() error { return errors.New("the signer is down") }})
				e, ok := errors.AsType[*tokensource.NotPopulatedError](err)
				if !ok || e.Reason != tt.reason || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret-token") {
					t.Errorf("got %v, want the reason %s and %q", err, tt.reason, tt.text)
				}
				waited := time.Since(start) == time.Minute
				if waited != tt.waits || errors.Is(err, context.DeadlineExceeded) != tt.waits {
					t.Errorf("waited %v and got %v, want to wait to the end: %t", time.Since(start), err, tt.waits)
				}
			})
		})
	}
}

func TestWaitPopulated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := tokentest.NewWorld()
		secret := w.Secrets["ci/builder-token"]
		delete(w.Secrets, "ci/builder-token")
		go func() {
			time.Sleep(10 * time.Second)
			w.Mu.Lock()
			defer w.Mu.Unlock()
			w.Secrets["ci/builder-token"] = secret
		}()
		go func() {
			time.Sleep(20 * time.Second)
			w.Mu.Lock()
			defer w.Mu.Unlock()
			copied := secret.DeepCopy()
			copied.Data[corev1.ServiceAccountTokenKey] = []byte("secret-token")
			w.Secrets["ci/builder-token"] = copied
		}()
		start := time.Now()
		got, err := tokensource.WaitPopulated(t.Context(), w, "ci", "builder-token", tokensource.WaitOptions{})
		if err != nil || string(got.Data[corev1.ServiceAccountTokenKey]) != "secret-token" {
			t.Fatalf("got %v, %v, want the Secret with its token", got, err)
		}
		if took := time.Since(start); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("took %v, want at most a second longer than the controller", took)
		}
		if w.Lookups > 60 {
			t.Errorf("looked up %d times", w.Lookups)
		}
	})
}

// The controller deletes token Secrets whose account isn't there.
func TestWaitPopulatedDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := tokentest.NewWorld()
		go func() {
			time.Sleep(10 * time.Second)
			w.Mu.Lock()
			defer w.Mu.Unlock()
			delete(w.Secrets, "ci/builder-token")
		}()
		_, err := tokensource.WaitPopulated(t.Context(), w, "ci", "builder-token", tokensource.WaitOptions{})
		e, ok := errors.AsType[*tokensource.NotPopulatedError](err)
		if !ok || e.Reason != tokensource.PopulatedSecretDeleted || e.Err != nil {
			t.Errorf("got %v, want that it is gone", err)
		}
	})
}

// Why a controller last failed is optional, and so is that it did.
func TestWaitPopulatedWithoutLastError(t *testing.T) {
	for _, last := range []func() error{nil, func() error { return nil }} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := tokensource.WaitPopulated(ctx, tokentest.NewWorld(), "ci", "builder-token", tokensource.WaitOptions{LastError: last})
			if e, ok := errors.AsType[*tokensource.NotPopulatedError](err); !ok || e.Reason != tokensource.PopulatedPending || e.Detail != "" {
				t.Errorf("got %v, want that it is pending", err)
			}
		})
	}
}

// What can't be a namespace isn't looked up.
func TestWaitPopulatedInvalidNamespace(t *testing.T) {
	w := tokentest.NewWorld()
	_, err := tokensource.WaitPopulated(t.Context(), w, "../x", "builder-token", tokensource.WaitOptions{})
	if e, ok := errors.AsType[*tokensource.NotPopulatedError](err); !ok || e.Reason != tokensource.PopulatedInvalidName || w.Lookups > 0 {
		t.Errorf("got %v after %d lookups, want none", err, w.Lookups)
	}
}

func TestWaitPopulatedGetterOfNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := tokensource.WaitPopulated(ctx, tokentest.Nothing{}, "ci", "builder-token", tokensource.WaitOptions{})
	if e, ok := errors.AsType[*tokensource.NotPopulatedError](err); !ok || e.Reason != tokensource.PopulatedUnavailable {
		t.Errorf("got %v, want an error about the getter", err)
	}
}

// A script is a getter whose n-th read of the Secret gets the n-th answer; the last one
// stays. The account is there.
type script struct {
	*tokentest.World
	answers []func(ctx context.Context) (*corev1.Secret, error)
	at      []time.Duration // of the reads
	start   time.Time
}

func (s *script) GetSecret(ctx context.Context, _, _ string) (*corev1.Secret, error) {
	s.at = append(s.at, time.Since(s.start))
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return answer(ctx)
}

func TestWaitPopulatedReads(t *testing.T) {
	w := tokentest.NewWorld()
	pending := func(context.Context) (*corev1.Secret, error) { return w.Secrets["ci/builder-token"], nil }
	none := func(context.Context) (*corev1.Secret, error) {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), "builder-token")
	}
	down := func(context.Context) (*corev1.Secret, error) { return nil, errors.New("etcd is down") }
	hangs := func(ctx context.Context) (*corev1.Secret, error) { <-ctx.Done(); return nil, ctx.Err() }
	late := func(ctx context.Context) (*corev1.Secret, error) { <-ctx.Done(); return none(ctx) }
	for _, tt := range []struct {
		name    string
		answers []func(context.Context) (*corev1.Secret, error)
		reads   string
		text    string
	}{
		{"pending", []func(context.Context) (*corev1.Secret, error){pending}, "[0s 20ms 60ms 140ms 300ms 620ms 1.26s 2.26s 3.26s 4.26s]",
			"no token controller has filled it: context deadline exceeded"},
		{"deleted during an outage", []func(context.Context) (*corev1.Secret, error){pending, down, none}, "[0s 20ms 60ms]", "it was deleted, as the token controller deletes"},
		{"the deadline cuts a read short", []func(context.Context) (*corev1.Secret, error){pending, hangs}, "[0s 20ms]",
			"no token controller has filled it: context deadline exceeded"},
		{"it says something at the deadline", []func(context.Context) (*corev1.Secret, error){pending, late}, "[0s 20ms]", "it was deleted, as the token controller deletes"},
		{"the first read hangs", []func(context.Context) (*corev1.Secret, error){hangs}, "[0s]",
			"it could not be looked up: context deadline exceeded: context deadline exceeded"},
		{"down at last", []func(context.Context) (*corev1.Secret, error){pending, down}, "[0s 20ms 60ms 140ms 300ms 620ms 1.26s 2.26s 3.26s 4.26s]",
			"it could not be looked up: etcd is down: context deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				s := &script{World: w, answers: tt.answers, start: time.Now()}
				_, err := tokensource.WaitPopulated(ctx, s, "ci", "builder-token", tokensource.WaitOptions{})
				if want := "tokensource: Secret ci/builder-token has no token: " + tt.text; err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("WaitPopulated() = %v, want %q", err, want)
				}
				if got := fmt.Sprint(s.at); got != tt.reads {
					t.Errorf("it was read at %s, want %s", got, tt.reads)
				}
			})
		})
	}
}
