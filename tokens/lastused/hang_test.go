package lastused_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tokens/lastused"
)

// A patcher is a SecretPatcher of one function.
type patcher func() (*corev1.Secret, error)

func (p patcher) PatchSecret(context.Context, string, string, types.PatchType, []byte) (*corev1.Secret, error) {
	return p()
}

// A patcher that ignores its context leaves a bounded number of goroutines, and Run goes
// on. So it does when the patcher panics.
func TestTrackerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var last error
		var panicked any
		tracker := must(lastused.New(lastused.Config{
			Secrets: patcher(func() (*corev1.Secret, error) { <-release; panic("hunter2") }),
			Observe: func(_ context.Context, e lastused.Event) { last, panicked = e.Err, e.Panic },
			Timeout: time.Second,
		}))
		before := runtime.NumGoroutine()
		use := func() {
			time.Sleep(time.Minute) // the pause after a failure
			tracker.Observe(t.Context(), legacyUse("a"))
			tracker.Flush(t.Context())
		}
		for range 1000 {
			use()
		}
		if left := runtime.NumGoroutine() - before; left > 4+slack {
			t.Errorf("1,000 patches that hang left %d goroutines, want at most 4", left)
		}
		if _, ok := errors.AsType[*flight.HungError](last); !ok {
			t.Errorf("the last of 1,000 patches that hang: %v, want a HungError", last)
		}
		close(release)
		use()
		value, stack := flight.PanicOf(last)
		if strings.Contains(last.Error(), "hunter2") || value != "hunter2" || panicked != value || !strings.Contains(string(stack), "TestTrackerHangs") {
			t.Errorf("a patch that panics: %v with the panic %v and a stack of %d bytes", last, value, len(stack))
		}
	})
}

// slack is for goroutines that are ending.
const slack = 4
