// Package budget counts the steps of decisions about pods and ends those that take
// longer than their request.
package budget

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// stepsPerCheck is how many steps are taken between two looks at the context.
const stepsPerCheck = 1024

// A Budget counts the steps of a decision, each of which handles one element of a
// list or one byte of a text that a client may have sent. All loops over such
// lists and texts spend it, so that a long decision ends when its request does.
type Budget struct {
	Context       context.Context // nil has no end
	steps, looked int             // until now, and when Context was last looked at
}

// Spend takes n steps. The error is a retryable denial, of a request that has ended.
// It is small enough to be inlined.
func (b *Budget) Spend(n int) error {
	b.steps += n
	if b.steps-b.looked < stepsPerCheck {
		return nil
	}
	return b.look()
}

func (b *Budget) look() error {
	b.looked = b.steps
	if b.Context == nil {
		return nil
	}
	if err := b.Context.Err(); err != nil {
		return apierrors.NewTimeoutError(fmt.Sprintf("the pod was not decided in time: %v", err), 1)
	}
	return nil
}

// Steps returns how many steps have been taken.
func (b *Budget) Steps() int { return b.steps }
