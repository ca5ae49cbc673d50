package satest

import (
	"context"
	"errors"
	"path"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// Silent is a Reader and Client of which one method returns nothing and no error,
// or a list with nothing in it.
type Silent struct {
	*fake.Cluster
	Method string
}

func (s Silent) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	if s.Method == "GetNamespace" {
		return nil, nil
	}
	return s.Cluster.GetNamespace(ctx, name)
}

func (s Silent) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if s.Method == "GetServiceAccount" {
		return nil, nil
	}
	return s.Cluster.GetServiceAccount(ctx, namespace, name)
}

func (s Silent) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	if s.Method == "GetSecret" {
		return nil, nil
	}
	return s.Cluster.GetSecret(ctx, namespace, name)
}

func (s Silent) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	if s.Method == "GetConfigMap" {
		return nil, nil
	}
	return s.Cluster.GetConfigMap(ctx, namespace, name)
}

func (s Silent) TokenSecrets(ctx context.Context, namespace, account string) ([]*corev1.Secret, error) {
	if s.Method == "TokenSecrets" {
		return []*corev1.Secret{nil}, nil
	}
	return s.Cluster.TokenSecrets(ctx, namespace, account)
}

func (s Silent) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	if s.Method == "ListSecrets" {
		return []*corev1.Secret{nil}, nil
	}
	return s.Cluster.ListSecrets(ctx, namespace)
}

func (s Silent) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	if s.Method == "ListPods" {
		return []*corev1.Pod{nil}, nil
	}
	return s.Cluster.ListPods(ctx, namespace)
}

func (s Silent) CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	created, err := s.Cluster.CreateServiceAccount(ctx, account)
	if s.Method == "CreateServiceAccount" {
		return nil, err
	}
	return created, err
}

func (s Silent) UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	updated, err := s.Cluster.UpdateServiceAccount(ctx, account)
	if s.Method == "UpdateServiceAccount" {
		return nil, err
	}
	return updated, err
}

func (s Silent) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	created, err := s.Cluster.CreateSecret(ctx, secret)
	if s.Method == "CreateSecret" {
		return nil, err
	}
	return created, err
}

func (s Silent) UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	updated, err := s.Cluster.UpdateSecret(ctx, secret)
	if s.Method == "UpdateSecret" {
		return nil, err
	}
	return updated, err
}

func (s Silent) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	patched, err := s.Cluster.PatchSecret(ctx, namespace, name, pt, data)
	if s.Method == "PatchSecret" {
		return nil, err
	}
	return patched, err
}

func (s Silent) CreateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	created, err := s.Cluster.CreateConfigMap(ctx, m)
	if s.Method == "CreateConfigMap" {
		return nil, err
	}
	return created, err
}

func (s Silent) UpdateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	updated, err := s.Cluster.UpdateConfigMap(ctx, m)
	if s.Method == "UpdateConfigMap" {
		return nil, err
	}
	return updated, err
}

// A NothingCase is a controller, and the worlds in which it calls every method of its
// Reader and Client.
type NothingCase struct {
	Name           string
	Reader, Client reflect.Type
	Worlds         [][]runtime.Object
	Keys           []sacontroller.Key
	// Controller returns the controller. Errors that Reconcile doesn't return it notes.
	Controller func(reader, client Silent, note func(error)) sacontroller.Controller
}

// Nothing checks that each method of a Reader and Client may return nothing and no error:
// that is an error, which begins with the name of the controller's package, never a panic,
// and never taken for an object that doesn't exist.
func Nothing(t *testing.T, tests []NothingCase) {
	for _, tt := range tests {
		run := func(t *testing.T, readerSilent, clientSilent string) {
			var errs []error
			for _, world := range tt.Worlds {
				for _, key := range tt.Keys {
					cluster := fake.New(world...)
					c := tt.Controller(Silent{cluster, readerSilent}, Silent{cluster, clientSilent}, func(err error) { errs = append(errs, err) })
					_, err := c.Reconcile(t.Context(), key)
					errs = append(errs, err)
				}
			}
			if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), "neither an object nor an error") {
				t.Errorf("the errors are %v, want one that says that nothing was returned", err)
			}
			for _, err := range errs {
				if pkg := path.Base(tt.Reader.PkgPath()); err != nil && !strings.HasPrefix(err.Error(), pkg+": ") {
					t.Errorf("the error %v doesn't begin with %s", err, pkg)
				}
			}
		}
		for method := range tt.Reader.Methods() {
			t.Run(tt.Name+"/Reader."+method.Name, func(t *testing.T) { run(t, method.Name, "") })
		}
		for method := range tt.Client.Methods() {
			if method.Type.NumOut() == 2 {
				t.Run(tt.Name+"/Client."+method.Name, func(t *testing.T) { run(t, "", method.Name) })
			}
		}
	}
}
