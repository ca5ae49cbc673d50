package apiserver_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// A getterFunc is the storage of one kind.
type getterFunc func(ctx context.Context, name, resourceVersion string) (runtime.Object, error)

func (f getterFunc) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return f(ctx, name, o.ResourceVersion)
}

// SRV-25: the node of a pod is read from the watch cache, then live on any error; a node
// that a token is bound to is read live, as are the other objects.
func TestNodeOfAPod(t *testing.T) {
	object := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "1"}
	}
	notFound := apierrors.NewNotFound(corev1.Resource("nodes"), "node-1")
	pod, node := authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "pod"}, authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: "node-1"}
	for _, tt := range []struct {
		name         string
		bound        authenticationv1.BoundObjectReference
		cached, live error    // of the storage of nodes
		want         []string // resource versions that nodes are read by
		wantNode     tokens.ObjectRef
		wantErr      bool
	}{
		{name: "cached", bound: pod, live: errors.New("down"), want: []string{"0"}, wantNode: tokens.ObjectRef{Name: "node-1", UID: "1"}},
		{name: "not in the cache", bound: pod, cached: notFound, want: []string{"0", ""}, wantNode: tokens.ObjectRef{Name: "node-1", UID: "1"}},
		{name: "no cache", bound: pod, cached: apierrors.NewTooManyRequests("storage is (re)initializing", 1), want: []string{"0", ""}, wantNode: tokens.ObjectRef{Name: "node-1", UID: "1"}},
		{name: "an error that is no status", bound: pod, cached: errors.New("x"), want: []string{"0", ""}, wantNode: tokens.ObjectRef{Name: "node-1", UID: "1"}},
		{name: "no node", bound: pod, cached: notFound, live: notFound, want: []string{"0", ""}, wantNode: tokens.ObjectRef{Name: "node-1"}},
		{name: "storage down", bound: pod, cached: notFound, live: errors.New("down"), want: []string{"0", ""}, wantErr: true},
		{name: "bound to a node", bound: node, cached: errors.New("x"), want: []string{""}, wantNode: tokens.ObjectRef{Name: "node-1", UID: "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			live := func(o runtime.Object) getterFunc {
				return func(_ context.Context, name, resourceVersion string) (runtime.Object, error) {
					if resourceVersion != "" {
						t.Errorf("%s is read by resource version %q", name, resourceVersion)
					}
					return o, nil
				}
			}
			nodes := getterFunc(func(ctx context.Context, name, resourceVersion string) (runtime.Object, error) {
				info, ok := request.RequestInfoFrom(ctx)
				if !ok || info.Resource != "nodes" || info.Name != "node-1" || info.Namespace != "" || name != "node-1" {
					t.Errorf("%s is read with %+v", name, info)
				}
				got = append(got, resourceVersion)
				if err := map[string]error{"0": tt.cached, "": tt.live}[resourceVersion]; err != nil {
					return nil, err
				}
				return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "1"}}, nil
			})
			scheme := runtime.NewScheme()
			check(t, apiserver.AddToScheme(scheme))
			key := must(keys.Generate(keys.ES256))(t)
			parts := must(apiserver.New(apiserver.Config{
				Scheme: scheme,
				Issuer: tokenissuer.Config{Issuer: testIssuer, Signer: must(keys.NewSigner(key))(t)},
				Keys:   must(keys.NewSet(key.Public()))(t),
				Live: lookup.FromStorage(scheme, lookup.Storage{
					ServiceAccounts: live(&corev1.ServiceAccount{ObjectMeta: object("web")}), Nodes: nodes,
					Pods: live(&corev1.Pod{ObjectMeta: object("pod"), Spec: corev1.PodSpec{ServiceAccountName: "web", NodeName: "node-1"}}),
				}),
			}))(t)
			ctx := request.WithNamespace(t.Context(), "shop")
			tr := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &tt.bound}}
			created, err := parts.TokenREST.Create(ctx, "web", tr, nil, nil)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reads of nodes (-want +got):\n%s", diff)
			}
			if tt.wantErr {
				if !apierrors.IsInternalError(err) {
					t.Errorf("got %v, want 500", err)
				}
				return
			}
			check(t, err)
			tt.live = nil // for the authentication
			identity := must(parts.Authenticator.Authenticate(ctx, created.(*authenticationv1.TokenRequest).Status.Token))(t)
			if identity.Node != tt.wantNode {
				t.Errorf("got node %+v, want %+v", identity.Node, tt.wantNode)
			}
		})
	}
}
