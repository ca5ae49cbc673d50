package clientgo_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// Server-side apply does with the fake that Install has changed what it does with the
// bare one, and what the API server does besides.
func TestApply(t *testing.T) {
	bare := kubernetesfake.NewClientset(namespace("ci"))
	changed, _ := world(t)
	for name, clientset := range map[string]kubernetes.Interface{"bare": bare, "installed": changed} {
		t.Run(name, func(t *testing.T) { checkApply(t, clientset) })
	}
}

func checkApply(t *testing.T, clientset kubernetes.Interface) {
	ctx := t.Context()
	maps := clientset.CoreV1().ConfigMaps("ci")
	of := func(manager string, data ...string) (*corev1.ConfigMap, error) {
		configuration := applycorev1.ConfigMap("settings", "ci")
		for _, key := range data {
			configuration.WithData(map[string]string{key: manager})
		}
		return maps.Apply(ctx, configuration, metav1.ApplyOptions{FieldManager: manager})
	}
	created, err := of("red", "a", "b")
	if err != nil || created.Data["a"] != "red" {
		t.Fatalf("Apply() of what isn't there = %v, %v, want it to be created", created, err)
	}
	if e := created.ManagedFields; len(e) != 1 || e[0].Manager != "red" || e[0].Operation != metav1.ManagedFieldsOperationApply || e[0].Time == nil {
		t.Errorf("got the managedFields %+v, want those of red", e)
	}
	if added, err := of("blue", "c"); err != nil || len(added.Data) != 3 {
		t.Errorf("Apply() of another manager = %v, %v, want three keys", added, err)
	}
	_, err = of("blue", "a", "c")
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "red"`) || !strings.Contains(err.Error(), ".data.a") {
		t.Errorf("Apply() of what is owned = %v, want a conflict", err)
	}
	forced, err := maps.Apply(ctx, applycorev1.ConfigMap("settings", "ci").WithData(map[string]string{"a": "blue", "c": "blue"}), metav1.ApplyOptions{FieldManager: "blue", Force: true})
	if err != nil || forced.Data["a"] != "blue" {
		t.Errorf("Apply() by force = %v, %v", forced, err)
	}
	if less, err := of("red", "a"); err == nil {
		t.Errorf("Apply() of what was taken away = %v, want a conflict", less)
	}
	less, err := of("red")
	if err != nil || less.Data["b"] != "" || less.Data["a"] != "blue" {
		t.Errorf("Apply() without what was applied before = %v, %v, want b to be gone", less, err)
	}

	// Writes of other kinds own what they set.
	if _, err := maps.Patch(ctx, "settings", types.MergePatchType, []byte(`{"data":{"p":"patched"}}`), metav1.PatchOptions{FieldManager: "patcher"}); err != nil {
		t.Fatal(err)
	}
	if _, err := of("red", "p"); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "patcher"`) {
		t.Errorf("Apply() of what was patched = %v, want a conflict", err)
	}
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made"}, Data: map[string]string{"a": "1"}}, metav1.CreateOptions{FieldManager: "maker"}); err != nil {
		t.Fatal(err)
	}
	_, err = maps.Apply(ctx, applycorev1.ConfigMap("made", "ci").WithData(map[string]string{"a": "2"}), metav1.ApplyOptions{FieldManager: "red"})
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "maker"`) {
		t.Errorf("Apply() of what was created = %v, want a conflict", err)
	}

	// Items of lists are merged by their keys.
	accounts := clientset.CoreV1().ServiceAccounts("ci")
	for _, secret := range []string{"a", "b"} {
		if _, err := accounts.Apply(ctx, applycorev1.ServiceAccount("builder", "ci").WithSecrets(applycorev1.ObjectReference().WithName(secret)), metav1.ApplyOptions{FieldManager: secret}); err != nil {
			t.Fatal(err)
		}
	}
	if builder, err := accounts.Get(ctx, "builder", metav1.GetOptions{}); err != nil || len(builder.Secrets) != 2 {
		t.Errorf("the account lists %v, %v, want two Secrets", builder, err)
	}
}

// What the API server refuses, does for no show, or does to a part.
func TestApplyAsTheAPI(t *testing.T) {
	clientset, authority := world(t)
	ctx := t.Context()
	core := clientset.CoreV1()
	secrets := core.Secrets("ci")
	me := metav1.ApplyOptions{FieldManager: "me"}
	shown, err := secrets.Apply(ctx, applycorev1.Secret("x", "ci").WithStringData(map[string]string{"a": "1"}), metav1.ApplyOptions{FieldManager: "me", DryRun: []string{metav1.DryRunAll}})
	if err != nil || string(shown.Data["a"]) != "1" || shown.UID == "" {
		t.Errorf("Apply() for show = %v, %v", shown, err)
	}
	_, err = secrets.Get(ctx, "x", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)

	_, err = secrets.Apply(ctx, applycorev1.Secret("x", "ci"), metav1.ApplyOptions{})
	wantReason(t, err, metav1.StatusReasonInvalid)
	_, err = secrets.Apply(ctx, applycorev1.Secret("Not A Name", "ci"), me)
	wantReason(t, err, metav1.StatusReasonInvalid)
	_, err = secrets.Apply(ctx, applycorev1.Secret("x", "other"), me)
	wantReason(t, err, metav1.StatusReasonBadRequest)
	_, err = core.Secrets("nowhere").Apply(ctx, applycorev1.Secret("x", "nowhere"), me)
	wantReason(t, err, metav1.StatusReasonNotFound)
	_, err = secrets.Apply(ctx, applycorev1.Secret("x", "ci").WithUID("other"), me)
	wantReason(t, err, metav1.StatusReasonConflict)
	if _, err = secrets.Apply(ctx, applycorev1.Secret("x", "ci").WithData(map[string][]byte{"a": []byte("1")}), me); err != nil {
		t.Fatal(err)
	}
	_, err = secrets.Apply(ctx, applycorev1.Secret("x", "ci").WithResourceVersion("1"), me)
	wantReason(t, err, metav1.StatusReasonConflict)
	_, err = secrets.Apply(ctx, applycorev1.Secret("x", "ci").WithType("other"), me)
	wantReason(t, err, metav1.StatusReasonInvalid)
	for name, patch := range map[string]string{
		"unknown field": `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "dta": {"a": "hunter2"}}`,
		"another type":  `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": "hunter2"}`,
		"no metadata":   `{"apiVersion": "v1", "kind": "Secret", "metadata": ["hunter2"]}`,
	} {
		_, err := secrets.Patch(ctx, "x", types.ApplyYAMLPatchType, []byte(patch), metav1.PatchOptions{FieldManager: "me"})
		if status := apierrors.APIStatus(nil); !errors.As(err, &status) || status.Status().Code != 500 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want a 500 that shows no value", name, err)
		}
	}
	for name, patch := range map[string]string{
		"another kind":    `{"apiVersion": "v1", "kind": "ConfigMap"}`,
		"another version": `{"apiVersion": "v2", "kind": "Secret"}`,
		"no kind":         `{}`,
		"no object":       `[hunter2]`,
		"no YAML":         "a: b: hunter2",
		"another name":    `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "y"}}`,
		"managed fields":  `{"apiVersion": "v1", "kind": "Secret", "metadata": {"managedFields": []}}`,
	} {
		_, err := secrets.Patch(ctx, "x", types.ApplyYAMLPatchType, []byte(patch), metav1.PatchOptions{FieldManager: "me"})
		wantReason(t, err, metav1.StatusReasonBadRequest)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a value: %v", name, err)
		}
	}
	if _, err := secrets.Patch(ctx, "x", types.ApplyYAMLPatchType, []byte("apiVersion: v1\nkind: Secret\ndata:\n  b: Mg==\n"), metav1.PatchOptions{FieldManager: "me"}); err != nil {
		t.Errorf("Apply() of YAML = %v, want no error", err)
	}

	// A status, which isn't created.
	_, err = core.Pods("ci").ApplyStatus(ctx, applycorev1.Pod("none", "ci").WithStatus(applycorev1.PodStatus().WithPhase(corev1.PodRunning)), me)
	wantReason(t, err, metav1.StatusReasonNotFound)
	if _, err := core.Pods("ci").Create(ctx, pod("ci", "web", "default"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	running, err := core.Pods("ci").ApplyStatus(ctx, applycorev1.Pod("web", "ci").WithSpec(applycorev1.PodSpec().WithNodeName("ignored")).WithStatus(applycorev1.PodStatus().WithPhase(corev1.PodRunning)), me)
	if err != nil || running.Status.Phase != corev1.PodRunning || running.Spec.NodeName != "" {
		t.Errorf("ApplyStatus() = %v, %v, want only the status to change", running, err)
	}

	// The same again is no write, whatever the time.
	again := applycorev1.Namespace("ci").WithLabels(map[string]string{"a": "b"})
	first, err := core.Namespaces().Apply(ctx, again, me)
	if err != nil {
		t.Fatal(err)
	}
	authority.Advance(time.Hour)
	second, err := core.Namespaces().Apply(ctx, again, me)
	if err != nil || second.ResourceVersion != first.ResourceVersion {
		t.Errorf("the second Apply() gives resourceVersion %s, %v, want %s", second.ResourceVersion, err, first.ResourceVersion)
	}
	if at := first.ManagedFields[len(first.ManagedFields)-1].Time; !at.Time.Equal(fake.Epoch) {
		t.Errorf("the fields are owned since %v, want the time of the Cluster", at)
	}

	// It is an operation that faults see, and an owner is a name like another.
	authority.Cluster.Inject(fault.On("patch", "secrets", fault.Conflict))
	_, err = secrets.Apply(ctx, applycorev1.Secret("x", "ci"), me)
	wantReason(t, err, metav1.StatusReasonConflict)
	authority.Cluster.ClearFaults()
	owned := applycorev1.Secret("owned", "ci").WithOwnerReferences(applymetav1.OwnerReference().WithAPIVersion("v1").WithKind("Pod").WithName("web").WithUID("u"))
	if s, err := secrets.Apply(ctx, owned, me); err != nil || len(s.OwnerReferences) != 1 {
		t.Errorf("Apply() with an owner = %v, %v", s, err)
	}
}

// Subresources of Pods that the bare fake has.
func TestBindAndResize(t *testing.T) {
	clientset, authority := world(t)
	ctx := t.Context()
	pods := clientset.CoreV1().Pods("ci")
	if _, err := pods.Create(ctx, pod("ci", "web", "default"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "web", Labels: map[string]string{"zone": "a"}},
		Target:     corev1.ObjectReference{Kind: "Node", Name: "node-1"},
	}
	if err := pods.Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bound, err := pods.Get(ctx, "web", metav1.GetOptions{})
	if err != nil || bound.Spec.NodeName != "node-1" || bound.Labels["zone"] != "a" || bound.Status.Conditions[0].Type != corev1.PodScheduled {
		t.Errorf("after Bind() the Pod is %+v, %v", bound, err)
	}
	wantReason(t, pods.Bind(ctx, binding, metav1.CreateOptions{}), metav1.StatusReasonConflict)
	lost := binding.DeepCopy()
	lost.Name = "none"
	wantReason(t, pods.Bind(ctx, lost, metav1.CreateOptions{}), metav1.StatusReasonNotFound)
	lost.Target.Kind = "Pod"
	wantReason(t, pods.Bind(ctx, lost, metav1.CreateOptions{}), metav1.StatusReasonBadRequest)
	if last := authority.Cluster.Actions()[len(authority.Cluster.Actions())-1]; last.Op.String() != "create pods/binding ci/none" {
		t.Errorf("the last action is %q", last.Op)
	}

	larger := bound.DeepCopy()
	larger.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	larger.Spec.Containers[0].Image = "ignored"
	resized, err := pods.UpdateResize(ctx, "web", larger, metav1.UpdateOptions{})
	if err != nil || resized.Spec.Containers[0].Resources.Requests.Cpu().String() != "1" || resized.Spec.Containers[0].Image == "ignored" || resized.Generation != bound.Generation+1 {
		t.Errorf("UpdateResize() = %+v, %v, want only the resources to change", resized, err)
	}
	patched, err := pods.Patch(ctx, "web", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"2"}}}]}}`), metav1.PatchOptions{}, "resize")
	if err != nil || patched.Spec.Containers[0].Resources.Requests.Cpu().String() != "2" {
		t.Errorf("Patch() of the resources = %v, %v", patched, err)
	}
	renamed := patched.DeepCopy()
	renamed.Spec.Containers[0].Name = "other"
	_, err = pods.UpdateResize(ctx, "web", renamed, metav1.UpdateOptions{})
	wantReason(t, err, metav1.StatusReasonInvalid)
}
