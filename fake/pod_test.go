package fake_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
)

func ptr[T any](v T) *T { return &v }

func withToken(pod *corev1.Pod, source corev1.ServiceAccountTokenProjection) *corev1.Pod {
	pod.Spec.Volumes = []corev1.Volume{{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &source}},
	}}}}
	return pod
}

// ADM-230, ADM-231
func TestPodValidation(t *testing.T) {
	const (
		token = "spec.volumes[0].projected.sources[0].serviceAccountToken"
		path  = "spec.volumes[0].projected.path" // of the token
	)
	tests := []struct {
		name   string
		mutate func(*corev1.Pod)
		text   string
	}{
		{name: "good"},
		{name: "token", mutate: func(p *corev1.Pod) { withToken(p, corev1.ServiceAccountTokenProjection{Path: "a/token"}) }},
		{"no containers", func(p *corev1.Pod) { p.Spec.Containers = nil }, "spec.containers: Required value"},
		{"no image", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "" }, "spec.containers[0].image: Required value"},
		{"twice the same name", func(p *corev1.Pod) { p.Spec.InitContainers = p.Spec.Containers }, `spec.initContainers[0].name: Duplicate value: "main"`},
		{"token without account", func(p *corev1.Pod) {
			withToken(p, corev1.ServiceAccountTokenProjection{Path: "token"}).Spec.ServiceAccountName = ""
		}, token + ": Forbidden: must not be specified when serviceAccountName is not set"},
		{"short token", func(p *corev1.Pod) {
			withToken(p, corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr(int64(599))})
		}, token + ".expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"},
		{"long token", func(p *corev1.Pod) {
			withToken(p, corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr(int64(1<<32 + 1))})
		}, token + ".expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"},
		{"no path", func(p *corev1.Pod) { withToken(p, corev1.ServiceAccountTokenProjection{}) }, path + ": Required value"},
		{"absolute path", func(p *corev1.Pod) { withToken(p, corev1.ServiceAccountTokenProjection{Path: "/token"}) }, path + `: Invalid value: "/token": must be a relative path`},
		{"path upwards", func(p *corev1.Pod) { withToken(p, corev1.ServiceAccountTokenProjection{Path: "a/../token"}) }, path + `: Invalid value: "a/../token": must not contain '..'`},
		{"path with dots", func(p *corev1.Pod) { withToken(p, corev1.ServiceAccountTokenProjection{Path: "..token"}) }, path + `: Invalid value: "..token": must not start with '..'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t)
			pod := goodPod("p")
			if tt.mutate != nil {
				tt.mutate(pod)
			}
			got, err := c.CreatePod(t.Context(), pod)
			if tt.text != "" {
				checkError(t, err, metav1.StatusReasonInvalid, `Pod "p" is invalid: `+tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Spec.DeprecatedServiceAccount != "builder" || got.Status.Phase != corev1.PodPending || got.Generation != 1 {
				t.Errorf("created %+v, want the server's defaults", got)
			}
			for _, v := range got.Spec.Volumes {
				if seconds := v.Projected.Sources[0].ServiceAccountToken.ExpirationSeconds; seconds == nil || *seconds != 3600 {
					t.Errorf("expirationSeconds = %v, want 3600", seconds)
				}
			}
		})
	}
}

func TestPodUpdate(t *testing.T) {
	c := newCI(t)
	pod := must[*corev1.Pod](t)(c.CreatePod(t.Context(), goodPod("p")))

	moved := pod.DeepCopy()
	moved.Spec.ServiceAccountName = "other"
	_, err := c.UpdatePod(t.Context(), moved)
	checkError(t, err, metav1.StatusReasonInvalid, "Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")

	pod.Spec.Containers[0].Image = "alpine"
	pod.Status.Phase = corev1.PodRunning // not through this door
	pod = must[*corev1.Pod](t)(c.UpdatePod(t.Context(), pod))
	if pod.Spec.Containers[0].Image != "alpine" || pod.Status.Phase != corev1.PodPending || pod.Generation != 2 {
		t.Errorf("updated to %+v, want the image changed and the status not", pod)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Spec.Containers[0].Image = "busybox" // not through this door
	pod = must[*corev1.Pod](t)(c.UpdatePodStatus(t.Context(), pod))
	if pod.Spec.Containers[0].Image != "alpine" || pod.Status.Phase != corev1.PodRunning || pod.Generation != 2 {
		t.Errorf("status updated to %+v, want the phase changed and the image not", pod)
	}
}

func TestEphemeralContainers(t *testing.T) {
	c := newCI(t)
	pod := must[*corev1.Pod](t)(c.CreatePod(t.Context(), goodPod("p")))
	debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	pod.Labels = map[string]string{"a": "b"}
	got := must[*corev1.Pod](t)(c.UpdatePodEphemeralContainers(t.Context(), pod))
	if diff := cmp.Diff([]corev1.EphemeralContainer{debug}, got.Spec.EphemeralContainers); diff != "" || got.Labels != nil {
		t.Errorf("labels %v, containers (-want +got):\n%s", got.Labels, diff)
	}
	if a := c.Writes()[1].String(); a != "update pods/ephemeralcontainers ci/p" {
		t.Errorf("action = %q, want the subresource in it", a)
	}
	changed := got.DeepCopy()
	changed.Spec.EphemeralContainers[0].Image = "alpine"
	_, err := c.UpdatePodEphemeralContainers(t.Context(), changed)
	checkError(t, err, metav1.StatusReasonInvalid, "Pod \"p\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be changed\n")
	changed.Spec.EphemeralContainers = nil
	_, err = c.UpdatePodEphemeralContainers(t.Context(), changed)
	checkError(t, err, metav1.StatusReasonInvalid, "Pod \"p\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be removed\n")
}

func TestGracefulPodDeletion(t *testing.T) {
	running := goodPod("running")
	running.Spec.NodeName = "n1"
	running.Spec.TerminationGracePeriodSeconds = ptr(int64(20))
	c := newCI(t, running, goodPod("unscheduled"))
	for _, name := range []string{"running", "unscheduled"} {
		if err := c.DeletePod(t.Context(), "ci", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.GetPod(t.Context(), "ci", "unscheduled")
	checkError(t, err, metav1.StatusReasonNotFound, `pods "unscheduled" not found`)

	pod := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "running"))
	if want := fake.Epoch.Add(20 * time.Second); pod.DeletionTimestamp == nil || !pod.DeletionTimestamp.Time.Equal(want) || *pod.DeletionGracePeriodSeconds != 20 {
		t.Fatalf("marked pod is %+v, want it to end at %v", pod.ObjectMeta, want)
	}
	if err := c.DeletePod(t.Context(), "ci", "running", metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(60))}); err != nil {
		t.Fatal(err)
	}
	pod = must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "running"))
	if *pod.DeletionGracePeriodSeconds != 20 {
		t.Errorf("grace period = %d after a longer one was asked for, want still 20", *pod.DeletionGracePeriodSeconds)
	}
	if err := c.DeletePod(t.Context(), "ci", "running", metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(0))}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetPod(t.Context(), "ci", "running")
	checkError(t, err, metav1.StatusReasonNotFound, `pods "running" not found`)
}
