package apiserver_test

import (
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

func account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: meta("ci", name)}
}
