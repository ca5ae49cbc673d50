package lastused_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/lastused"
)

// patches remembers the patches of Secrets.
type patches struct {
	mu   sync.Mutex
	made []string
	err  error
	hang bool
}

func (p *patches) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	if p.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = append(p.made, fmt.Sprintf("%s/%s %s %s", namespace, name, pt, data))
	return nil, p.err
}

const builderTokenPatch = `ci/builder-token application/merge-patch+json {"kind":"Secret","apiVersion":"v1","metadata":{"name":"builder-token","namespace":"ci","uid":"uid-of-builder-token","labels":{"kubernetes.io/legacy-token-last-used":"2026-01-01"}}}`

// CLN-10..13, TOK-59, V16, V17: through the authenticator and its
// signature cache.
func TestLastUsed(t *testing.T) {
	tests := []struct {
		name    string
		label   string
		change  func(*tokentest.World)
		refused bool
		want    []string
	}{
		{name: "no label", want: []string{builderTokenPatch}},
		{name: "yesterday", label: "2025-12-31", want: []string{builderTokenPatch}},
		{name: "garbage", label: "x", want: []string{builderTokenPatch}},
		{name: "today", label: "2026-01-01"},
		{name: "tomorrow", label: "2026-01-02"},
		{name: "the day after tomorrow", label: "2026-01-03", want: []string{builderTokenPatch}},
		{name: "marked invalid", change: func(w *tokentest.World) {
			w.Secrets["ci/builder-token"].Labels = map[string]string{tokens.InvalidSinceLabel: "x"}
		}, refused: true, want: []string{builderTokenPatch}},
		{name: "refused for another reason", change: func(w *tokentest.World) { delete(w.Accounts, "ci/builder") }, refused: true},
		{name: "without UID", change: func(w *tokentest.World) { w.Secrets["ci/builder-token"].UID = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &patches{}
			tracker := must(lastused.New(lastused.Config{Secrets: p, Now: func() time.Time { return now }}))
			w := tokentest.NewWorld()
			token := tokentest.Mint(t, ecKey, tokentest.LegacyClaims())
			secret := w.Secrets["ci/builder-token"]
			secret.Data["token"] = []byte(token)
			if tt.label != "" {
				secret.Labels = map[string]string{tokens.LastUsedLabel: tt.label}
			}
			if tt.change != nil {
				tt.change(w)
			}
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.Observe = tracker.Observe })
			for range 10 {
				if _, err := a.Authenticate(t.Context(), token); (err != nil) != tt.refused {
					t.Fatal(err)
				}
			}
			if len(p.made) != 0 {
				t.Errorf("patched %v while authenticating, want it later", p.made)
			}
			for range 3 {
				tracker.Flush(t.Context())
				if _, err := a.Authenticate(t.Context(), token); (err != nil) != tt.refused { // the label isn't seen yet
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, p.made); diff != "" {
				t.Errorf("patches (-want +got):\n%s", diff)
			}
		})
	}
}

func legacyUse(name string) tokens.Event {
	return tokens.Event{Legacy: &tokens.LegacyUse{Namespace: "ci", Secret: name, SecretUID: types.UID("uid-of-" + name)}}
}

// CLN-13, V16, V17: a failure is reported, tried again a minute later at the
// earliest, and not at all if the Secret is another one; the next day begins
// anew.
func TestLastUsedFailures(t *testing.T) {
	secrets := corev1.Resource("secrets")
	for name, tt := range map[string]struct {
		err   error
		after time.Duration // until the next patch
	}{
		"down":      {errors.New("no connection"), time.Minute},
		"not found": {apierrors.NewNotFound(secrets, "x"), 12 * time.Hour},
		"recreated": {apierrors.NewConflict(secrets, "x", errors.New("the UID differs")), 12 * time.Hour},
		"invalid":   {apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Secret").GroupKind(), "x", nil), 12 * time.Hour},
		"none":      {nil, 12 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			clock := now
			p := &patches{err: tt.err}
			var reported []string
			tracker := must(lastused.New(lastused.Config{
				Secrets: p, Now: func() time.Time { return clock },
				Observe: func(_ context.Context, e lastused.Event) {
					namespace, secret, err := e.Namespace, e.Secret, e.Err
					if err != nil {
						reported = append(reported, namespace+"/"+secret+": "+err.Error())
					}
				},
			}))
			use := func() {
				tracker.Observe(t.Context(), legacyUse("builder-token"))
				tracker.Flush(t.Context())
			}
			use()
			clock = now.Add(tt.after - 1)
			use()
			if len(p.made) != 1 || len(reported) != 1 && tt.err != nil || len(reported) != 0 && tt.err == nil {
				t.Errorf("patches %v, reported %v; want one", p.made, reported)
			}
			clock = now.Add(tt.after)
			use()
			if len(p.made) != 2 {
				t.Errorf("patches %v after %v, want another", p.made, tt.after)
			}
		})
	}
}

