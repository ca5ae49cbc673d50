package budget_test

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
)

// The context is looked at once for each 1024 steps.
func TestSpend(t *testing.T) {
	// A15
	ctx, cancel := context.WithCancel(t.Context())
	b := budget.Budget{Context: ctx}
	if err := b.Spend(1024); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := b.Spend(1023); err != nil {
		t.Errorf("Spend() = %v after 1023 steps more", err)
	}
	err := b.Spend(1)
	if seconds, ok := apierrors.SuggestsClientDelay(err); !apierrors.IsTimeout(err) || !ok || seconds != 1 {
		t.Errorf("Spend() = %v, want a retryable timeout", err)
	}
	if b.Steps() != 2048 {
		t.Errorf("%d steps, want 2048", b.Steps())
	}
	var endless budget.Budget
	if err := endless.Spend(1 << 30); err != nil {
		t.Errorf("Spend() = %v without a context", err)
	}
}
