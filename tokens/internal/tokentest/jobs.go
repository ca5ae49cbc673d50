package tokentest

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tokens"
)

// Jobs are the Jobs of the namespace ci, a further kind.
type Jobs struct {
	Objects map[string]*metav1.ObjectMeta
	Err     error
}

func (j *Jobs) GetObject(_ context.Context, kind schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	if kind != (schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}) {
		return nil, fmt.Errorf("%s: %w", kind, tokens.ErrUnsupportedKind)
	}
	if j.Err != nil {
		return nil, j.Err
	}
	object, ok := j.Objects[name]
	if !ok || namespace != "ci" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "jobs"}, name)
	}
	if object == nil {
		return nil, nil
	}
	return object, nil
}

// NewJobs has the Job nightly.
func NewJobs() *Jobs {
	nightly := Meta("ci", "nightly")
	return &Jobs{Objects: map[string]*metav1.ObjectMeta{"nightly": &nightly}}
}

// AnyObject has an object of every kind and name.
type AnyObject struct{}

func (AnyObject) GetObject(_ context.Context, _ schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	object := Meta(namespace, name)
	return &object, nil
}