// V17: a patch that hangs ends with its time, in the background; what is due
// is bounded.
func TestLastUsedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patches{hang: true}
		errs := make(chan error, 10)
		tracker := must(lastused.New(lastused.Config{
			Secrets: p, MaxPending: 2, Timeout: 3 * time.Second,
			Observe: func(_ context.Context, e lastused.Event) { errs <- e.Err },
		}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { tracker.Run(ctx); close(done) }()
		start := time.Now()
		for _, name := range []string{"a", "b", "a", "c", "d"} {
			tracker.Observe(t.Context(), legacyUse(name))
		}
		if time.Since(start) != 0 {
			t.Error("Observe() waited")
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("reported %v, want the end of the time", err)
			}
		}
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("two patches took %v, want 6 s", took)
		}
		synctest.Wait()
		if len(errs) != 0 {
			t.Errorf("%d patches more than MaxPending", len(errs))
		}
		p.hang = false
		tracker.Observe(t.Context(), legacyUse("c"))
		synctest.Wait()
		if len(p.made) != 1 || !strings.HasPrefix(p.made[0], "ci/c ") {
			t.Errorf("patches %v, want the one that was left out before", p.made)
		}
		cancel()
		<-done
	})
}

// When Run ends, it waits for the hook of the patch that is being sent and leaves the
// others to the next Run, which needs no other use for that.
func TestLastUsedRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []lastused.Event
		p := &patches{hang: true}
		tracker := must(lastused.New(lastused.Config{
			Secrets: p, Now: func() time.Time { return now },
			Observe: func(_ context.Context, e lastused.Event) { time.Sleep(time.Second); events = append(events, e) },
		}))
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := time.Now().Add(2 * time.Second)
		time.AfterFunc(2*time.Second, cancel)
		for _, name := range []string{"a", "b", "c"} {
			tracker.Observe(t.Context(), legacyUse(name))
		}
		tracker.Run(ctx)
		tracker.Run(ctx)
		tracker.Flush(ctx)
		if took := time.Since(cancelled); took != time.Second || len(events) != 1 || !errors.Is(events[0].Err, context.Canceled) {
			t.Fatalf("Run returned %v after its context was done and observed %v, want the end of one patch", took, events)
		}
		want := lastused.Event{Namespace: "ci", Secret: "a", SecretUID: "uid-of-a", Took: 2 * time.Second, Err: events[0].Err}
		if diff := cmp.Diff(want, events[0], cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("Observe (-want +got):\n%s", diff)
		}
		synctest.Wait() // for the patch that was left
		p.hang = false
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tracker.Run(ctx)
		if len(p.made) != 2 {
			t.Errorf("the next Run sent %v, want b and c", p.made)
		}
	})
}

// Of one tenant there is one patch and one call of Observe at a time, also while Flush and
// Run are both called.
func TestLastUsedOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, patched atomic.Int32
		work := func() {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
		}
		var last context.Context
		tracker := must(lastused.New(lastused.Config{
			Secrets: patcherFunc(func(ctx context.Context, _, _ string) error {
				patched.Add(1)
				if last != nil && last.Err() == nil {
					t.Error("the context of a patch goes on after it")
				}
				last = ctx
				work()
				return nil
			}),
			Observe: func(context.Context, lastused.Event) { work() },
		}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { tracker.Run(ctx); close(done) }()
		for i := range 10 {
			tracker.Observe(t.Context(), legacyUse(fmt.Sprint(i)))
			time.Sleep(1500 * time.Millisecond)
			tracker.Flush(t.Context())
		}
		time.Sleep(time.Minute)
		cancel()
		<-done
		if most.Load() != 1 || patched.Load() != 10 {
			t.Errorf("%d patches with up to %d at a time, want 10, one at a time", patched.Load(), most.Load())
		}
	})
}

// A patch that ends after midnight has recorded the day before.
func TestLastUsedMidnight(t *testing.T) {
	clock, made := time.Date(2026, 1, 1, 23, 59, 59, 0, time.UTC), 0
	tracker := must(lastused.New(lastused.Config{
		Secrets: patcherFunc(func(context.Context, string, string) error {
			made++
			clock = clock.Add(2 * time.Second)
			return nil
		}),
		Now: func() time.Time { return clock },
	}))
	for _, want := range []int{1, 2, 2} {
		tracker.Observe(t.Context(), legacyUse("a"))
		tracker.Flush(t.Context())
		if made != want {
			t.Errorf("%d patches at %v, want %d", made, clock, want)
		}
	}
}

