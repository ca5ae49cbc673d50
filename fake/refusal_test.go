package fake_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// What the API server refuses is a call: it is recorded, and open to faults, which come
// first as the network does. What no client would send is none.
func TestRefusalsAreCalls(t *testing.T) {
	secrets := func(c *fake.Cluster) *fake.Resource { return c.Resource("secrets") }
	dryRun := []string{"none"}
	good := func() *corev1.Secret { return &corev1.Secret{ObjectMeta: meta("ci", "password")} }
	other := good()
	other.Kind, other.APIVersion = "ConfigMap", "v1"
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, c *fake.Cluster) error
		want string // the action, empty for none
	}{
		{"create of nil", func(ctx context.Context, c *fake.Cluster) error { _, err := c.CreateSecret(ctx, nil); return err }, "create secrets"},
		{"create of another kind", func(ctx context.Context, c *fake.Cluster) error {
			_, err := secrets(c).Create(ctx, other, metav1.CreateOptions{})
			return err
		}, "create secrets"},
		{"create without a namespace", func(ctx context.Context, c *fake.Cluster) error {
			_, err := c.CreateSecret(ctx, &corev1.Secret{ObjectMeta: meta("", "password")})
			return err
		}, "create secrets password"},
		{"create with an unknown dryRun", func(ctx context.Context, c *fake.Cluster) error {
			_, err := secrets(c).Create(ctx, &corev1.Secret{ObjectMeta: meta("ci", "new")}, metav1.CreateOptions{DryRun: dryRun})
			return err
		}, "create secrets ci/new"},
		{"update of nil", func(ctx context.Context, c *fake.Cluster) error { _, err := c.UpdateSecret(ctx, nil); return err }, "update secrets"},
		{"update with an unknown dryRun", func(ctx context.Context, c *fake.Cluster) error {
			_, err := secrets(c).Update(ctx, "", good(), metav1.UpdateOptions{DryRun: dryRun})
			return err
		}, "update secrets ci/password"},
		{"patch that is no JSON", func(ctx context.Context, c *fake.Cluster) error {
			_, err := c.PatchSecret(ctx, "ci", "password", types.MergePatchType, []byte("{"))
			return err
		}, "patch secrets ci/password"},
		{"patch of an unknown type", func(ctx context.Context, c *fake.Cluster) error {
			_, err := c.PatchSecret(ctx, "ci", "password", "text/plain", []byte("{}"))
			return err
		}, "patch secrets ci/password"},
		{"delete with an unknown dryRun", func(ctx context.Context, c *fake.Cluster) error {
			return c.DeleteSecret(ctx, "ci", "password", metav1.DeleteOptions{DryRun: dryRun})
		}, "delete secrets ci/password"},
		{"list with a bad selector", func(ctx context.Context, c *fake.Cluster) error {
			_, _, err := secrets(c).List(ctx, "ci", metav1.ListOptions{LabelSelector: "!!"})
			return err
		}, "list secrets ci"},
		{"watch from a bad version", func(ctx context.Context, c *fake.Cluster) error {
			_, err := c.Watch(ctx, "secrets", "ci", metav1.ListOptions{ResourceVersion: "new"})
			return err
		}, "watch secrets ci"},
		{"watch with a bad selector", func(ctx context.Context, c *fake.Cluster) error {
			_, err := c.Watch(ctx, "secrets", "ci", metav1.ListOptions{FieldSelector: "spec.x=y"})
			return err
		}, "watch secrets ci"},
		{"binding to nothing", func(ctx context.Context, c *fake.Cluster) error {
			return c.BindPod(ctx, &corev1.Binding{ObjectMeta: meta("ci", "web")}, metav1.CreateOptions{})
		}, "create pods/binding ci/web"},
		{"TokenRequest that is nil", func(ctx context.Context, c *fake.Cluster) error {
			_, err := must[*fake.Authority](t)(fake.NewAuthority(fake.AuthorityConfig{Cluster: c})).CreateToken(ctx, "ci", "default", nil)
			return err
		}, "create serviceaccounts/token ci/default"},

		{"get without a name", func(ctx context.Context, c *fake.Cluster) error { _, err := c.GetSecret(ctx, "ci", ""); return err }, ""},
		{"update without a namespace", func(ctx context.Context, c *fake.Cluster) error {
			_, err := c.UpdateSecret(ctx, &corev1.Secret{ObjectMeta: meta("", "password")})
			return err
		}, ""},
		{"call that was given up", func(ctx context.Context, c *fake.Cluster) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, err := c.GetSecret(ctx, "ci", "password")
			return err
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := fake.New(good())
			refused := tt.call(t.Context(), c)
			if refused == nil {
				t.Fatal("the call was not refused")
			}
			actions := c.Actions()
			if tt.want == "" {
				if len(actions) != 0 {
					t.Errorf("recorded:\n%s", fake.FormatActions(actions))
				}
				return
			}
			recorded := slices.ContainsFunc(actions, func(a fake.Action) bool {
				return a.Op.String() == tt.want && a.Err != nil && a.Err.Error() == refused.Error()
			})
			if !recorded {
				t.Errorf("recorded:\n%swant %s: %v", fake.FormatActions(actions), tt.want, refused)
			}
			lost := errors.New("lost")
			c.Inject(fault.On("", "", lost))
			if err := tt.call(t.Context(), c); !errors.Is(err, lost) {
				t.Errorf("with a fault the call returns %v, want the fault", err)
			}
		})
	}
}
