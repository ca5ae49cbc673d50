package satest

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// Errors of writes: all but ErrForbidden come again however often the same is written.
var (
	ErrInvalid   = apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "x", nil)
	ErrForbidden = apierrors.NewForbidden(corev1.Resource("secrets"), "x", errors.New("exceeded quota"))
	ErrTooLarge  = apierrors.NewRequestEntityTooLargeError("limit is 3145728")
	ErrEtcdLimit = apierrors.NewInternalError(errors.New("etcdserver: request is too large"))
	ErrGRPCLimit = apierrors.NewInternalError(errors.New("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097300 vs. 2097152)"))
)

// generatedSecret is the delete of a generated Secret.
const generatedSecret = "delete secrets ns/default-token-xxxx2"

// A TerminalCase is a controller, in a world in which a key can't succeed.
type TerminalCase struct {
	Name       string
	Controller func(*testing.T, *fake.Cluster) sacontroller.Controller
	Key        sacontroller.Key
	World      []runtime.Object
	Fault      *fault.Fault
	Want       string // in the error
	Calls      []string
	Retried    bool
}

// Terminal checks that what can't succeed until an object changes says why and is not
// retried, and that what may succeed by itself is. The calls are those of the Client,
// apart from those that read the Namespace.
func Terminal(t *testing.T, tests []TerminalCase) {
	for _, tt := range tests {
		t.Run(tt.Name, func(t *testing.T) {
			cluster := fake.New(tt.World...)
			if tt.Fault != nil {
				cluster.Inject(tt.Fault)
			}
			c := tt.Controller(t, cluster)
			result, err := c.Reconcile(t.Context(), tt.Key)
			if err == nil || !strings.Contains(err.Error(), tt.Want) || result != (sacontroller.Result{}) {
				t.Fatalf("Reconcile() = %v, %v, want no result and an error with %q", result, err, tt.Want)
			}
			var terminal *sacontroller.TerminalError
			if errors.As(err, &terminal) == tt.Retried {
				t.Errorf("Reconcile() = %#v, want it retried: %t", err, tt.Retried)
			}
			got := Calls(cluster)
			for i, call := range got {
				if strings.HasPrefix(call, generatedSecret) {
					got[i] = generatedSecret // without its UID
				}
			}
			Diff(t, "calls", tt.Calls, got)
			if l, ok := c.(interface {
				LastError(sacontroller.Key) error
			}); ok && l.LastError(tt.Key) != err {
				t.Errorf("LastError() = %v, want %v", l.LastError(tt.Key), err)
			}
			if c, ok := c.(interface{ Pending() int }); ok && !tt.Retried && c.Pending() > 0 {
				t.Error("a Secret is remembered as unfinished that can't be created or listed")
			}
		})
	}
}