// What is not set has a default, and one of several tenants a quarter of what is pending.
func TestLastUsedBounds(t *testing.T) {
	for _, tt := range []struct {
		maxPending, want int
		tenant           string
	}{{0, 1024, ""}, {3, 3, ""}, {40, 10, "red"}, {3, 1, "red"}} {
		p := &patches{}
		tracker := must(lastused.New(lastused.Config{Secrets: p, MaxPending: tt.maxPending}))
		for i := range 1100 {
			tracker.Observe(tenant.NewContext(t.Context(), tt.tenant), legacyUse(fmt.Sprint(i)))
		}
		tracker.Flush(t.Context())
		if len(p.made) != tt.want {
			t.Errorf("tenant %q with MaxPending %d: %d patches, want %d", tt.tenant, tt.maxPending, len(p.made), tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		tracker := must(lastused.New(lastused.Config{Secrets: &patches{hang: true}}))
		tracker.Observe(t.Context(), legacyUse("a"))
		start := time.Now()
		tracker.Flush(t.Context())
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("a patch that hangs took %v, want 10 s", took)
		}
	})
}

// tenantPatches remembers whose Secrets were patched.
type tenantPatches struct {
	mu   sync.Mutex
	made []string
}

func (p *tenantPatches) add(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = append(p.made, text)
	slices.Sort(p.made)
}

func (p *tenantPatches) PatchSecret(ctx context.Context, namespace, name string, _ types.PatchType, _ []byte) (*corev1.Secret, error) {
	if strings.HasPrefix(tenant.Of(ctx), "hangs") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p.add(tenant.Of(ctx) + " " + namespace + "/" + name)
	return nil, ctx.Err()
}

// A use is recorded where it happened, also when its request has ended, and the use in
// one tenant is not taken for that in another, whose Secret has the same UID.
func TestLastUsedTenants(t *testing.T) {
	var p, observed tenantPatches
	tracker := must(lastused.New(lastused.Config{Secrets: &p, Now: func() time.Time { return now },
		Observe: func(ctx context.Context, e lastused.Event) {
			observed.add(fmt.Sprint(tenant.Of(ctx), " ", e.Err))
		}}))
	for range 2 {
		for _, name := range []string{"red", "green"} {
			ctx, cancel := context.WithCancel(tenant.NewContext(t.Context(), name))
			tracker.Observe(ctx, legacyUse("a"))
			cancel()
		}
		tracker.Flush(t.Context())
	}
	if diff := cmp.Diff([]string{"green ci/a", "red ci/a"}, p.made); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"green <nil>", "red <nil>"}, observed.made); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A tenant whose server hangs, and that has as many pending patches as it may, delays no
// other's, and takes no other's room.
func TestLastUsedTenantHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p tenantPatches
		tracker := must(lastused.New(lastused.Config{Secrets: &p, MaxPending: 40, Now: func() time.Time { return now }}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			tracker.Run(ctx)
		}()
		for i := range 1000 {
			tracker.Observe(tenant.NewContext(ctx, "hangs"), legacyUse(fmt.Sprint(i)))
		}
		for i := range 5 {
			tracker.Observe(tenant.NewContext(ctx, fmt.Sprint("hangs", i)), legacyUse("a"))
		}
		synctest.Wait()
		for _, name := range []string{"red", "green"} {
			for i := range 10 {
				tracker.Observe(tenant.NewContext(ctx, name), legacyUse(fmt.Sprint(i)))
			}
		}
		synctest.Wait()
		if len(p.made) != 20 {
			t.Errorf("%d uses of other tenants are recorded at once, want 20", len(p.made))
		}
		cancel()
		<-done
	})
}

// A clock that was ahead and is set back doesn't keep uses from being recorded.
func TestLastUsedClockSetBack(t *testing.T) {
	clock, p := now.AddDate(1, 0, 0), &patches{}
	tracker := must(lastused.New(lastused.Config{Secrets: p, Now: func() time.Time { return clock }}))
	for range 2 {
		tracker.Observe(t.Context(), legacyUse("a"))
		tracker.Flush(t.Context())
		clock = now
	}
	if len(p.made) != 2 {
		t.Errorf("patches %v, want another one for the day that it is now", p.made)
	}
}

// A flood of Secrets that are used once doesn't make one that is in use be patched
// again.
func TestLastUsedFlood(t *testing.T) {
	p := &patches{}
	tracker := must(lastused.New(lastused.Config{Secrets: p, MaxPending: 10, Now: func() time.Time { return now }}))
	for i := range 2000 {
		tracker.Observe(t.Context(), legacyUse("busy"))
		tracker.Observe(t.Context(), legacyUse(fmt.Sprint(i)))
		tracker.Flush(t.Context())
	}
	if len(p.made) != 2001 {
		t.Errorf("%d patches, want one per Secret", len(p.made))
	}
}

