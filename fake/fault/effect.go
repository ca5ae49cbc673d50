package fault

import (
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// The errors below become the Status that the API server would return, with the
// resource and the name of the call that fails.
var (
	// Conflict answers 409, as after a concurrent write.
	Conflict error = &effect{text: "conflict", status: func(op Op) error {
		return apierrors.NewConflict(op.groupResource(), op.Name, errors.New(object.OptimisticLock))
	}}
	// NotFound answers 404.
	NotFound error = &effect{text: "not found", status: func(op Op) error {
		return apierrors.NewNotFound(op.groupResource(), op.Name)
	}}
	// Timeout answers 504; the call did not happen.
	Timeout error = &effect{text: "timeout", status: timeout}
	// AnswerLost lets the call happen, and then answers 504: the caller can't
	// tell whether it did. See [After] for other errors.
	AnswerLost error = &effect{text: "answer lost", status: timeout, after: true}
)

func timeout(Op) error {
	return apierrors.NewTimeoutError("request did not complete within the allowed duration", 0)
}

func (op Op) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: object.GroupOf(op.Resource), Resource: op.Resource}
}

// After returns an error that lets the call happen first, and then returns err to
// the caller instead of the response. [Conflict], [NotFound] and [Timeout] may be
// given as err. A call that fails by itself returns its own error.
func After(err error) error {
	problem := problemOf(err)
	if e, ok := err.(*effect); ok && problem == "" && e.status == nil {
		problem = fmt.Sprintf("%q is no error that a caller could get after the call", e)
	}
	if problem != "" {
		panic("fault: After: " + problem)
	}
	return &effect{text: "the call happens, then " + err.Error(), after: true, status: func(op Op) error {
		return statusOf(err, op)
	}}
}

// Slow returns an error that delays the call by d, or until its context is
// done. It is not an error to the caller. It panics unless d is positive.
func Slow(d time.Duration) error {
	if d <= 0 {
		panic(fmt.Sprintf("fault: Slow(%s): want a positive duration", d))
	}
	return &effect{text: "slow by " + d.String(), wait: d}
}

// Stale returns an error that makes a read return the state of n revisions ago. It
// is not an error to the caller. Answers of TokenRequests and TokenReviews depend
// on reads, and can be stale as well. It panics unless n is positive.
func Stale(n int) error {
	if n <= 0 {
		panic(fmt.Sprintf("fault: Stale(%d): want a positive number of revisions", n))
	}
	return &effect{text: fmt.Sprintf("%d revisions behind", n), lag: n}
}

// DropWatch returns an error that lets a watch begin and closes it after n
// events. It panics if n is negative.
func DropWatch(n int) error {
	if n < 0 {
		panic(fmt.Sprintf("fault: DropWatch(%d): want 0 or more events", n))
	}
	return &effect{text: fmt.Sprintf("dropped after %d events", n), drop: &n}
}

// effect is an error that says what happens to a call.
type effect struct {
	text   string
	status func(Op) error // the error for the caller; nil for none
	after  bool
	wait   time.Duration
	lag    int
	drop   *int
}

func (e *effect) Error() string { return e.text }

// statusOf returns what the caller gets for err.
func statusOf(err error, op Op) error {
	e, ok := err.(*effect)
	switch {
	case !ok:
		return err
	case e.status == nil:
		return nil
	}
	return e.status(op)
}
