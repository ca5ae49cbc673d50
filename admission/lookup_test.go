package admission_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
)

func TestLookup(t *testing.T) {
	boom := apierrors.NewInternalError(errors.New("boom"))
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts"}, "a", errors.New("no"))
	missing := `error looking up service account shop/a: serviceaccount "a" not found`
	tests := []struct {
		name              string
		cached, live      *objects
		account           string
		want              *metav1.Status
		validate          *metav1.Status // if it differs
		inCache, fromLive int32
	}{
		// ADM-14
		{name: "cached", cached: have(account("a")), live: have(), inCache: 1},
		{name: "being deleted", cached: have(account("a", func(a *corev1.ServiceAccount) { a.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} })), live: have(), inCache: 1},
		// ADM-15
		{
			name: "broken cache", cached: failing(boom), live: have(account("a")), inCache: 1,
			want: retry(forbidden("error looking up service account shop/a: Internal error occurred: boom")),
		},
		// ADM-16, ADM-T9
		{name: "only live", cached: have(), live: have(account("a")), inCache: 1, fromLive: 1},
		// ADM-16, ADM-19, ADM-203, ADM-T10
		{name: "nowhere", cached: have(), live: have(), inCache: 1, fromLive: 1, want: forbidden(missing)},
		{name: "nowhere, without a cache", cached: have(), inCache: 1, want: forbidden(missing)},
		// ADM-21
		{
			name: "broken live", cached: have(), live: failing(boom), inCache: 1, fromLive: 1,
			want: retry(forbidden("error looking up service account shop/a: Internal error occurred: boom")),
		},
		// ADM-22: a Status of 403 instead of a plain error, with its text.
		{
			name: "forbidden live", cached: have(), live: failing(denied), inCache: 1, fromLive: 1,
			want:     unwrapped(`error looking up service account shop/a: serviceaccounts "a" is forbidden: no`),
			validate: forbidden(`error looking up service account shop/a: serviceaccounts "a" is forbidden: no`),
		},
		{
			name: "nothing and no error", cached: failing(nil), live: have(), inCache: 1, fromLive: 1,
			want: forbidden(missing),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := plugin(t, tt.cached, func(c *admission.Config) {
				if c.DisableWait = false; tt.live != nil {
					c.Live = tt.live
				}
			})
			reads := func() (int32, int32) {
				if tt.live == nil {
					return tt.cached.Reads.Swap(0), 0
				}
				return tt.cached.Reads.Swap(0), tt.live.Reads.Swap(0)
			}
			in := pod(runsAs("a"))
			before := in.DeepCopy()
			wantStatus(t, p.Admit(t.Context(), create(in)), tt.want)
			if tt.want != nil {
				wantPod(t, in, before)
			}
			// ADM-18: one lookup, not one to mutate and one to validate.
			if c, l := reads(); c != tt.inCache || l != tt.fromLive {
				t.Errorf("Admit read the cache %d times and live %d times, want %d and %d", c, l, tt.inCache, tt.fromLive)
			}
			want := tt.want
			if tt.validate != nil {
				want = tt.validate
			}
			wantStatus(t, p.Validate(t.Context(), create(in)), want)
			if c, l := reads(); c != tt.inCache || l != tt.fromLive {
				t.Errorf("Validate read the cache %d times and live %d times, want %d and %d", c, l, tt.inCache, tt.fromLive)
			}
			// ADM-22, ADM-222
			wantStatus(t, p.Validate(t.Context(), updateEphemeral(in)), tt.want)
		})
	}
}

func TestGetterWithoutAnAnswer(t *testing.T) {
	const noAnswer = "the call returned neither an object nor an error"
	for name, getter := range map[string]silent{
		"nil and nil":       {},
		"typed nil error":   {err: (*apierrors.StatusError)(nil)},
		"object and no nil": {account: account("default", lists("t1")), err: (*apierrors.StatusError)(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			want := retry(forbidden("error looking up service account shop/default: " + noAnswer))
			for _, p := range []*admission.Plugin{
				plugin(t, have(), func(c *admission.Config) { c.ServiceAccounts = getter }),
				plugin(t, have(), func(c *admission.Config) { c.Live = getter }),
			} {
				wantStatus(t, p.Admit(t.Context(), create(pod())), want)
				wantStatus(t, p.Validate(t.Context(), create(pod(runsAs("default")))), want)
			}
			p := plugin(t, have(account("default", lists("t1"))), func(c *admission.Config) {
				c.TokenVolume, c.Secrets = admission.SecretBacked, getter
			})
			wantStatus(t, p.Admit(t.Context(), create(pod())), retry(forbidden("Error looking up service account token for shop/default: "+noAnswer)))
		})
	}
}

