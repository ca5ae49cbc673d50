package saenvtest_test

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kubesa/serviceaccount/controllerruntime/saenvtest"
)

// The plugin ServiceAccount isn't disabled, whatever else is; and a start that fails
// is an error that leaves nothing behind, so that it can be tried again.
func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		user []string // values of the flag that the test gives; none are envtest's own
		want string
	}{
		{name: "as envtest has it"},
		{name: "others", user: []string{"NodeRestriction,ServiceAccount", "LimitRanger"}, want: "NodeRestriction,LimitRanger"},
		{name: "spaces", user: []string{" ServiceAccount"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBEBUILDER_ASSETS", "")
			env := &saenvtest.Environment{Environment: envtest.Environment{BinaryAssetsDirectory: t.TempDir()}}
			args := env.ControlPlane.GetAPIServer().Configure()
			if tt.user != nil {
				args.Set("disable-admission-plugins", tt.user...)
			}
			for range 2 {
				if _, err := env.Start(); err == nil || !strings.Contains(err.Error(), "etcd") {
					t.Fatalf("Start() without etcd = %v, want an error that says so", err)
				}
				var want []string
				if tt.want != "" {
					want = []string{"--disable-admission-plugins=" + tt.want}
				}
				if got := args.AsStrings(map[string][]string{"disable-admission-plugins": {"ServiceAccount"}}); !slices.Equal(got, want) {
					t.Errorf("the API server gets %q, want %q", got, want)
				}
			}
		})
	}
}
