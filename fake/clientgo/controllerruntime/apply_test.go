package controllerruntime_test

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo/controllerruntime"
)

// Server-side apply does what it does with the bare client, in all its forms.
func TestApply(t *testing.T) {
	changed, _ := world(t)
	for name, c := range map[string]client.WithWatch{
		"bare": clientfake.NewClientBuilder().WithObjects(namespace("ci")).Build(), "changed": changed,
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			configuration := applycorev1.ConfigMap("settings", "ci").WithData(map[string]string{"a": "1"})
			must(t, c.Apply(ctx, configuration, client.FieldOwner("red")))
			if configuration.ResourceVersion == nil || *configuration.Kind != "ConfigMap" {
				t.Errorf("the answer is %+v, want the whole object", configuration)
			}
			u := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings", "namespace": "ci"}, "data": map[string]any{"a": "2"},
			}}
			err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.FieldOwner("blue"))
			if !apierrors.IsConflict(err) {
				t.Errorf("Apply() of what is owned = %v, want a conflict", err)
			}
			must(t, c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("blue"), client.ForceOwnership))
			if u.GetResourceVersion() == "" {
				t.Errorf("the answer is %v, want the whole object", u)
			}
			typed := &corev1.ConfigMap{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "settings"},
				Data: map[string]string{"b": "3"},
			}
			//lint:ignore SA1019 it is what many tests call
			must(t, c.Patch(ctx, typed, client.Apply, client.FieldOwner("green")))
			if len(typed.Data) != 2 {
				t.Errorf("the data are %v, want two keys", typed.Data)
			}
			must(t, c.Create(ctx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "web"},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/main"}}},
			}))
			must(t, c.Status().Apply(ctx, applycorev1.Pod("web", "ci").WithStatus(applycorev1.PodStatus().WithPhase(corev1.PodRunning)), client.FieldOwner("red")))
			var web corev1.Pod
			must(t, c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "web"}, &web))
			if web.Status.Phase != corev1.PodRunning {
				t.Errorf("the phase is %q, want %q", web.Status.Phase, corev1.PodRunning)
			}
		})
	}
}

// Indices of the builder work for the seven kinds, too.
func TestIndices(t *testing.T) {
	builder := clientfake.NewClientBuilder().WithObjects(namespace("ci")).
		WithIndex(&corev1.Secret{}, "team", func(o client.Object) []string { return []string{o.GetLabels()["team"]} }).
		WithIndex(&corev1.Pod{}, "status.hostIP", func(o client.Object) []string { return []string{o.(*corev1.Pod).Status.HostIP} })
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := controllerruntime.NewClient(builder.Build(), controllerruntime.Config{Authority: authority})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, team := range map[string]string{"a": "red", "b": "blue", "c": "red"} {
		must(t, c.Create(ctx, secret(name, team)))
	}
	names := func(opts ...client.ListOption) (got []string) {
		var list corev1.SecretList
		must(t, c.List(ctx, &list, append(opts, client.InNamespace("ci"))...))
		for _, s := range list.Items {
			got = append(got, s.Name)
			if s.UID == "" || s.ResourceVersion == "" {
				t.Errorf("Secret %s is not that of the Cluster", s.Name)
			}
		}
		return got
	}
	if got := names(client.MatchingFields{"team": "red"}); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("by team: %v", got)
	}
	must(t, c.Delete(ctx, secret("a", "red")))
	moved := secret("b", "red")
	must(t, c.Update(ctx, moved))
	if got := names(client.MatchingFields{"team": "red"}, client.Limit(1)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after changes: %v", got)
	}
	if got := names(client.MatchingFields{"team": "blue"}); got != nil {
		t.Errorf("of a team without Secrets: %v", got)
	}
	wantReason(t, c.List(ctx, &corev1.SecretList{}, client.MatchingFields{"colour": "red"}), metav1.StatusReasonBadRequest)

	web := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/main"}}}}
	must(t, c.Create(ctx, web))
	for _, ip := range []string{"10.0.0.1", "10.0.0.2"} {
		web.Status.HostIP = ip
		must(t, c.Status().Update(ctx, web))
		var pods corev1.PodList
		must(t, c.List(ctx, &pods, client.MatchingFields{"status.hostIP": ip}))
		if len(pods.Items) != 1 {
			t.Errorf("on %s there are %d Pods, want 1", ip, len(pods.Items))
		}
	}
}

// Fields that a kind doesn't have are refused if that is asked for.
func TestStrictFields(t *testing.T) {
	c, _ := world(t)
	ctx := t.Context()
	u := func() *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "m", "namespace": "ci"}, "dta": map[string]any{"a": "hunter2"},
		}}
	}
	wantReason(t, c.Create(ctx, u(), client.FieldValidation(metav1.FieldValidationStrict)), metav1.StatusReasonBadRequest)
	must(t, c.Create(ctx, u()))
	wantReason(t, c.Update(ctx, u(), client.FieldValidation(metav1.FieldValidationStrict)), metav1.StatusReasonBadRequest)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"dta":{"a":"hunter2"}}`))
	wantReason(t, c.Patch(ctx, u(), patch, client.FieldValidation(metav1.FieldValidationStrict)), metav1.StatusReasonInvalid)
	must(t, c.Patch(ctx, u(), patch))
}

func TestNewClientRefuses(t *testing.T) {
	var typedNil *nilClient
	for name, base := range map[string]client.WithWatch{"nil": nil, "typed nil": typedNil} {
		_, err := controllerruntime.NewClient(base, controllerruntime.Config{})
		var fields []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				if e, ok := errors.AsType[*controllerruntime.ConfigError](err); ok && e.Config == "controllerruntime.Config" {
					fields = append(fields, e.Field)
				}
			}
		}
		if !slices.Equal(fields, []string{"base", "Authority"}) {
			t.Errorf("%s: got mistakes in %q (%v)", name, fields, err)
		}
	}
}

type nilClient struct{ client.WithWatch }