// No name that a Secret can't have reaches the client.
func TestLastUsedNames(t *testing.T) {
	p := &patches{}
	tracker := must(lastused.New(lastused.Config{Secrets: p, Now: func() time.Time { return now }}))
	for _, use := range []tokens.LegacyUse{{Namespace: "ci", Secret: "../a", SecretUID: "x"}, {Namespace: "../ci", Secret: "a", SecretUID: "x"}} {
		tracker.Observe(t.Context(), tokens.Event{Legacy: &use})
		tracker.Flush(t.Context())
	}
	if len(p.made) != 0 {
		t.Errorf("patches %v, want none", p.made)
	}
}

// What it remembers is bounded, too.
func TestLastUsedManySecrets(t *testing.T) {
	p := &patches{}
	tracker := must(lastused.New(lastused.Config{Secrets: p, MaxPending: 10, Now: func() time.Time { return now }}))
	for i := range 1000 {
		tracker.Observe(t.Context(), legacyUse(fmt.Sprint(i)))
		tracker.Flush(t.Context())
	}
	if len(p.made) != 1000 {
		t.Errorf("%d patches, want 1000", len(p.made))
	}
	for i := range 1000 {
		tracker.Observe(t.Context(), legacyUse(fmt.Sprint(i)))
		tracker.Flush(t.Context())
	}
	if remembered := 2000 - len(p.made); remembered > 10*16 {
		t.Errorf("%d Secrets are remembered, want 16 times MaxPending at most", remembered)
	}
}

func TestNewLastUsedTrackerRefuses(t *testing.T) {
	_, err := lastused.New(lastused.Config{MaxPending: -1, Timeout: -1})
	for _, want := range []string{"lastused: Config.Secrets is required", "Config.MaxPending is -1", "Config.Timeout is -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want %q", err, want)
		}
	}
}

// Record the use of tokens in Secrets, beside their authentication.
func ExampleTracker() {
	tracker, err := lastused.New(lastused.Config{
		Secrets: printer{}, // a client
		Now:     func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// AuthenticatorConfig{…, Observe: tracker.Observe}; go tracker.Run(ctx)
	tracker.Observe(context.Background(), tokens.Event{Legacy: &tokens.LegacyUse{Namespace: "ci", Secret: "builder-token", SecretUID: "6d1a", LastUsed: "2025-12-30"}})
	tracker.Flush(context.Background())

	// Output:
	// ci/builder-token: {"kind":"Secret","apiVersion":"v1","metadata":{"name":"builder-token","namespace":"ci","uid":"6d1a","labels":{"kubernetes.io/legacy-token-last-used":"2026-01-01"}}}
}

type printer struct{}

func (printer) PatchSecret(_ context.Context, namespace, name string, _ types.PatchType, data []byte) (*corev1.Secret, error) {
	fmt.Printf("%s/%s: %s\n", namespace, name, data)
	return nil, nil
}

// A namespace whose Secrets can't be patched, or slowly, as with a webhook that hangs,
// delays no other one by more than one patch of its.
func TestLastUsedNamespaceHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // for order
		var order []string
		tracker := must(lastused.New(lastused.Config{Secrets: patcherFunc(func(ctx context.Context, namespace, name string) error {
			mu.Lock()
			order = append(order, namespace+"/"+name)
			mu.Unlock()
			if namespace == "slow" {
				<-ctx.Done()
			}
			return ctx.Err()
		})}))
		use := func(namespace, name string) {
			tracker.Observe(t.Context(), tokens.Event{Legacy: &tokens.LegacyUse{Namespace: namespace, Secret: name, SecretUID: types.UID(name)}})
		}
		for i := range 100 {
			use("slow", fmt.Sprint(i))
		}
		use("ci", "a")
		use("ci", "b")
		use("cd", "c")
		tracker.Flush(t.Context())
		mu.Lock()
		defer mu.Unlock()
		want := []string{"slow/0", "ci/a", "cd/c", "slow/1", "ci/b", "slow/2"}
		if diff := cmp.Diff(want, order[:6]); diff != "" || len(order) != 103 {
			t.Errorf("the first of %d patches (-want +got):\n%s", len(order), diff)
		}
	})
}

type patcherFunc func(ctx context.Context, namespace, name string) error

func (f patcherFunc) PatchSecret(ctx context.Context, namespace, name string, _ types.PatchType, _ []byte) (*corev1.Secret, error) {
	return nil, f(ctx, namespace, name)
}
