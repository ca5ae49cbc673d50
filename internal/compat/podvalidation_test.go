package compat

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core"
	corev1upstream "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// validatedByFake matches the fields of a pod that the fake validates.
var validatedByFake = regexp.MustCompile(`^(metadata\.(name|generateName)` +
	`|spec\.(serviceAccountName|nodeName|containers|ephemeralContainers)` +
	`|spec\.volumes\[\d+\]\.(name|(secret|configMap)(\..*)?|projected(\.path|\.sources\[\d+\]\.(secret|configMap|serviceAccountToken).*)?)` +
	`|spec\.(containers|initContainers|ephemeralContainers)\[\d+\]\.(name|image|targetContainerName|env\[\d+\]\.(name|valueFrom\.(secretKeyRef|configMapKeyRef)\..*)|envFrom\[\d+\]\.(secretRef|configMapRef)\..*|volumeMounts.*|volumeDevices.*)` +
	`)$`)

// podErrors returns what the fake finds wrong with a new pod.
func podErrors(t *testing.T, cluster *fake.Cluster, pod *corev1.Pod) []string {
	t.Helper()
	_, err := cluster.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if err != nil && (!ok || status.ErrStatus.Reason != metav1.StatusReasonInvalid) {
		t.Fatalf("creating the pod: %v", err)
	}
	var got []string
	if err != nil {
		for _, cause := range status.ErrStatus.Details.Causes {
			got = append(got, cause.Field+": "+cause.Message)
		}
	}
	slices.Sort(got)
	return slices.Compact(got)
}

// upstreamPodErrors returns what Kubernetes finds wrong with it, of what the fake looks
// at. It reports whether that can be compared: a volume that is invalid for another
// reason can't be mounted.
func upstreamPodErrors(t *testing.T, pod *corev1.Pod) (want []string, comparable bool) {
	t.Helper()
	versioned, internal := pod.DeepCopy(), new(core.Pod)
	if versioned.Name == "" && versioned.GenerateName != "" {
		versioned.Name = versioned.GenerateName + "x2kf9"
	}
	corev1upstream.SetObjectDefaults_Pod(versioned)
	if err := corev1upstream.Convert_v1_Pod_To_core_Pod(versioned, internal, nil); err != nil {
		t.Fatal(err)
	}
	comparable = true
	for _, e := range validation.ValidatePodCreate(internal, validation.PodValidationOptions{
		AllowRelaxedEnvironmentVariableValidation: true, AllowEnvFilesValidation: true,
	}) {
		if validatedByFake.MatchString(e.Field) {
			want = append(want, e.Field+": "+e.ErrorBody())
		} else if strings.HasPrefix(e.Field, "spec.volumes") {
			comparable = false
		}
	}
	slices.Sort(want)
	return slices.Compact(want), comparable
}

// The fake finds what Kubernetes finds, in the fields that it looks at.
func TestPodValidation(t *testing.T) {
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}})
	seen, compared := 0, 0
	for seed := range uint64(generate.Count(2000, 20_000)) {
		pod := newPod(generate.New(1, seed))
		pod.Namespace = "team"
		if pod.Name == "" && pod.GenerateName == "" {
			pod.Name = "web"
		}
		want, comparable := upstreamPodErrors(t, pod)
		got := podErrors(t, cluster, pod)
		cluster.ClearActions()
		if !comparable {
			continue
		}
		compared++
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: errors (-Kubernetes +fake):\n%s", seed, d)
		}
		if len(want) > 0 {
			seen++
		}
	}
	t.Logf("of %d pods %d are invalid", compared, seen)
}
