package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
)

const newPod = `{"metadata": {"name": "new"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}`

// The hook changes new pods, and sees what an update would make of a pod.
func TestAPIAdmitsPods(t *testing.T) {
	var seen []string
	cfg := apiserver.Config{AdmitPod: func(_ context.Context, op apiserver.PodOperation) error {
		old := "nothing"
		if op.Old != nil {
			old = fmt.Sprintf("%s %d", op.Old.Spec.Containers[0].Image, len(op.Old.Labels))
		}
		seen = append(seen, fmt.Sprintf("%s %s/%s %s: %s %d, was %s", op.Operation, op.Namespace, op.Name, op.Subresource, op.Pod.Spec.Containers[0].Image, len(op.Pod.Labels), old))
		if op.Operation == admissionv1.Create {
			op.Pod.Spec.ServiceAccountName = "builder"
		}
		return nil
	}}
	a := newAPI(t, cfg)
	pod := ok[corev1.Pod](t, a, "POST /api/v1/namespaces/ci/pods", newPod)
	if pod.Spec.ServiceAccountName != "builder" {
		t.Errorf("the account of the pod is %q", pod.Spec.ServiceAccountName)
	}
	pod.Spec.Containers[0].Image = "nginx"
	if _, err := a.cluster.UpdatePod(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	merge, strategic := "Content-Type: application/merge-patch+json", "Content-Type: application/strategic-merge-patch+json"
	ok[corev1.Pod](t, a, "PATCH /api/v1/namespaces/ci/pods/new", `{"metadata": {"labels": {"a": "b"}}}`, merge)
	ok[corev1.Pod](t, a, "PATCH /api/v1/namespaces/ci/pods/new/ephemeralcontainers", `{"metadata": {"labels": {"c": "d"}}, "spec": {"ephemeralContainers": [{"name": "x", "image": "y"}]}}`, strategic)
	ok[corev1.Pod](t, a, "PUT /api/v1/namespaces/ci/pods/new/status", `{"metadata": {"name": "new"}, "status": {"phase": "Running"}, "spec": {"containers": [{"name": "other"}]}}`)
	ok[corev1.Pod](t, a, "GET /api/v1/namespaces/ci/pods/new", "")
	ok[corev1.Pod](t, a, "DELETE /api/v1/namespaces/ci/pods/new", "")
	ok[corev1.Secret](t, a, "POST /api/v1/namespaces/ci/secrets", `{"metadata": {"name": "new"}}`)
	want := []string{
		"CREATE ci/new : busybox 0, was nothing",
		"UPDATE ci/new : nginx 1, was nginx 0",
		"UPDATE ci/new ephemeralcontainers: nginx 1, was nginx 1", // labels are not of this subresource
		"UPDATE ci/new status: nginx 0, was nginx 1",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("the hook saw (-want +got):\n%s", diff)
	}
}

func TestAPIAdmitPodRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hook   func() error
		code   int32
		reason metav1.StatusReason
		want   string
	}{
		{"status", func() error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "new", errors.New("no such account"))
		}, 403, metav1.StatusReasonForbidden, "no such account"},
		{"other error", func() error { return errors.New("out of order") }, 500, metav1.StatusReasonInternalError, "out of order"},
		{"panic", func() error { panic("hunter2") }, 500, metav1.StatusReasonInternalError, "panicked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			a := newAPI(t, apiserver.Config{AdmitPod: func(context.Context, apiserver.PodOperation) error { calls++; return tt.hook() }})
			for _, line := range []string{"POST /api/v1/namespaces/ci/pods", "PUT /api/v1/namespaces/ci/pods/web"} {
				body := newPod
				if line[:3] == "PUT" {
					body = `{"metadata": {"name": "web"}}`
				}
				code, answer := a.do(line, body)
				checkStatus(t, code, answer, tt.code, tt.reason, tt.want)
			}
			code, answer := a.do("PATCH /api/v1/namespaces/ci/pods/web", `{}`, "Content-Type: application/merge-patch+json")
			checkStatus(t, code, answer, tt.code, tt.reason, tt.want)
			if calls != 3 {
				t.Errorf("the hook was called %d times, want 3", calls)
			}
			if writes := a.cluster.Writes(); len(writes) != 2 { // the controllers' accounts
				t.Errorf("something was written:\n%s", fake.FormatActions(writes))
			}
		})
	}
}

// What the Cluster refuses by itself, the hook is not asked about.
func TestAPIAdmitPodIsNotAsked(t *testing.T) {
	a := newAPI(t, apiserver.Config{AdmitPod: func(context.Context, apiserver.PodOperation) error { panic("asked") }})
	merge := "Content-Type: application/merge-patch+json"
	code, body := a.do("POST /api/v1/namespaces/gone/pods", newPod)
	checkStatus(t, code, body, 404, metav1.StatusReasonNotFound, `namespaces "gone" not found`)
	code, body = a.do("PATCH /api/v1/namespaces/ci/pods/gone", `{}`, merge)
	checkStatus(t, code, body, 404, metav1.StatusReasonNotFound, `pods "gone" not found`)
	code, body = a.do("PATCH /api/v1/namespaces/ci/pods/web", `[]`, merge)
	checkStatus(t, code, body, 400, metav1.StatusReasonBadRequest, "error decoding patch: json: cannot unmarshal array")
}
