package compat

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubesa/serviceaccount"
	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
)

// A followedReader writes live and reads from the cache, once that has caught up: what
// the cache answers then is what the API server answers.
type followedReader struct {
	*serviceaccount.CoreV1
	cached *saruntime.Reader
}

// follow returns what cached does once it has the versions that live has.
func follow[T any](live, cached func() (T, error), versions func(T) string) (T, error) {
	var behind string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		want, wantErr := live()
		if wantErr != nil && !apierrors.IsNotFound(wantErr) {
			return want, wantErr
		}
		got, err := cached()
		if wantErr != nil && apierrors.IsNotFound(err) {
			return got, err
		}
		if wantErr == nil && err == nil && versions(got) == versions(want) {
			return got, nil
		}
		behind = fmt.Sprintf("the cache has %v (%v), the API server %v (%v)", got, err, want, wantErr)
	}
	var none T
	return none, fmt.Errorf("compat: %s", behind)
}

func followObject[T any, P interface {
	*T
	client.Object
	DeepCopy() *T
}](live, cached func() (*T, error)) (*T, error) {
	found, err := follow(live, cached, func(o *T) string { return P(o).GetResourceVersion() })
	if err != nil {
		return nil, err
	}
	return P(found).DeepCopy(), nil // what it returns is read only
}

func followList[T any, P interface {
	*T
	client.Object
	DeepCopy() *T
}](live, cached func() ([]*T, error)) ([]*T, error) {
	found, err := follow(live, cached, func(list []*T) string {
		versions := map[string]string{}
		for _, o := range list {
			versions[P(o).GetNamespace()+"/"+P(o).GetName()] = P(o).GetResourceVersion()
		}
		return fmt.Sprint(versions)
	})
	if err != nil {
		return nil, err
	}
	copies := make([]*T, len(found))
	for i, o := range found {
		copies[i] = P(o).DeepCopy()
	}
	return copies, nil
}

// read makes a call of the two of them.
func read[R any](f func(ctx context.Context, name string) (R, error), ctx context.Context, name string) func() (R, error) {
	return func() (R, error) { return f(ctx, name) }
}

func readIn[R any](f func(ctx context.Context, namespace, name string) (R, error), ctx context.Context, namespace, name string) func() (R, error) {
	return func() (R, error) { return f(ctx, namespace, name) }
}

func (r followedReader) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return followObject(read(r.CoreV1.GetNamespace, ctx, name), read(r.cached.GetNamespace, ctx, name))
}

func (r followedReader) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return followList(func() ([]*corev1.Namespace, error) { return r.CoreV1.ListNamespaces(ctx) },
		func() ([]*corev1.Namespace, error) { return r.cached.ListNamespaces(ctx) })
}

func (r followedReader) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return followObject(read(r.CoreV1.GetNode, ctx, name), read(r.cached.GetNode, ctx, name))
}

func (r followedReader) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return followObject(readIn(r.CoreV1.GetServiceAccount, ctx, namespace, name), readIn(r.cached.GetServiceAccount, ctx, namespace, name))
}

func (r followedReader) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return followObject(readIn(r.CoreV1.GetSecret, ctx, namespace, name), readIn(r.cached.GetSecret, ctx, namespace, name))
}

func (r followedReader) TokenSecrets(ctx context.Context, namespace, name string) ([]*corev1.Secret, error) {
	return followList(readIn(r.CoreV1.TokenSecrets, ctx, namespace, name), readIn(r.cached.TokenSecrets, ctx, namespace, name))
}

func (r followedReader) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return followObject(readIn(r.CoreV1.GetPod, ctx, namespace, name), readIn(r.cached.GetPod, ctx, namespace, name))
}

func (r followedReader) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return followList(read(r.CoreV1.ListPods, ctx, namespace), read(r.cached.ListPods, ctx, namespace))
}

func (r followedReader) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return followObject(readIn(r.CoreV1.GetConfigMap, ctx, namespace, name), readIn(r.cached.GetConfigMap, ctx, namespace, name))
}
