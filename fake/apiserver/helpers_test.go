package apiserver_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func goodPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta("ci", name), Spec: corev1.PodSpec{
		ServiceAccountName: "builder",
		Containers:         []corev1.Container{{Name: "main", Image: "busybox"}},
	}}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