// silent is a getter that returns a nil that looks like an answer.
type silent struct {
	account *corev1.ServiceAccount
	err     error
}

func (s silent) GetServiceAccount(context.Context, string, string) (*corev1.ServiceAccount, error) {
	return s.account, s.err
}

func (s silent) GetSecret(context.Context, string, string) (*corev1.Secret, error) { return nil, s.err }

func TestNameInRefusals(t *testing.T) {
	// ADM-20
	for _, tt := range []struct{ request, name, generate, want string }{
		{"r", "n", "g", "r"},
		{"", "n", "g", "n"},
		{"", "", "g", "g"},
		{"", "", "", "Unknown"},
	} {
		req := create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: tt.name, GenerateName: tt.generate}})
		req.Name = tt.request
		err := plugin(t, have()).Admit(t.Context(), req)
		e, ok := errors.AsType[*apierrors.StatusError](err)
		if !ok || e.ErrStatus.Details.Name != tt.want {
			t.Errorf("the refusal of %+v is %v, want one of %q", tt, err, tt.want)
		}
	}
}

func TestWaitForTheDefaultAccount(t *testing.T) {
	missing := retry(forbidden(`error looking up service account shop/default: serviceaccount "default" not found`))
	withLive := func(live *objects) func(*admission.Config) {
		return func(c *admission.Config) { c.Live, c.DisableWait = live, false }
	}
	t.Run("ten tries", func(t *testing.T) {
		// ADM-17
		synctest.Test(t, func(t *testing.T) {
			cached, live := have(), have()
			start := time.Now()
			wantStatus(t, plugin(t, cached, withLive(live)).Admit(t.Context(), create(pod())), missing)
			took := time.Since(start)
			if c, l := cached.Reads.Load(), live.Reads.Load(); c != 1 || l != 10 {
				t.Errorf("read the cache %d times and live %d times, want 1 and 10", c, l)
			}
			if took < 900*time.Millisecond || took > 1800*time.Millisecond {
				t.Errorf("waited %v, want nine times 100 to 200 ms", took)
			}
		})
	})
	t.Run("without a cache", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := have()
			wantStatus(t, plugin(t, o, func(c *admission.Config) { c.DisableWait = false }).Admit(t.Context(), create(pod())), missing)
			if n := o.Reads.Load(); n != 10 {
				t.Errorf("read %d times, want 10", n)
			}
		})
	})
	t.Run("appears", func(t *testing.T) {
		// ADM-18, A12: found at the third live read, and not read again.
		synctest.Test(t, func(t *testing.T) {
			live := have(account("default"))
			live.Appear = 3
			start := time.Now()
			wantStatus(t, plugin(t, have(), withLive(live)).Admit(t.Context(), create(pod())), nil)
			if n, took := live.Reads.Load(), time.Since(start); n != 3 || took > 400*time.Millisecond {
				t.Errorf("read %d times in %v, want 3 times in at most 400 ms", n, took)
			}
		})
	})
	t.Run("other errors end it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			live := failing(apierrors.NewInternalError(errors.New("boom")))
			wantStatus(t, plugin(t, have(), withLive(live)).Admit(t.Context(), create(pod())), retry(forbidden(
				"error looking up service account shop/default: Internal error occurred: boom")))
			if n := live.Reads.Load(); n != 1 {
				t.Errorf("read %d times, want 1", n)
			}
		})
	})
	t.Run("the context ends it", func(t *testing.T) {
		// A12
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			wantStatus(t, plugin(t, have(), withLive(have())).Admit(ctx, create(pod())), missing)
			if took := time.Since(start); took != 50*time.Millisecond {
				t.Errorf("returned after %v, want 50 ms", took)
			}
		})
	})
	t.Run("WaitTimeout ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			p := plugin(t, have(), func(c *admission.Config) { c.DisableWait, c.WaitTimeout = false, 250*time.Millisecond })
			wantStatus(t, p.Admit(t.Context(), create(pod())), missing)
			if took := time.Since(start); took != 250*time.Millisecond {
				t.Errorf("returned after %v, want 250 ms", took)
			}
		})
	})
	t.Run("2 s end it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			p := plugin(t, have(), func(c *admission.Config) {
				c.DisableWait = false
				c.Wait = func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }
			})
			wantStatus(t, p.Admit(t.Context(), create(pod())), missing)
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("returned after %v, want 2 s", took)
			}
		})
	})
	t.Run("no wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, live := time.Now(), have()
			p := plugin(t, have(), func(c *admission.Config) { c.Live = live })
			wantStatus(t, p.Admit(t.Context(), create(pod())), missing)
			if n, took := live.Reads.Load(), time.Since(start); n != 1 || took != 0 {
				t.Errorf("read %d times in %v, want once, at once", n, took)
			}
		})
	})
}

func TestWaitWithASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := have()
		p := plugin(t, have(), func(c *admission.Config) {
			c.Live, c.DisableWait, c.WaitTimeout = live, false, time.Minute
			c.Wait = func(ctx context.Context, namespace, name string) error {
				if namespace != "shop" || name != "default" {
					t.Errorf("waited for %s/%s", namespace, name)
				}
				select {
				case <-time.After(30 * time.Second):
					live.Accounts["shop/default"] = account("default")
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		wantStatus(t, p.Admit(t.Context(), create(pod())), nil)
		if n := live.Reads.Load(); n != 2 {
			t.Errorf("read %d times, want 2: before and after the signal", n)
		}
	})
}

func TestWaitThatNeverHelps(t *testing.T) {
	missing := retry(forbidden(`error looking up service account shop/default: serviceaccount "default" not found`))
	calls, answer := 0, error(nil)
	live := have()
	var waiting context.Context
	p := plugin(t, have(), func(c *admission.Config) {
		c.Live, c.DisableWait = live, false
		c.Wait = func(ctx context.Context, _, _ string) error { waiting = ctx; calls++; return answer }
	})
	wantStatus(t, p.Admit(t.Context(), create(pod())), missing)
	if waiting.Err() == nil {
		t.Error("the context of the wait has not ended with the request")
	}
	if n := live.Reads.Load(); calls != 9 || n != 10 {
		t.Errorf("waited %d times and read %d times, want 9 and 10", calls, n)
	}
	calls, answer = 0, errors.New("the watch is closed")
	wantStatus(t, p.Admit(t.Context(), create(pod())), missing)
	if calls != 1 {
		t.Errorf("waited %d times, want once", calls)
	}
}

// Without a cache, the first read is followed by a wait too (ADM-17).
func TestWaitWithoutACache(t *testing.T) {
	calls, o := 0, have()
	p := plugin(t, o, func(c *admission.Config) {
		c.DisableWait = false
		c.Wait = func(context.Context, string, string) error { calls++; return nil }
	})
	wantStatus(t, p.Admit(t.Context(), create(pod())), retry(forbidden(`error looking up service account shop/default: serviceaccount "default" not found`)))
	if n := o.Reads.Load(); calls != 9 || n != 10 {
		t.Errorf("waited %d times and read %d times, want 9 and 10", calls, n)
	}
}

func TestWaitEndsWithTheRequest(t *testing.T) {
	// H09
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := have()
	p := plugin(t, o, func(c *admission.Config) { c.DisableWait = false })
	wantStatus(t, p.Admit(ctx, create(pod())), retry(forbidden(`error looking up service account shop/default: serviceaccount "default" not found`)))
	if n := o.Reads.Load(); n != 1 {
		t.Errorf("read %d times, want once", n)
	}
}

// plainError is an error that is no pointer.
type plainError struct{}

func (plainError) Error() string { return "boom" }

func TestErrorThatIsNoPointer(t *testing.T) {
	wantStatus(t, plugin(t, failing(plainError{})).Admit(t.Context(), create(pod())), retry(forbidden("error looking up service account shop/default: boom")))
}
