package tokens

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A BoundObject is an object that a token is bound to, of a kind to which
// Kubernetes itself binds no tokens. The zero value means that there is none.
//
// Kubernetes' own authenticator ignores such a binding and treats the token as
// unbound: issue such tokens only for audiences that use this library.
type BoundObject struct {
	APIVersion, Kind string // of the object, for example "batch/v1" and "Job"
	Name             string
	UID              types.UID
}

// An ObjectGetter reads objects of further kinds that tokens can be bound to.
// It must be safe for concurrent use. What it returns is only read.
type ObjectGetter interface {
	// GetObject returns the metadata of an object. Kinds with namespaces are
	// looked up in namespace, that of the account; others ignore it. It returns a NotFound error of
	// k8s.io/apimachinery if there is no such object, one that wraps
	// [ErrUnsupportedKind] if no token may be bound to the kind, and any other
	// error if it could not tell.
	GetObject(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (metav1.Object, error)
}

// kindObject is what errors call a [BoundObject].
const kindObject = "Object"

// GroupVersionKind returns the kind of o.
func (o BoundObject) GroupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
}

// checkObject checks the binding to an object of a further kind.
func (a *attempt) checkObject(ctx context.Context, c *payload.Claims) error {
	ref := c.Object
	if a.cfg.Objects == nil {
		return &InvalidError{ReasonUnsupported, kindObject}
	}
	object, err := a.cfg.Objects.GetObject(ctx, ref.GroupVersionKind(), c.Namespace, ref.Name)
	object, err = objects.RequireIn(c.Namespace, object, err)
	if errors.Is(err, ErrUnsupportedKind) {
		a.detailf("%s: %v", ref.GroupVersionKind(), err)
		return &InvalidError{ReasonUnsupported, kindObject}
	}
	if err := requireFound(a, kindObject, &object, err); err != nil {
		return err
	}
	return a.requireIdentity(kindObject, ref.UID, object)
}
